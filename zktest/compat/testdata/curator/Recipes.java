import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.List;
import java.util.TreeSet;
import java.util.concurrent.Callable;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.framework.api.transaction.CuratorOp;
import org.apache.curator.framework.api.transaction.CuratorTransactionResult;
import org.apache.curator.framework.recipes.cache.ChildData;
import org.apache.curator.framework.recipes.cache.CuratorCache;
import org.apache.curator.framework.recipes.cache.CuratorCacheListener;
import org.apache.curator.framework.recipes.leader.LeaderLatch;
import org.apache.curator.framework.recipes.leader.LeaderLatchListener;
import org.apache.curator.framework.recipes.leader.Participant;
import org.apache.curator.framework.recipes.locks.InterProcessMutex;
import org.apache.curator.framework.recipes.nodes.PersistentNode;
import org.apache.curator.framework.state.ConnectionState;
import org.apache.curator.retry.RetryForever;
import org.apache.curator.x.discovery.ServiceCache;
import org.apache.curator.x.discovery.ServiceDiscovery;
import org.apache.curator.x.discovery.ServiceDiscoveryBuilder;
import org.apache.curator.x.discovery.ServiceInstance;
import org.apache.curator.x.discovery.details.ServiceCacheListener;
import org.apache.zookeeper.AddWatchMode;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.Watcher;
import org.apache.zookeeper.ZooDefs;
import org.apache.zookeeper.ZooKeeper;
import org.apache.zookeeper.data.ACL;
import org.apache.zookeeper.data.Id;
import org.apache.zookeeper.data.Stat;
import org.apache.zookeeper.server.auth.DigestAuthenticationProvider;

/**
 * Uses Curator's recipes on the server at the address that is its argument, and prints what it sees, which
 * is the same on every server that works: no times, no session IDs, and nothing whose order is open.
 */
public class Recipes {
    private static final int SESSION_MILLIS = 10_000;
    private static final int PATIENCE_MILLIS = 60_000;

    private static String address;
    private static final List<CuratorFramework> clients = new ArrayList<>();

    public static void main(String[] args) throws Exception {
        address = args[0];
        section("basics", Recipes::basics);
        section("access", Recipes::access);
        section("transaction", Recipes::transaction);
        section("watches", Recipes::watches);
        section("CuratorCache", Recipes::cache);
        section("PersistentNode", Recipes::persistentNode);
        section("ServiceDiscovery", Recipes::discovery);
        section("LeaderLatch", Recipes::latch);
        section("InterProcessMutex", Recipes::mutex);
        System.exit(0); // whatever threads a failed section has left
    }

    interface Body {
        void run() throws Exception;
    }

    private static void section(String name, Body body) {
        say("== " + name);
        try {
            body.run();
        } catch (Throwable e) {
            say("FAILED: " + e);
            e.printStackTrace();
        }
        for (CuratorFramework client : clients) {
            client.close();
        }
        clients.clear();
    }

    private static synchronized void say(String line) {
        System.out.println(line);
        System.out.flush();
    }

    /** Waits until a condition holds, and says so. */
    private static void await(String what, Callable<Boolean> condition) throws Exception {
        long end = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(PATIENCE_MILLIS);
        while (true) {
            boolean holds = false;
            try {
                holds = condition.call();
            } catch (KeeperException.NoNodeException e) {
                // not there yet
            }
            if (holds) {
                say(what);
                return;
            }
            if (System.nanoTime() > end) {
                throw new IllegalStateException("never: " + what);
            }
            Thread.sleep(10);
        }
    }

    private static CuratorFramework connect() throws Exception {
        CuratorFramework client = CuratorFrameworkFactory.builder()
                .connectString(address)
                .sessionTimeoutMs(SESSION_MILLIS)
                .connectionTimeoutMs(PATIENCE_MILLIS)
                .retryPolicy(new RetryForever(100))
                .build();
        client.start();
        client.blockUntilConnected();
        clients.add(client);
        return client;
    }

    private static long session(CuratorFramework client) throws Exception {
        return client.getZookeeperClient().getZooKeeper().getSessionId();
    }

