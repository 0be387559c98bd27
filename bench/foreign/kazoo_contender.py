"""Kazoo at work, for the benchmark: see contender.go for the protocol."""

import gc
import json
import logging
import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from kazoo.client import KazooClient
from kazoo.recipe.cache import TreeCache, TreeEvent
from kazoo.recipe.watchers import ChildrenWatch, DataWatch

logging.disable(logging.CRITICAL)


class Tracker:
    """Notices when each of the consumers has got the newest tag."""

    def __init__(self):
        self.lock = threading.Lock()
        self.want = self.tag = self.count = 0

    def got(self, tag):
        with self.lock:
            if tag < self.tag:
                return
            if tag > self.tag:
                self.tag, self.count = tag, 0
            self.count += 1
            if self.count == self.want:
                say("all %d %d" % (tag, time.time_ns()))


printing = threading.Lock()


def say(line):
    with printing:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


def watch(client, kind, path, got):
    """One consumer, as Kazoo's users write it."""
    last = [-1]

    def news(tag):
        if tag > last[0]:
            last[0] = tag
            got(tag)

    if kind == "children":
        ChildrenWatch(client, path, lambda names: news(int(names[0]) if names else 0))
    elif kind == "properties":
        DataWatch(client, path, lambda data, stat: news(json.loads(data)["tag"]))
    else:
        DataWatch(client, path, lambda data, stat: news(int(data or 0)))


trees = []


def tree(client, path, got):
    """A TreeCache, which tells of changes one by one."""
    cache = TreeCache(client, path)
    trees.append((cache, path))

    def changed(event):
        if event.event_type == TreeEvent.INITIALIZED:
            got(0)
        elif event.event_type == TreeEvent.NODE_UPDATED:
            got(int(event.event_data.data))

    cache.listen(changed)
    cache.start()


def nodes(cache, path):
    names = cache.get_children(path)
    return 1 + sum(nodes(cache, path + "/" + name) for name in names)


def memory():
    gc.collect()
    with open("/proc/self/statm") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def main():
    servers, timeout = sys.argv[1], int(sys.argv[2]) / 1000
    client = KazooClient(hosts=servers, timeout=timeout)
    client.start(timeout=20)
    pool = ThreadPoolExecutor(8)
    tracker = Tracker()
    say("ready")
    for line in sys.stdin:
        words = line.split()
        if words[0] in ("share", "open"):
            begin = time.time_ns()
            if words[0] == "share":
                paths = [words[2]] * int(words[3])
            else:
                first = int(words[3])
                paths = [words[2] % i for i in range(first, first + int(words[4]))]
            with tracker.lock:
                tracker.want += len(paths)
            for path in paths:
                pool.submit(watch, client, words[1], path, tracker.got)
            say("ok %d" % begin)
        elif words[0] in ("tree", "instances"):
            begin = time.time_ns()
            with tracker.lock:
                tracker.want += 1
            tree(client, words[1], tracker.got)
            say("ok %d" % begin)
        elif words[0] == "nodes":
            say("nodes %d" % sum(nodes(cache, path) for cache, path in trees))
        elif words[0] == "second":
            watch(client, words[1], words[2], lambda tag: None)
            begin = time.perf_counter_ns()
            for _ in range(int(words[3])):
                watch(client, words[1], words[2], lambda tag: None)
            say("second %d -1" % ((time.perf_counter_ns() - begin) // int(words[3])))
        elif words[0] == "mem":
            say("mem %d %d" % (memory(), threading.active_count()))
        elif words[0] == "cpu":
            say("cpu %d" % time.process_time_ns())
    os._exit(0)  # the pool and the client end with it


main()
