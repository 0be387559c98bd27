import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.File;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.UncheckedIOException;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicReference;
import java.util.stream.Collectors;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.framework.recipes.cache.ChildData;
import org.apache.curator.framework.recipes.cache.CuratorCache;
import org.apache.curator.framework.recipes.cache.CuratorCacheAccessor;
import org.apache.curator.framework.recipes.cache.CuratorCacheListener;
import org.apache.curator.framework.state.ConnectionState;
import org.apache.curator.retry.ExponentialBackoffRetry;
import org.apache.curator.utils.ZKPaths;
import org.apache.curator.x.discovery.ServiceDiscovery;
import org.apache.curator.x.discovery.ServiceDiscoveryBuilder;
import org.apache.curator.x.discovery.ServiceInstance;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.data.Stat;

/**
 * Curator as a contender of the torture test.
 *
 * <p>What the driver must know: "children" has no zxids. The cache that it is from has the names by events of the
 * children, and reads the parent's Stat at other times: that Stat is not the one of these names. The value of a
 * registered node is the JSON of Curator's ServiceInstance. One client should not be asked for "data" and
 * "children" of the same path: both caches have a persistent watch on it, of different modes, and after a reconnect
 * the names were seen to stay behind.
 */
public class Curator {
    private static final FileOutputStream out = new FileOutputStream(FileDescriptor.out);
    private static final ObjectMapper json = new ObjectMapper();

    private final CuratorFramework client;
    private final ExecutorService commands = Executors.newCachedThreadPool();
    private final Map<String, Future<Registration>> registrations = new ConcurrentHashMap<>();

    private Curator(String servers, int timeoutMs) {
        client = CuratorFrameworkFactory.builder()
            .connectString(servers)
            .sessionTimeoutMs(timeoutMs)
            .retryPolicy(new ExponentialBackoffRetry(1000, 3)) // as its documentation starts a client
            .build();
        client.getConnectionStateListenable().addListener((c, state) -> session(state));
    }