    /** Has the server end a client's session: a second client takes the session over and closes it. */
    private static void expire(CuratorFramework client) throws Exception {
        long before = session(client);
        List<ConnectionState> states = new CopyOnWriteArrayList<>();
        client.getConnectionStateListenable().addListener((c, state) -> states.add(state));
        ZooKeeper zk = client.getZookeeperClient().getZooKeeper();
        CountDownLatch connected = new CountDownLatch(1);
        ZooKeeper thief = new ZooKeeper(address, SESSION_MILLIS, event -> {
            if (event.getState() == Watcher.Event.KeeperState.SyncConnected) {
                connected.countDown();
            }
        }, zk.getSessionId(), zk.getSessionPasswd());
        connected.await();
        say("the session could be taken over: " + (thief.getSessionId() == before));
        thief.close();
        await("the session was lost and there is a new one", () ->
                states.contains(ConnectionState.LOST)
                        && states.indexOf(ConnectionState.LOST) < states.lastIndexOf(ConnectionState.RECONNECTED)
                        && session(client) != before);
    }

    private static byte[] bytes(String text) {
        return text.getBytes(java.nio.charset.StandardCharsets.UTF_8);
    }

    private static String text(byte[] data) {
        return data == null ? "null" : new String(data, java.nio.charset.StandardCharsets.UTF_8);
    }

    private static String text(Stat stat) {
        return "version=" + stat.getVersion() + " cversion=" + stat.getCversion() + " aversion=" + stat.getAversion()
                + " length=" + stat.getDataLength() + " children=" + stat.getNumChildren()
                + " ephemeral=" + (stat.getEphemeralOwner() != 0)
                + " changed=" + (stat.getMzxid() > stat.getCzxid())
                + " childrenChanged=" + (stat.getPzxid() > stat.getCzxid());
    }

    private static void fails(String what, Body body) throws Exception {
        try {
            body.run();
            say(what + ": done");
        } catch (KeeperException e) {
            say(what + ": " + e.code() + " " + e.getPath());
        }
    }

    private static void basics() throws Exception {
        CuratorFramework client = connect();
        say(client.create().creatingParentsIfNeeded().forPath("/basics/a/b", bytes("one")));
        Stat stat = new Stat();
        say(text(client.getData().storingStatIn(stat).forPath("/basics/a/b")) + " " + text(stat));
        say(text(client.setData().withVersion(0).forPath("/basics/a/b", bytes("second"))));
        fails("set with an old version", () -> client.setData().withVersion(0).forPath("/basics/a/b", bytes("x")));
        fails("create it again", () -> client.create().forPath("/basics/a/b"));
        fails("create below nothing", () -> client.create().forPath("/basics/none/b"));
        fails("get what is not there", () -> client.getData().forPath("/basics/none"));
        fails("delete what has children", () -> client.delete().forPath("/basics/a"));
        say("exists: " + (client.checkExists().forPath("/basics/none") != null));

        String name = client.create().withMode(CreateMode.EPHEMERAL).forPath("/basics/mine", bytes(""));
        stat = client.checkExists().forPath(name);
        say(name + " " + text(stat) + " owner is me: " + (stat.getEphemeralOwner() == session(client)));
        fails("create below an ephemeral node", () -> client.create().forPath("/basics/mine/child"));
        for (int i = 0; i < 3; i++) {
            say(client.create().withMode(CreateMode.PERSISTENT_SEQUENTIAL).forPath("/basics/a/n-"));
        }
        String guarded = client.create().withProtection().withMode(CreateMode.EPHEMERAL_SEQUENTIAL)
                .forPath("/basics/a/p-");
        say(guarded.replaceAll("_c_[-0-9a-f]{36}", "_c_ID"));
        client.delete().guaranteed().forPath(guarded);
        say(String.valueOf(new TreeSet<>(client.getChildren().forPath("/basics/a"))));

        say(client.create().creatingParentContainersIfNeeded().forPath("/basics/container/x"));
        say("container: " + text(client.checkExists().forPath("/basics/container")));
        fails("a node with a time to live", () -> say(
                client.create().withTtl(60_000).withMode(CreateMode.PERSISTENT_WITH_TTL).forPath("/basics/ttl")));
        say(client.create().orSetData().forPath("/basics/a/b", bytes("third")) + " "
                + text(client.getData().forPath("/basics/a/b")));
        client.create().compressed().forPath("/basics/zip", bytes("x".repeat(1000)));
        say("compressed: " + text(client.getData().decompressed().forPath("/basics/zip")).length());
        client.sync().forPath("/basics");

        CountDownLatch answered = new CountDownLatch(1);
        client.getData().inBackground((c, event) -> {
            say(event.getType() + " " + event.getResultCode() + " " + event.getPath() + " " + text(event.getData()));
            answered.countDown();
        }).forPath("/basics/a/b");
        answered.await();
        client.delete().deletingChildrenIfNeeded().forPath("/basics");
        say("exists: " + (client.checkExists().forPath("/basics") != null));
    }

