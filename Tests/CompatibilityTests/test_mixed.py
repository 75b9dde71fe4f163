"""Ours and Apache's server in one ensemble, and on each other's files: every role in each implementation."""
import os
import shutil
import signal
import time
import unittest

import servers
import wire
from case import EnsembleCase, needs, needs_kazoo, not_quick
from servers import APACHE, OURS

try:
    import kazoo.client
    from kazoo.exceptions import NodeExistsError
    from kazoo.security import make_digest_acl
except ImportError:
    pass


def dump(client, path="/"):
    """Everything that a client can see: {path: (data, stat, access)}."""
    data, stat = client.get(path)
    acl = client.get_acls(path)[0]
    tree = {path: (data, tuple(stat), tuple(map(str, acl)))}
    for child in client.get_children(path):
        # /zookeeper/config is the server's own.
        if (path, child) != ("/zookeeper", "config"):
            tree.update(dump(client, (path if path != "/" else "") + "/" + child))
    return tree


class MixedCase(unittest.TestCase):
    def ensemble(self, *kinds):
        made = servers.Ensemble(list(kinds))
        self.addCleanup(made.close)
        return made

    def client(self, hosts, timeout=10.0):
        client = kazoo.client.KazooClient(hosts=hosts, timeout=timeout)

        def close():
            client.stop()
            client.close()
        self.addCleanup(close)
        client.start(timeout=30)
        client.add_auth("digest", "me:secret")
        return client

    def write(self, client, path, data=b""):
        """Writes once, whatever happens to the connection: the node's name makes a repetition harmless."""
        def written():
            try:
                client.create(path, data, makepath=True)
                return True
            except NodeExistsError:
                return True
            except Exception:
                return False
        servers.wait_for(f"a write of {path}", written, 40)

    def assert_holds(self, server, paths):
        """The server itself, not its leader, has them."""
        client = self.client(server.host)
        client.sync("/")
        for path in paths:
            self.assertIsNotNone(client.exists(path), f"{path} is missing on {server.kind} {server.host}\n{server.tail()}")

    def assert_same_trees(self, ensemble):
        trees = []
        for server in ensemble.servers:
            client = self.client(server.host)
            client.sync("/")
            trees.append(dump(client))
        for server, tree in zip(ensemble.servers[1:], trees[1:]):
            self.assertEqual(tree, trees[0], f"{server.kind} {server.host} differs from {ensemble.servers[0].kind}")


def fill(client, root):
    """One of everything that a snapshot and a log can hold."""
    client.create(root, b"root")
    for index in range(40):
        client.create(f"{root}/n{index}", bytes([index]) * index)
    client.create(f"{root}/secret", b"s", acl=[make_digest_acl("me", "secret", all=True)])
    for _ in range(3):
        client.create(f"{root}/seq-", sequence=True)
    client.delete(f"{root}/n39")
    client.set(f"{root}/n1", b"changed")
    transaction = client.transaction()
    transaction.create(f"{root}/multi", b"m")
    transaction.set_data(f"{root}/n2", b"by multi")
    transaction.delete(f"{root}/n3")
    transaction.commit()
    refused = client.transaction()
    refused.create(f"{root}/refused")
    refused.delete(f"{root}/none")
    refused.commit()
    client.create(f"{root}/deep/er/and/deeper", makepath=True)
    client.create(f"{root}/ü-日本", "é".encode())


