import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.apache.zookeeper.AddWatchMode;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.Op;
import org.apache.zookeeper.OpResult;
import org.apache.zookeeper.WatchedEvent;
import org.apache.zookeeper.Watcher;
import org.apache.zookeeper.ZooDefs.Ids;
import org.apache.zookeeper.ZooKeeper;
import org.apache.zookeeper.data.Stat;

/** What only Apache's own client has: lasting watches, their removal and renewal, create2, containers, multiRead. */
public final class JavaClient {
    static final BlockingQueue<WatchedEvent> events = new LinkedBlockingQueue<>();
    static ZooKeeper client;
    static String root;

    interface Check { void run() throws Exception; }

    public static void main(String[] arguments) throws Exception {
        String[] servers = arguments[0].split(",");
        client = connect(arguments[0], event -> { });
        root = client.create("/java-", new byte[0], Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT_SEQUENTIAL);
        int failed = 0;
        failed += check("create2", JavaClient::create2);
        failed += check("containers", JavaClient::containers);
        failed += check("persistent", JavaClient::persistent);
        failed += check("recursive", JavaClient::recursive);
        failed += check("removeWatches", JavaClient::removeWatches);
        failed += check("multiRead", JavaClient::multiRead);
        failed += check("multiWithCreate2", JavaClient::multi);
        failed += check("ephemerals", JavaClient::ephemerals);
        failed += check("whoAmI", JavaClient::whoAmI);
        failed += check("renewedWatches", () -> renewedWatches(arguments[0]));
        client.close();
        System.exit(failed == 0 ? 0 : 1);
    }

    static ZooKeeper connect(String servers, Watcher watcher) throws Exception {
        CountDownLatch connected = new CountDownLatch(1);
        ZooKeeper made = new ZooKeeper(servers, 8000, event -> {
            if (event.getState() == Watcher.Event.KeeperState.SyncConnected) connected.countDown();
            if (event.getType() != Watcher.Event.EventType.None) watcher.process(event);
        });
        if (!connected.await(20, TimeUnit.SECONDS)) throw new IllegalStateException("no connection to " + servers);
        return made;
    }

    static int check(String name, Check body) {
        try {
            events.clear();
            body.run();
            System.out.println("ok " + name);
            return 0;
        } catch (Throwable problem) {
            System.out.println("failed " + name + ": " + problem);
            return 1;
        }
    }

    static void equal(Object seen, Object wanted) {
        if (!wanted.equals(seen)) throw new AssertionError(seen + " instead of " + wanted);
    }

    static String next() throws Exception {
        WatchedEvent event;
        do {
            // Watchers are also told of the connection; that is not the server's doing.
            event = events.poll(5, TimeUnit.SECONDS);
        } while (event != null && event.getType() == Watcher.Event.EventType.None);
        return event == null ? "nothing" : event.getType() + " " + event.getPath().substring(root.length());
    }