    private static void access() throws Exception {
        CuratorFramework client = CuratorFrameworkFactory.builder()
                .connectString(address)
                .sessionTimeoutMs(SESSION_MILLIS)
                .retryPolicy(new RetryForever(100))
                .authorization("digest", bytes("ann:secret"))
                .build();
        client.start();
        clients.add(client);
        CuratorFramework other = connect();
        Id ann = new Id("digest", DigestAuthenticationProvider.generateDigest("ann:secret"));
        List<ACL> acl = List.of(new ACL(ZooDefs.Perms.ALL, ann),
                new ACL(ZooDefs.Perms.READ, ZooDefs.Ids.ANYONE_ID_UNSAFE));
        client.create().withACL(acl).forPath("/access", bytes("x"));
        say(String.valueOf(other.getACL().forPath("/access")).trim());
        say(text(other.getData().forPath("/access")));
        fails("set without the right", () -> other.setData().forPath("/access", bytes("y")));
        fails("create without the right", () -> other.create().forPath("/access/x"));
        client.create().withACL(ZooDefs.Ids.CREATOR_ALL_ACL).forPath("/access/secret", bytes("s"));
        fails("read without the right", () -> other.getData().forPath("/access/secret"));
        say(text(client.getData().forPath("/access/secret")));
        fails("an ACL that says nothing", () -> other.create().withACL(Collections.emptyList()).forPath("/access2"));
        say(text(client.setACL().withACL(ZooDefs.Ids.OPEN_ACL_UNSAFE).forPath("/access/secret")));
        say(text(other.getData().forPath("/access/secret")));
        expire(client);
        say("after a new session: " + text(client.setData().forPath("/access", bytes("new"))));
    }

    private static void transaction() throws Exception {
        CuratorFramework client = connect();
        CuratorOp[] operations = {
            client.transactionOp().create().forPath("/t", bytes("1")),
            client.transactionOp().create().withMode(CreateMode.PERSISTENT_SEQUENTIAL).forPath("/t/n-", bytes("2")),
            client.transactionOp().setData().withVersion(0).forPath("/t", bytes("3")),
            client.transactionOp().check().withVersion(1).forPath("/t"),
            client.transactionOp().create().withMode(CreateMode.EPHEMERAL).forPath("/t/e", bytes("4")),
            client.transactionOp().delete().forPath("/t/e"),
        };
        for (CuratorTransactionResult r : client.transaction().forOperations(operations)) {
            say(r.getType() + " " + r.getForPath() + " " + r.getResultPath() + " " + r.getError() + " "
                    + (r.getResultStat() == null ? "" : text(r.getResultStat())));
        }
        try {
            client.transaction().forOperations(
                    client.transactionOp().create().forPath("/t/x"),
                    client.transactionOp().check().withVersion(7).forPath("/t"),
                    client.transactionOp().delete().forPath("/t"));
            say("done");
        } catch (KeeperException e) {
            List<String> codes = new ArrayList<>();
            e.getResults().forEach(r -> codes.add(r.getClass().getSimpleName() + " "
                    + (r instanceof org.apache.zookeeper.OpResult.ErrorResult
                            ? KeeperException.Code.get(((org.apache.zookeeper.OpResult.ErrorResult) r).getErr()) : "")));
            say(e.code() + " " + codes);
        }
        say(String.valueOf(new TreeSet<>(client.getChildren().forPath("/t"))));
    }

