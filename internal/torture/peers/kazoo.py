"""kazoo as a contender of the torture test.

What the driver must know: a ChildrenWatch gives no zxids, needs a node that exists, and says nothing when that
node goes. The value of a registered node is its address. In "stats", the memory is that of the whole process.
"""

import json
import logging
import os
import sys
import threading
import time
import traceback

# This file has the name of the library, which must not be looked for in its directory.
sys.path[:] = [p for p in sys.path if not os.path.exists(os.path.join(p, "kazoo.py"))]

from kazoo.client import KazooClient, KazooState
from kazoo.exceptions import BadVersionError, NodeExistsError, NoNodeError
from kazoo.recipe.cache import TreeCache, TreeEvent
from kazoo.retry import ForceRetryError, KazooRetry

logging.basicConfig()  # the least that its documentation asks for; warnings go to stderr


def say(line):
    """Writes a line at once and whole: one write, with nothing buffered when the process ends."""
    os.write(1, (line + "\n").encode())


def why(error):
    return " ".join(("%s %s" % (type(error).__name__, error)).split())


class Registration:
    def __init__(self, path, addr):
        self.path, self.addr = path + "/" + addr, addr
        self.lock = threading.Lock()  # held while the node is made or removed
        self.kept = True  # guarded by lock
        self.first = threading.Event()  # set when it is registered, or could not be