    static void make(String path) throws Exception {
        client.create(root + path, new byte[0], Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
    }

    static void create2() throws Exception {
        Stat stat = new Stat();
        client.create(root + "/create2", new byte[] {1, 2}, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT, stat);
        equal(stat.getDataLength(), 2);
        equal(stat.getCzxid(), client.exists(root + "/create2", false).getCzxid());
    }

    static void containers() throws Exception {
        String path = client.create(root + "/container", new byte[0], Ids.OPEN_ACL_UNSAFE, CreateMode.CONTAINER);
        equal(client.exists(path, false).getEphemeralOwner(), 0L);
        make("/container/child");
        client.delete(path + "/child", -1);
    }

    static void persistent() throws Exception {
        make("/p");
        client.addWatch(root + "/p", events::add, AddWatchMode.PERSISTENT);
        for (int turn = 0; turn < 2; turn++) {
            client.setData(root + "/p", new byte[0], -1);
            equal(next(), "NodeDataChanged /p");
        }
        make("/p/child");
        equal(next(), "NodeChildrenChanged /p");
        client.setData(root + "/p/child", new byte[0], -1);
        client.delete(root + "/p/child", -1);
        equal(next(), "NodeChildrenChanged /p");
        client.delete(root + "/p", -1);
        equal(next(), "NodeDeleted /p");
        make("/p");
        equal(next(), "NodeCreated /p");
    }

    static void recursive() throws Exception {
        make("/r");
        client.addWatch(root + "/r", events::add, AddWatchMode.PERSISTENT_RECURSIVE);
        make("/r/a");
        make("/r/a/b");
        client.setData(root + "/r/a/b", new byte[0], -1);
        client.delete(root + "/r/a/b", -1);
        for (String wanted : Arrays.asList("NodeCreated /r/a", "NodeCreated /r/a/b", "NodeDataChanged /r/a/b", "NodeDeleted /r/a/b"))
            equal(next(), wanted);
        equal(events.poll(200, TimeUnit.MILLISECONDS) == null, true);
    }

    static void removeWatches() throws Exception {
        make("/w");
        Watcher watcher = events::add;
        client.getData(root + "/w", watcher, null);
        client.removeWatches(root + "/w", watcher, Watcher.WatcherType.Data, false);
        equal(next(), "DataWatchRemoved /w");
        client.setData(root + "/w", new byte[0], -1);
        client.addWatch(root + "/w", watcher, AddWatchMode.PERSISTENT_RECURSIVE);
        client.removeWatches(root + "/w", watcher, Watcher.WatcherType.Any, false);
        equal(next(), "PersistentWatchRemoved /w");
        make("/w/child");
        equal(events.poll(200, TimeUnit.MILLISECONDS) == null, true);
        try {
            client.removeWatches(root + "/w", watcher, Watcher.WatcherType.Any, false);
            throw new AssertionError("a watch that is not there was removed");
        } catch (KeeperException.NoWatcherException expected) {
            return;
        }
    }

    static void multiRead() throws Exception {
        make("/m");
        List<OpResult> results = client.multi(Arrays.asList(
            Op.getData(root + "/m"), Op.getChildren(root), Op.getData(root + "/none")));
        equal(results.get(0).getClass().getSimpleName(), "GetDataResult");
        equal(((OpResult.GetChildrenResult) results.get(1)).getChildren().contains("m"), true);
        equal(((OpResult.ErrorResult) results.get(2)).getErr(), KeeperException.Code.NONODE.intValue());
    }

    static void multi() throws Exception {
        List<OpResult> results = client.multi(Arrays.asList(
            Op.create(root + "/multi", new byte[0], Ids.OPEN_ACL_UNSAFE, CreateMode.CONTAINER.toFlag()),
            Op.check(root, 0), Op.setData(root + "/multi", new byte[] {1}, 0), Op.delete(root + "/multi", 1)));
        equal(results.size(), 4);
    }

    static void ephemerals() throws Exception {
        client.create(root + "/e", new byte[0], Ids.OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL);
        equal(client.getEphemerals(root), Collections.singletonList(root + "/e"));
        equal(client.getAllChildrenNumber(root) >= 1, true);
    }

    static void whoAmI() throws Exception {
        client.addAuthInfo("digest", "me:secret".getBytes());
        equal(client.whoAmI().toString().contains("me"), true);
    }

    /** setWatches2: lasting and one-shot watches survive a lost connection, and missed events follow. */
    static void renewedWatches(String servers) throws Exception {
        make("/renewed");
        ZooKeeper watching = connect(servers, event -> { });
        watching.addWatch(root + "/renewed", events::add, AddWatchMode.PERSISTENT_RECURSIVE);
        watching.exists(root + "/later", events::add);
        sever(watching);
        make("/later");
        List<String> seen = new ArrayList<>();
        seen.add(next());
        equal(seen, Collections.singletonList("NodeCreated /later"));
        make("/renewed/below");
        equal(next(), "NodeCreated /renewed/below");
        watching.close();
    }

    /** Closes the socket under the client, as its own tests do; the method is not public. */
    static void sever(ZooKeeper victim) throws Exception {
        java.lang.reflect.Field connection = ZooKeeper.class.getDeclaredField("cnxn");
        connection.setAccessible(true);
        java.lang.reflect.Field sender = connection.get(victim).getClass().getDeclaredField("sendThread");
        sender.setAccessible(true);
        java.lang.reflect.Method close = sender.get(connection.get(victim)).getClass().getDeclaredMethod("testableCloseSocket");
        close.setAccessible(true);
        close.invoke(sender.get(connection.get(victim)));
    }
}