    private static void watches() throws Exception {
        CuratorFramework client = connect();
        CuratorFramework writer = connect();
        client.create().forPath("/w");
        for (AddWatchMode mode : AddWatchMode.values()) {
            List<String> seen = new CopyOnWriteArrayList<>();
            client.watchers().add().withMode(mode).usingWatcher((Watcher) event -> {
                if (event.getType() != Watcher.Event.EventType.None) {
                    seen.add(event.getType() + " " + event.getPath());
                }
            }).forPath("/w");
            writer.create().forPath("/w/" + mode);
            writer.create().forPath("/w/" + mode + "/below");
            writer.setData().forPath("/w/" + mode, bytes("x"));
            writer.setData().forPath("/w", bytes("x"));
            writer.delete().deletingChildrenIfNeeded().forPath("/w/" + mode);
            writer.setData().forPath("/w", bytes("the last"));
            await(mode + " has seen the last change", () -> !seen.isEmpty()
                    && Collections.frequency(seen, "NodeDataChanged /w") == 2);
            seen.forEach(line -> say("  " + line));
            client.watchers().removeAll().forPath("/w");
            int before = seen.size();
            writer.setData().forPath("/w", bytes("unseen"));
            client.sync().forPath("/w");
            client.getData().forPath("/w"); // whatever events there are come before this answer
            say(mode + " removed: " + (seen.size() == before || seen.get(before).contains("WatchRemoved")));
        }
        List<String> once = new CopyOnWriteArrayList<>();
        Watcher watcher = event -> once.add(event.getType() + " " + event.getPath());
        client.checkExists().usingWatcher(watcher).forPath("/w/later");
        client.getChildren().usingWatcher(watcher).forPath("/w");
        writer.create().forPath("/w/later");
        await("two events", () -> once.size() == 2);
        say(String.valueOf(once));
        client.getData().usingWatcher(watcher).forPath("/w/later");
        client.getChildren().usingWatcher(watcher).forPath("/w/later");
        writer.delete().forPath("/w/later");
        await("one event more", () -> once.size() >= 3);
        client.sync().forPath("/w");
        client.getData().forPath("/w");
        say(String.valueOf(once));
    }

    private static String text(ChildData node) {
        return node == null
                ? "nothing"
                : node.getPath() + "=" + text(node.getData()) + " v" + node.getStat().getVersion();
    }

    private static void cache() throws Exception {
        CuratorFramework client = connect();
        CuratorFramework writer = connect();
        writer.create().creatingParentsIfNeeded().forPath("/cache/a", bytes("1"));
        writer.create().forPath("/cache/b", bytes("1"));
        List<String> seen = new CopyOnWriteArrayList<>();
        CuratorCache cache = CuratorCache.build(client, "/cache");
        CuratorCacheListener listener = CuratorCacheListener.builder()
                .forAll((type, old, now) -> seen.add(type + ": " + text(old) + " -> " + text(now)))
                .forInitialized(() -> seen.add("initialized"))
                .build();
        cache.listenable().addListener(listener);
        cache.start();
        await("initialized", () -> seen.contains("initialized"));
        new TreeSet<>(seen).forEach(line -> say("  " + line)); // read in parallel, so in any order
        seen.clear();

        Changes changes = new Changes(seen);
        changes.make("change", () -> writer.setData().forPath("/cache/a", bytes("2")));
        changes.make("create", () -> writer.create().forPath("/cache/c", bytes("new")));
        changes.make("create below", () -> writer.create().forPath("/cache/c/d", bytes("deep")));
        changes.make("change below", () -> writer.setData().forPath("/cache/c/d", bytes("deeper")));
        changes.make("delete below", () -> writer.delete().forPath("/cache/c/d"));
        changes.make("delete", () -> writer.delete().forPath("/cache/b"));
        changes.make("create again", () -> writer.create().forPath("/cache/b", bytes("again")));
        changes.make("the root", () -> writer.setData().forPath("/cache", bytes("root")));
        expire(client);
        changes.make("change after expiry", () -> writer.setData().forPath("/cache/a", bytes("3")));
        changes.make("create after expiry", () -> writer.create().forPath("/cache/e", bytes("5")));
        changes.make("delete after expiry", () -> writer.delete().forPath("/cache/e"));
        List<String> all = new ArrayList<>();
        cache.stream().forEach(node -> all.add(text(node)));
        Collections.sort(all);
        all.forEach(line -> say("  " + line));
        cache.close();
    }

    /** Makes changes one by one, and says which event each one leads to. */
    private static class Changes {
        private final List<String> seen;
        private int count;

        Changes(List<String> seen) {
            this.seen = seen;
        }

        void make(String what, Body change) throws Exception {
            count = seen.size();
            change.run();
            await(what, () -> seen.size() > count);
            say("  " + seen.subList(count, seen.size()));
        }
    }

    private static boolean ownedBy(CuratorFramework owner, CuratorFramework reader, String path) throws Exception {
        Stat stat = reader.checkExists().forPath(path);
        return stat != null && stat.getEphemeralOwner() == session(owner);
    }