@needs_kazoo
@needs(OURS, APACHE)
class Roles(MixedCase):
    """The server with the highest number leads a fresh ensemble."""

    def check_follower_sync(self, follower, other):
        """`follower` joins two of `other`: from nothing, after a short absence (DIFF), with its files lost (SNAP)."""
        ensemble = self.ensemble(follower, other, other)
        ensemble.start()
        self.assertNotEqual(ensemble.leader().kind, follower)
        joiner = ensemble.servers[0]
        client = self.client(",".join(server.host for server in ensemble.servers[1:]))
        fill(client, "/first")
        self.assert_holds(joiner, ["/first/multi", "/first/n1"])
        joiner.kill()
        for index in range(20):
            self.write(client, f"/missed/{index}")
        joiner.start().wait()
        self.assert_holds(joiner, ["/missed/0", "/missed/19"])
        joiner.kill()
        shutil.rmtree(os.path.join(joiner.data, "version-2"))
        for index in range(20):
            self.write(client, f"/lost/{index}")
        joiner.start().wait()
        self.assert_holds(joiner, ["/first/multi", "/missed/19", "/lost/19"])
        local = self.client(joiner.host)
        self.write(local, "/through-the-joiner")
        self.assert_same_trees(ensemble)

    def test_ours_follows_apache(self):
        self.check_follower_sync(OURS, APACHE)

    def test_apache_follows_ours(self):
        self.check_follower_sync(APACHE, OURS)

    def check_truncation(self, deposed, other):
        """The leader logs a write that nobody else has, dies, and comes back to another's history."""
        ensemble = self.ensemble(other, other, deposed)
        # The one that is to lead should be there before the others can elect without it: a JVM takes its time.
        ensemble.servers[2].start()
        servers.wait_for("the first server answers", lambda: servers.word(ensemble.servers[2].port, "ruok"))
        for server in ensemble.servers[:2]:
            server.start()
        ensemble.wait()
        leader = ensemble.leader()
        if leader.kind != deposed:
            # It answers clients before it listens for votes, and the others can be faster than that on a loaded machine.
            # Of two that have the same history the higher number leads.
            leader.kill()
            leader.start().wait()
            leader = ensemble.leader()
        self.assertEqual(leader.kind, deposed)
        client = self.client(leader.host)
        self.write(client, "/before")
        followers = [server for server in ensemble.servers if server is not leader]
        # A session is a write too: it must exist before the quorum is gone.
        session = wire.Session(leader.port)
        for server in followers:
            server.signal(signal.SIGSTOP)
        body = wire.ustring("/uncommitted") + wire.ustring("x") + wire.OPEN_ACCESS + b"\0\0\0\0"
        # The answer will not come; the leader's own log gets the write.
        session.frame(b"\0\0\0\1" + b"\0\0\0\1" + body)
        time.sleep(0.3)
        leader.kill()
        session.close()
        for server in followers:
            server.signal(signal.SIGCONT)
        survivor = self.client(",".join(server.host for server in followers))
        self.write(survivor, "/after")
        leader.start().wait()
        self.assert_holds(leader, ["/before", "/after"])
        back = self.client(leader.host)
        back.sync("/")
        # Committed by nobody: with the survivors' history it must be gone everywhere, or be everywhere if one had it.
        present = {server.host: self.client(server.host).exists("/uncommitted") is not None for server in ensemble.servers}
        self.assertEqual(len(set(present.values())), 1, present)
        self.assert_same_trees(ensemble)

    def test_ours_is_truncated_by_apache(self):
        self.check_truncation(OURS, APACHE)

    def test_apache_is_truncated_by_ours(self):
        self.check_truncation(APACHE, OURS)

    def check_leader_loss(self, *kinds):
        ensemble = self.ensemble(*kinds)
        ensemble.start()
        client = self.client(ensemble.hosts, timeout=8.0)
        for turn in range(3):
            self.write(client, f"/turn/{turn}")
            leader = ensemble.leader()
            leader.kill()
            self.write(client, f"/without/{turn}")
            leader.start().wait()
        self.assert_same_trees(ensemble)
        for server in ensemble.servers:
            self.assert_holds(server, [f"/without/{turn}" for turn in range(3)])

    def test_leaders_die_among_two_of_ours(self):
        self.check_leader_loss(OURS, APACHE, OURS)

    def test_leaders_die_among_two_of_apaches(self):
        self.check_leader_loss(APACHE, OURS, APACHE)

    def test_a_session_moves_between_the_implementations(self):
        ensemble = self.ensemble(OURS, APACHE, APACHE).start()
        first = wire.Session(ensemble.servers[0].port, timeout=8000)
        first.create("/moving", flags=1)
        for server in (ensemble.servers[1], ensemble.servers[0], ensemble.servers[2]):
            first.close()
            again = wire.Session(server.port, timeout=8000, identity=first.identity, password=first.password)
            self.assertEqual(again.identity, first.identity, server.kind)
            again.ask(9, wire.ustring("/"))
            self.assertEqual(again.ask(3, wire.ustring("/moving") + b"\0")[2], 0)
            first, first.password = again, again.password
        first.ask(-11)
        witness = self.client(ensemble.servers[0].host)
        witness.sync("/")
        self.assertIsNone(witness.exists("/moving"))

    @not_quick
    def test_rolling_from_apache_to_ours_and_back(self):
        ensemble = self.ensemble(APACHE, APACHE, APACHE).start()
        client = self.client(ensemble.hosts, timeout=10.0)
        fill(client, "/roll")
        step = 0
        for kind in (OURS, APACHE):
            for _ in range(3):
                old = [server for server in ensemble.servers if server.kind != kind]
                # Followers first, the leader last.
                server = next((s for s in old if s.mode() == "follower"), old[0])
                server.stop()
                self.write(client, f"/roll/step{step}")
                server.kind = kind
                server.start().wait()
                self.write(client, f"/roll/joined{step}")
                step += 1
                self.assert_holds(server, [f"/roll/step{n}" for n in range(step)])
            self.assert_same_trees(ensemble)


@needs_kazoo
@needs(OURS, APACHE)
class Files(MixedCase):
    """Snapshot and log of each load in the other, after an orderly end and after kill -9."""

    def check(self, first, second, end):
        ensemble = self.ensemble(first)
        server = ensemble.servers[0]
        trees = []
        for turn, kind in enumerate((first, second, first)):
            server.kind = kind
            server.start().wait()
            client = self.client(server.host)
            if trees:
                now = dump(client)
                self.assertEqual(now, trees[-1], f"{kind} read other things than were written\n{server.tail()}")
            fill(client, f"/{turn}")
            trees.append(dump(client))
            client.stop()
            getattr(server, end)()
        snapshots = os.listdir(os.path.join(server.data, "version-2"))
        self.assertTrue(any(name.startswith("log.") for name in snapshots), snapshots)

    def test_apaches_files_load_in_ours_and_ours_in_apaches(self):
        self.check(APACHE, OURS, "stop")

    def test_ours_load_in_apaches_and_apaches_in_ours(self):
        self.check(OURS, APACHE, "stop")

    def test_after_kill_9(self):
        self.check(APACHE, OURS, "kill")
        self.check(OURS, APACHE, "kill")


if __name__ == "__main__":
    unittest.main()
