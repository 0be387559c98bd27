import com.sun.management.OperatingSystemMXBean;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.lang.management.ManagementFactory;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.function.LongConsumer;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.framework.recipes.cache.ChildData;
import org.apache.curator.framework.recipes.cache.CuratorCache;
import org.apache.curator.framework.recipes.cache.CuratorCacheListener;
import org.apache.curator.retry.RetryForever;

/** Curator at work, for the benchmark: see contender.go for the protocol. */
public class CuratorContender {
    static long want, tag, count; // guarded by the class
    static final List<CuratorCache> caches = new ArrayList<>();

    static synchronized void say(String line) {
        System.out.println(line);
        System.out.flush();
    }

    static long now() {
        Instant t = Instant.now();
        return t.getEpochSecond() * 1_000_000_000L + t.getNano();
    }

    static synchronized void got(long newest) {
        if (newest < tag) {
            return;
        }
        if (newest > tag) {
            tag = newest;
            count = 0;
        }
        if (++count == want) {
            say("all " + tag + " " + now());
        }
    }

    /** Returns a consumer that passes each tag on once. */
    static LongConsumer consumer() {
        return new LongConsumer() {
            long last = -1;

            public synchronized void accept(long tag) {
                if (tag > last) {
                    last = tag;
                    got(tag);
                }
            }
        };
    }

    static long tagOf(ChildData data) {
        return Long.parseLong(new String(data.getData()).trim());
    }

    static void listen(CuratorCache cache, LongConsumer consumer) {
        cache.listenable().addListener((type, before, data) -> {
            if (data != null && type != CuratorCacheListener.Type.NODE_DELETED) {
                consumer.accept(tagOf(data));
            }
        });
    }

    static CuratorCache cache(CuratorFramework client, String path) {
        CuratorCache cache = CuratorCache.build(client, path, CuratorCache.Options.SINGLE_NODE_CACHE);
        caches.add(cache);
        return cache;
    }

    static CuratorCache shared;

    /** One cache with any number of listeners, as Curator's users would have it. */
    static void share(CuratorFramework client, String path, int n) {
        boolean first = shared == null;
        if (first) {
            shared = cache(client, path);
        }
        for (int i = 0; i < n; i++) {
            LongConsumer consumer = consumer();
            listen(shared, consumer);
            shared.get(path).ifPresent(data -> consumer.accept(tagOf(data)));
        }
        if (first) {
            shared.start();
        }
    }

    /** One cache of a whole tree, which tells of changes one by one. */
    static void tree(CuratorFramework client, String path) {
        CuratorCache cache = CuratorCache.build(client, path);
        caches.add(cache);
        LongConsumer consumer = consumer();
        cache.listenable().addListener(CuratorCacheListener.builder()
            .forInitialized(() -> consumer.accept(0))
            .forChanges((before, data) -> consumer.accept(tagOf(data)))
            .build());
        cache.start();
    }

    static void second(CuratorFramework client, String path, int n) throws Exception {
        for (int i = 0; i < n; i++) {
            CountDownLatch initialized = new CountDownLatch(1);
            CuratorCache cache = cache(client, path);
            cache.listenable().addListener(
                CuratorCacheListener.builder().forInitialized(initialized::countDown).build());
            cache.start();
            initialized.await();
        }
    }

    public static void main(String[] args) throws Exception {
        CuratorFramework client = CuratorFrameworkFactory.builder()
            .connectString(args[0])
            .sessionTimeoutMs(Integer.parseInt(args[1]))
            .retryPolicy(new RetryForever(100))
            .build();
        client.start();
        client.blockUntilConnected();
        say("ready");
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            String[] words = line.split(" ");
            long begin = now();
            switch (words[0]) {
                case "share":
                case "open":
                    int n = Integer.parseInt(words[words.length - 1]);
                    synchronized (CuratorContender.class) {
                        want += n;
                    }
                    if (words[0].equals("share")) {
                        share(client, words[2], n);
                    } else {
                        int first = Integer.parseInt(words[3]);
                        for (int i = first; i < first + n; i++) {
                            CuratorCache cache = cache(client, String.format(words[2], i));
                            listen(cache, consumer());
                            cache.start();
                        }
                    }
                    say("ok " + begin);
                    break;
                case "tree":
                case "instances":
                    synchronized (CuratorContender.class) {
                        want++;
                    }
                    tree(client, words[1]);
                    say("ok " + begin);
                    break;
                case "nodes":
                    say("nodes " + caches.stream().mapToInt(CuratorCache::size).sum());
                    break;
                case "second":
                    second(client, words[2], 1);
                    long start = System.nanoTime();
                    int times = Integer.parseInt(words[3]);
                    second(client, words[2], times);
                    say("second " + (System.nanoTime() - start) / times + " -1");
                    break;
                case "mem":
                    System.gc();
                    Runtime r = Runtime.getRuntime();
                    say("mem " + (r.totalMemory() - r.freeMemory()) + " "
                        + ManagementFactory.getThreadMXBean().getThreadCount());
                    break;
                case "cpu":
                    say("cpu " + ((OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean())
                        .getProcessCpuTime());
                    break;
                default:
                    throw new IllegalArgumentException(line);
            }
        }
        System.exit(0);
    }
}