    private static void persistentNode() throws Exception {
        CuratorFramework client = connect();
        CuratorFramework other = connect();
        PersistentNode node =
                new PersistentNode(client, CreateMode.EPHEMERAL, false, "/pn/node", bytes("first"));
        node.start();
        say("created: " + node.waitForInitialCreate(PATIENCE_MILLIS, TimeUnit.MILLISECONDS));
        say(node.getActualPath() + " " + text(other.checkExists().forPath("/pn/node")));
        other.delete().forPath("/pn/node");
        await("it came back after a delete", () -> ownedBy(client, other, "/pn/node"));
        other.setData().forPath("/pn/node", bytes("foreign"));
        node.setData(bytes("second"));
        await("it has its own data again", () -> text(other.getData().forPath("/pn/node")).equals("second"));
        expire(client);
        await("it came back in a new session", () -> ownedBy(client, other, "/pn/node"));
        say(text(other.getData().forPath("/pn/node")));
        node.close();
        await("it is gone", () -> other.checkExists().forPath("/pn/node") == null);
        say("its parent: " + text(other.checkExists().forPath("/pn")));

        PersistentNode counted =
                new PersistentNode(client, CreateMode.EPHEMERAL_SEQUENTIAL, true, "/pn/seq-", bytes("x"));
        counted.start();
        counted.waitForInitialCreate(PATIENCE_MILLIS, TimeUnit.MILLISECONDS);
        String first = counted.getActualPath();
        say(first.replaceAll("_c_[-0-9a-f]{36}", "_c_ID"));
        other.delete().forPath(first);
        await("the numbered one came back", () -> ownedBy(client, other, counted.getActualPath()));
        // Curator makes it under its old name, number and all.
        say("under the same name: " + counted.getActualPath().equals(first));
        counted.close();
    }

    private static void discovery() throws Exception {
        CuratorFramework client = connect();
        CuratorFramework other = connect();
        ServiceInstance<String> instance = ServiceInstance.<String>builder()
                .name("web").id("one").address("127.0.0.1").port(8080).payload("first").build();
        ServiceDiscovery<String> here = ServiceDiscoveryBuilder.builder(String.class)
                .client(client).basePath("/services").thisInstance(instance).build();
        here.start();
        ServiceDiscovery<String> there = ServiceDiscoveryBuilder.builder(String.class)
                .client(other).basePath("/services").build();
        there.start();
        await("registered", () -> there.queryForInstance("web", "one") != null);
        say(there.queryForNames() + " " + text(there.queryForInstances("web")));
        say("ephemeral: " + ownedBy(client, other, "/services/web/one"));

        ServiceCache<String> cache = there.serviceCacheBuilder().name("web").build();
        List<String> seen = new CopyOnWriteArrayList<>();
        cache.addListener(new ServiceCacheListener() {
            @Override
            public void cacheChanged() {
                seen.add(text(cache.getInstances()));
            }

            @Override
            public void stateChanged(CuratorFramework c, ConnectionState state) {
            }
        });
        cache.start();
        say("cache: " + text(cache.getInstances()));
        ServiceInstance<String> second = ServiceInstance.<String>builder()
                .name("web").id("two").address("127.0.0.1").port(8081).payload("x").build();
        here.registerService(second);
        await("a second one", () -> cache.getInstances().size() == 2);
        say(text(cache.getInstances()));
        ServiceInstance<String> changed = ServiceInstance.<String>builder()
                .name("web").id("two").address("127.0.0.1").port(8081).payload("y").build();
        here.updateService(changed);
        await("it was updated", () -> text(cache.getInstances()).contains("y"));
        expire(client);
        await("both are registered again", () -> ownedBy(client, other, "/services/web/one")
                && ownedBy(client, other, "/services/web/two"));
        await("the cache has both", () -> cache.getInstances().size() == 2);
        say(text(cache.getInstances()));
        here.unregisterService(changed);
        await("one is left", () -> cache.getInstances().size() == 1);
        expire(other);
        await("one is left after the reader's expiry", () -> cache.getInstances().size() == 1);
        here.close();
        await("none is left", () -> cache.getInstances().isEmpty());
        say("there were changes: " + !seen.isEmpty() + " " + seen.get(seen.size() - 1));
        say(String.valueOf(there.queryForInstances("web")));
        cache.close();
        there.close();
    }