class Contender:
    def __init__(self, servers, timeout):
        # Without a limit it would wait for up to a minute between two tries to connect. Its documentation has
        # the option; with a second, it is back sooner after an outage.
        self.client = KazooClient(hosts=servers, timeout=timeout,
                                  connection_retry={"max_tries": -1, "max_delay": 1})
        self.registrations = {}
        self.lost = False  # of the listener alone
        self.closing = False
        self.client.add_listener(self.session)

    def session(self, state):
        """The listener must not block, says its documentation."""
        if state == KazooState.SUSPENDED:
            say("session suspended")
        elif state == KazooState.LOST:
            say("session closed" if self.closing else "session expired")
            self.lost = True
        else:
            say("session connected")
            if self.lost:
                self.lost = False
                self.client.handler.spawn(self.restore)

    def data(self, name, path):
        def changed(value, stat):
            if stat is None:
                say("data %s 0 0 -" % name)
            else:
                say("data %s %d %d %s" % (name, stat.czxid, stat.mzxid, value.decode().rstrip(".")))

        self.watch(name, lambda: self.client.DataWatch(path, changed))

    def children(self, name, path):
        def changed(names):
            say("children %s 0 0 [%s]" % (name, ",".join(sorted(names))))

        def watch():
            # "The path must already exist for the children watcher to run": it would be silent for ever. To
            # say so is better for it than that silence.
            if not self.client.retry(self.client.exists, path):
                raise NoNodeError("a ChildrenWatch needs a node that exists")
            self.client.ChildrenWatch(path, changed)

        self.watch(name, watch)

    def instances(self, name, path):
        self.cache("instances", name, path)

    def tree(self, name, path):
        self.cache("tree", name, path)

    def cache(self, verb, name, path):
        """All nodes of the cache are told at each change of one, as soon as the library says that it has them all."""
        cache, state = TreeCache(self.client, path), {"ready": False, "last": None}

        def nodes():
            def below(at, label):
                node = cache.get_data(at)
                if node is None:
                    return
                content = verb == "tree" or label != "."
                yield "%s@%d.%d=%s" % (label, node.stat.czxid, node.stat.mzxid if content else 0,
                                       node.data.decode() if content else "")
                for child in cache.get_children(at, ()):
                    yield from below(at + "/" + child, child if label == "." else label + "/" + child)

            return list(below(path, "."))

        def changed(event):
            if event.event_type == TreeEvent.INITIALIZED:
                state["ready"] = True
            if not state["ready"]:
                return
            told = nodes()
            text = "[" + ",".join(sorted(told)) + "]" if told else "-"
            if text != state["last"]:
                state["last"] = text
                say("%s %s %s" % (verb, name, text))

        cache.listen(changed)
        self.watch(name, cache.start)

    def watch(self, name, start):
        try:
            start()
        except Exception as e:
            say("end %s %s" % (name, why(e)))

    def register(self, name, registration):
        with registration.lock:
            if self.create(name, registration):
                say("registered %s" % name)
        registration.first.set()

    def create(self, name, registration):
        """Its documentation shows "retry", and that a create may have succeeded before the connection was
        lost, which its recipes find out as here."""
        def attempt():
            try:
                self.client.create(registration.path, registration.addr.encode(), ephemeral=True, makepath=True)
            except NodeExistsError:
                stat, session = self.client.exists(registration.path), self.client.client_id
                if stat is None or session is None:
                    raise ForceRetryError()
                if stat.ephemeralOwner != session[0]:
                    raise

        try:
            self.client.retry(attempt)
        except Exception as e:
            registration.kept = False
            say("failed %s %s" % (name, why(e)))
        return registration.kept

    def restore(self):
        """The library does not restore ephemerals; "any ephemeral nodes will need to be recreated", says its
        documentation of the state LOST. It has no example: this is the least that a user would write."""
        for name, registration in list(self.registrations.items()):
            with registration.lock:
                if registration.kept:
                    self.create(name, registration)

    def withdraw(self, name, registration):
        if registration is None:
            say("failed %s not registered" % name)
            return
        registration.first.wait()
        with registration.lock:
            registration.kept = False
            try:
                self.client.retry(self.client.delete, registration.path)
            except NoNodeError:
                pass  # gone already
            except Exception as e:
                say("failed %s %s" % (name, why(e)))
                return
        self.registrations.pop(name, None)  # after a failure, it can be withdrawn once more
        say("withdrawn %s" % name)

    def update(self, name, path, key, value):
        end = time.monotonic() + 10

        def attempt():
            while True:
                raw, stat = self.client.get_async(path).get(timeout=end - time.monotonic())
                properties = json.loads(raw or b"{}")
                properties[key] = value
                raw = json.dumps(properties, separators=(",", ":")).encode()
                try:
                    self.client.set_async(path, raw, stat.version).get(timeout=end - time.monotonic())
                    return
                except BadVersionError:
                    pass  # somebody else was quicker

        try:
            KazooRetry(max_tries=-1, max_delay=1, deadline=10)(attempt)
        except Exception as e:
            say("failed %s %s" % (name, why(e)))
        else:
            say("updated %s" % name)

    def stats(self):
        with open("/proc/self/statm") as f:
            resident = int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        fds = len(os.listdir("/proc/self/fd")) - 1  # without the one that reads the directory
        say("stats %d %d %d" % (threading.active_count(), resident, fds))

    def obey(self, words):
        """Does not wait: a command that takes long does not hold up the next one."""
        command, args = words[0], words[1:]
        if command == "stats":
            self.stats()
            return
        if command == "register":
            registration = self.registrations[args[0]] = Registration(args[1], args[2])
            args = [args[0], registration]
        elif command == "withdraw":
            args.append(self.registrations.get(args[0]))
        elif command not in ("data", "children", "instances", "tree", "update"):
            say("unable " + command)
            return
        # Ends when the library has answered, or with the process.
        threading.Thread(target=getattr(self, command), args=args, daemon=True).start()

    def close(self):
        self.closing = True
        self.client.stop()
        self.client.close()


def main():
    contender = Contender(sys.argv[1], int(sys.argv[2]) / 1000)
    contender.client.start(timeout=60)
    say("ready")
    for line in sys.stdin:
        contender.obey(line.split())
    try:
        contender.close()
    except Exception:
        traceback.print_exc()  # for the report; the end is the same
    os._exit(0)  # without waiting for commands that still are at it


main()