    /** Writes a line at once and whole. */
    private static synchronized void say(String line) {
        try {
            out.write((line + "\n").getBytes(StandardCharsets.UTF_8));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static String why(Throwable e) {
        return e.toString().replaceAll("\\s+", " ");
    }

    private static void session(ConnectionState state) {
        switch (state) {
            case CONNECTED:
            case RECONNECTED:
                say("session connected");
                break;
            case SUSPENDED:
                say("session suspended");
                break;
            case LOST:
                say("session expired");
                break;
            default: // READ_ONLY: not asked for
        }
    }

    private void data(String id, String path) {
        CuratorCache cache = CuratorCache.build(client, path, CuratorCache.Options.SINGLE_NODE_CACHE);
        AtomicBoolean told = new AtomicBoolean();
        Runnable missing = () -> {
            told.set(true);
            say("data " + id + " 0 0 -");
        };
        cache.listenable().addListener(CuratorCacheListener.builder()
            .forCreatesAndChanges((before, node) -> {
                told.set(true);
                Stat stat = node.getStat();
                say("data " + id + " " + stat.getCzxid() + " " + stat.getMzxid() + " " + text(node));
            })
            .forDeletes(before -> missing.run())
            .forInitialized(() -> {
                // Nothing was told so far where there is no node.
                if (!told.get()) {
                    missing.run();
                }
            })
            .build());
        cache.start();
    }

    private static String text(ChildData node) {
        return node.getData() == null ? "" : new String(node.getData(), StandardCharsets.UTF_8).replaceAll("\\.+$", "");
    }

    /**
     * The names are taken from the cache at each event: Curator's way to them. While the cache is being filled
     * they would be a part only, so it waits for that as the library offers. And the cache may be ahead of the
     * events that it tells: then its next event has no news, and the same names are not said twice.
     */
    private void children(String id, String path) {
        CuratorCache cache = CuratorCache.build(client, path);
        AtomicReference<String> last = new AtomicReference<>();
        Runnable tell = () -> {
            String names = names(cache, path);
            if (!names.equals(last.getAndSet(names))) {
                say("children " + id + " 0 0 " + names);
            }
        };
        cache.listenable().addListener(CuratorCacheListener.builder()
            .forAll((type, before, after) -> {
                // The cache is of the whole tree, with its data: only its first level, and its names, are asked for.
                String changed = (after != null ? after : before).getPath();
                boolean near = changed.equals(path) || ZKPaths.getPathAndNode(changed).getPath().equals(path);
                if (near && type != CuratorCacheListener.Type.NODE_CHANGED) {
                    tell.run();
                }
            })
            .forInitialized(tell)
            .afterInitialized()
            .build());
        cache.start();
    }

    private static String names(CuratorCache cache, String path) {
        if (!cache.get(path).isPresent()) {
            return "-";
        }
        return cache.stream()
            .filter(CuratorCacheAccessor.parentPathFilter(path))
            .map(node -> ZKPaths.getNodeFromPath(node.getPath()))
            .sorted()
            .collect(Collectors.joining(",", "[", "]"));
    }

    /**
     * All nodes of the cache are told at each event, as soon as the library says that it has them all. It tells of
     * one node at a time, and offers no more than to look at the others then.
     */
    private void follow(String verb, String id, String path) {
        CuratorCache cache = CuratorCache.build(client, path);
        boolean whole = verb.equals("tree");
        AtomicReference<String> last = new AtomicReference<>();
        Runnable tell = () -> {
            String nodes = nodes(cache, path, whole);
            if (!nodes.equals(last.getAndSet(nodes))) {
                say(verb + " " + id + " " + nodes);
            }
        };
        cache.listenable().addListener(CuratorCacheListener.builder()
            .forAll((type, before, after) -> tell.run())
            .forInitialized(tell)
            .afterInitialized()
            .build());
        cache.start();
    }

    private static String nodes(CuratorCache cache, String path, boolean whole) {
        if (!cache.get(path).isPresent()) {
            return "-";
        }
        return cache.stream()
            .map(node -> {
                boolean root = node.getPath().equals(path);
                boolean content = whole || !root;
                return (root ? "." : node.getPath().substring(path.length() + 1))
                    + "@" + node.getStat().getCzxid()
                    + "." + (content ? node.getStat().getMzxid() : 0)
                    + "=" + (content ? text(node) : "");
            })
            .sorted()
            .collect(Collectors.joining(",", "[", "]"));
    }

    /** A service instance with its discovery, as in Curator's own example: one each, since it tells them by id. */
    private static class Registration {
        final ServiceDiscovery<Void> discovery;
        final ServiceInstance<Void> instance;

        Registration(CuratorFramework client, String path, String addr) throws Exception {
            ZKPaths.PathAndNode service = ZKPaths.getPathAndNode(path);
            int colon = addr.lastIndexOf(':');
            instance = ServiceInstance.<Void>builder()
                .name(service.getNode())
                .id(addr)
                .address(addr.substring(0, colon))
                .port(Integer.parseInt(addr.substring(colon + 1)))
                .build();
            discovery = ServiceDiscoveryBuilder.builder(Void.class)
                .client(client)
                .basePath(service.getPath())
                .build();
        }

        /** The instance is not given to the builder: then, errors would be logged and not told. */
        void start() throws Exception {
            discovery.start();
            try {
                discovery.registerService(instance);
            } catch (Exception e) {
                discovery.close(); // or it would be registered later, after all
                throw e;
            }
        }

        void end() throws Exception {
            discovery.unregisterService(instance);
            discovery.close();
        }
    }

    private Registration register(String id, String path, String addr) throws Exception {
        try {
            Registration r = new Registration(client, path, addr);
            r.start();
            say("registered " + id);
            return r;
        } catch (Exception e) {
            say("failed " + id + " " + why(e));
            throw e;
        }
    }

    private void withdraw(String id, Future<Registration> registration) {
        try {
            if (registration == null) {
                throw new IllegalStateException("not registered");
            }
            registration.get().end();
            registrations.remove(id); // after a failure, it can be withdrawn once more
            say("withdrawn " + id);
        } catch (Exception e) {
            say("failed " + id + " " + why(e));
        }
    }

    private void update(String id, String path, String key, String value) {
        Future<?> set = commands.submit(() -> set(path, key, value));
        try {
            set.get(10, TimeUnit.SECONDS);
            say("updated " + id);
        } catch (ExecutionException e) {
            say("failed " + id + " " + why(e.getCause()));
        } catch (TimeoutException | InterruptedException e) {
            set.cancel(true);
            say("failed " + id + " " + why(e));
        }
    }

    private Void set(String path, String key, String value) throws Exception {
        for (;;) {
            Stat stat = new Stat();
            byte[] raw = client.getData().storingStatIn(stat).forPath(path);
            ObjectNode properties = raw == null || raw.length == 0
                ? json.createObjectNode()
                : (ObjectNode) json.readTree(raw);
            properties.put(key, value);
            try {
                client.setData().withVersion(stat.getVersion()).forPath(path, json.writeValueAsBytes(properties));
                return null;
            } catch (KeeperException.BadVersionException e) {
                // Somebody else was quicker.
            }
        }
    }

    private static void stats() {
        System.gc();
        Runtime r = Runtime.getRuntime();
        String[] fds = new File("/proc/self/fd").list();
        say("stats " + ManagementFactory.getThreadMXBean().getThreadCount()
            + " " + (r.totalMemory() - r.freeMemory())
            + " " + (fds == null ? 0 : fds.length - 1)); // without the one that reads the directory
    }

    /** Does not wait: a command that takes long does not hold up the next one. */
    private void obey(String[] words) {
        switch (words[0]) {
            case "data":
                data(words[1], words[2]);
                break;
            case "children":
                children(words[1], words[2]);
                break;
            case "instances":
            case "tree":
                follow(words[0], words[1], words[2]);
                break;
            case "register":
                registrations.put(words[1], commands.submit(() -> register(words[1], words[2], words[3])));
                break;
            case "withdraw":
                commands.execute(() -> withdraw(words[1], registrations.get(words[1])));
                break;
            case "update":
                commands.execute(() -> update(words[1], words[2], words[3], words[4]));
                break;
            case "stats":
                stats();
                break;
            default:
                say("unable " + words[0]);
        }
    }

    public static void main(String[] args) throws Exception {
        Curator curator = new Curator(args[0], Integer.parseInt(args[1]));
        curator.client.start();
        if (!curator.client.blockUntilConnected(1, TimeUnit.MINUTES)) {
            throw new IllegalStateException("no session for a minute");
        }
        say("ready");
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            curator.obey(line.split(" "));
        }
        curator.client.close();
        System.exit(0); // without waiting for commands that still are at it
    }
}