    private static String text(Collection<ServiceInstance<String>> instances) {
        TreeSet<String> all = new TreeSet<>();
        for (ServiceInstance<String> i : instances) {
            all.add(i.getName() + "/" + i.getId() + "@" + i.getAddress() + ":" + i.getPort() + " " + i.getPayload());
        }
        return String.valueOf(all);
    }

    private static LeaderLatch latch(CuratorFramework client, String id, List<String> seen) throws Exception {
        LeaderLatch latch = new LeaderLatch(client, "/latch", id);
        latch.addListener(new LeaderLatchListener() {
            @Override
            public void isLeader() {
                seen.add("leader");
            }

            @Override
            public void notLeader() {
                seen.add("not leader");
            }
        });
        latch.start();
        return latch;
    }

    private static void latch() throws Exception {
        CuratorFramework one = connect();
        CuratorFramework two = connect();
        List<String> seenByOne = new CopyOnWriteArrayList<>();
        List<String> seenByTwo = new CopyOnWriteArrayList<>();
        LeaderLatch first = latch(one, "one", seenByOne);
        await("one leads", first::hasLeadership);
        LeaderLatch second = latch(two, "two", seenByTwo);
        await("two take part", () -> first.getParticipants().size() == 2);
        List<String> all = new ArrayList<>();
        for (Participant p : first.getParticipants()) {
            all.add(p.getId() + " " + p.isLeader());
        }
        say(all + " two leads: " + second.hasLeadership() + ", the leader is " + second.getLeader().getId());
        say("two waits in vain: " + second.await(200, TimeUnit.MILLISECONDS));
        expire(one);
        await("two leads", second::hasLeadership);
        await("one takes part again", () -> second.getParticipants().size() == 2);
        say("one leads: " + first.hasLeadership() + ", the leader is " + first.getLeader().getId());
        second.close();
        await("one leads again", first::hasLeadership);
        await("what one saw", () -> seenByOne.size() >= 3);
        say(seenByOne + " " + seenByTwo);
        first.close();
        await("nobody takes part", () -> two.getChildren().forPath("/latch").isEmpty());
    }

    private static void mutex() throws Exception {
        CuratorFramework one = connect();
        CuratorFramework two = connect();
        InterProcessMutex mine = new InterProcessMutex(one, "/mutex");
        InterProcessMutex theirs = new InterProcessMutex(two, "/mutex");
        mine.acquire();
        say("mine: " + mine.isAcquiredInThisProcess() + " " + mine.isOwnedByCurrentThread());
        say("once more: " + mine.acquire(0, TimeUnit.SECONDS));
        mine.release();
        say("theirs in vain: " + theirs.acquire(200, TimeUnit.MILLISECONDS));
        say("nodes: " + mine.getParticipantNodes().size());

        CountDownLatch acquired = new CountDownLatch(1);
        CountDownLatch release = new CountDownLatch(1);
        Thread waiter = new Thread(() -> {
            try {
                theirs.acquire();
                say("theirs at last");
                acquired.countDown();
                release.await();
                theirs.release();
            } catch (Exception e) {
                say("FAILED: " + e);
            }
        });
        waiter.start();
        await("the other one waits", () -> mine.getParticipantNodes().size() == 2);
        mine.release();
        acquired.await();
        say("mine in vain: " + mine.acquire(200, TimeUnit.MILLISECONDS));
        release.countDown();
        waiter.join();

        mine.acquire();
        say("mine again");
        expire(one);
        say("theirs, because my session has gone: " + theirs.acquire(PATIENCE_MILLIS, TimeUnit.MILLISECONDS));
        theirs.release();
        say("nodes: " + theirs.getParticipantNodes().size());

        // Many threads of both clients; the counter is not atomic, so that it shows if two hold the lock.
        int[] count = {0};
        List<Thread> threads = new ArrayList<>();
        for (int i = 0; i < 8; i++) {
            InterProcessMutex lock = new InterProcessMutex(i % 2 == 0 ? one : two, "/mutex-many");
            Thread thread = new Thread(() -> {
                try {
                    for (int n = 0; n < 5; n++) {
                        lock.acquire();
                        int now = count[0];
                        Thread.yield();
                        count[0] = now + 1;
                        lock.release();
                    }
                } catch (Exception e) {
                    say("FAILED: " + e);
                }
            });
            threads.add(thread);
            thread.start();
        }
        for (Thread thread : threads) {
            thread.join();
        }
        say("counted: " + count[0]);
    }
}
