"""kazoo, an independent client, against one server and against three."""
import threading
import time
import unittest

import servers
import wire
from case import EnsembleCase, needs_kazoo

try:
    from kazoo.exceptions import (BadArgumentsError, BadVersionError, NoAuthError, NodeExistsError, NoNodeError, NotEmptyError,
                                  NoChildrenForEphemeralsError, RolledBackError, InvalidACLError)
    from kazoo.protocol.states import EventType, KazooState
    from kazoo.security import ACL, Id, OPEN_ACL_UNSAFE, make_acl, make_digest_acl, make_digest_acl_credential
except ImportError:
    pass


@needs_kazoo
class OneServer(EnsembleCase):
    def test_create_read_update_delete(self):
        client = self.client()
        root = self.root(client)
        self.assertEqual(client.create(f"{root}/a", b"one"), f"{root}/a")
        data, stat = client.get(f"{root}/a")
        self.assertEqual((data, stat.version, stat.dataLength, stat.numChildren), (b"one", 0, 3, 0))
        self.assertEqual(client.set(f"{root}/a", b"two").version, 1)
        with self.assertRaises(BadVersionError):
            client.set(f"{root}/a", b"three", version=0)
        with self.assertRaises(NodeExistsError):
            client.create(f"{root}/a")
        client.create(f"{root}/a/b")
        with self.assertRaises(NotEmptyError):
            client.delete(f"{root}/a")
        self.assertEqual(client.get_children(root), ["a"])
        self.assertEqual(client.get_children(f"{root}/a", include_data=True)[1].numChildren, 1)
        client.delete(f"{root}/a/b")
        client.delete(f"{root}/a", version=1)
        self.assertIsNone(client.exists(f"{root}/a"))
        with self.assertRaises(NoNodeError):
            client.get(f"{root}/a")
        with self.assertRaises(NoNodeError):
            client.create(f"{root}/none/below")

    def test_stat_follows_changes(self):
        client = self.client()
        root = self.root(client)
        _, before = client.get(root)
        client.create(f"{root}/x")
        client.create(f"{root}/y")
        client.delete(f"{root}/x")
        after = client.exists(root)
        self.assertEqual(after.cversion, before.cversion + 3)
        self.assertEqual((after.version, after.mzxid, after.numChildren), (before.version, before.mzxid, 1))
        self.assertGreater(after.pzxid, before.pzxid)

    def test_unusual_data_and_names(self):
        client = self.client()
        root = self.root(client)
        for name in ("ü", "日本語", "a b", "e\u0301", "\u00e9", "..."):
            client.create(f"{root}/{name}", name.encode())
            self.assertEqual(client.get(f"{root}/{name}")[0], name.encode())
        # Two encodings of é are two nodes: paths are bytes.
        self.assertEqual(len(client.get_children(root)), 6)
        # Java counts UTF-16 units, and surrogates are not allowed in names.
        for name in ("\U0001f980", "\u0001", "\u0080", "\uf8ff", "\ufff0"):
            with self.assertRaises(BadArgumentsError, msg=repr(name)):
                client.create(f"{root}/{name}")
        big = bytes(range(256)) * 3900
        client.create(f"{root}/big", big)
        self.assertEqual(client.get(f"{root}/big")[0], big)
        client.create(f"{root}/empty", b"")
        self.assertEqual(client.get(f"{root}/empty")[0], b"")

    def test_sequences(self):
        client = self.client()
        root = self.root(client)
        names = [client.create(f"{root}/s-", sequence=True) for _ in range(3)]
        self.assertEqual(names, [f"{root}/s-{i:010d}" for i in range(3)])
        client.delete(names[2])
        self.assertEqual(client.create(f"{root}/s-", sequence=True), f"{root}/s-0000000003")

    def test_ephemerals_die_with_their_session(self):
        owner, witness = self.client(), self.client()
        root = self.root(owner)
        owner.create(f"{root}/e", ephemeral=True)
        self.assertEqual(witness.exists(f"{root}/e").ephemeralOwner, owner.client_id[0])
        with self.assertRaises(NoChildrenForEphemeralsError):
            owner.create(f"{root}/e/child")
        owner.stop()
        servers.wait_for("the ephemeral node is gone", lambda: witness.exists(f"{root}/e") is None, 5)

    def test_a_session_that_falls_silent_expires(self):
        witness = self.client()
        root = self.root(witness)
        # A bare connection: a session that never pings, as of a process that hangs.
        silent = wire.Session(self.ensemble.servers[0].port, timeout=1000)
        silent.create(f"{root}/e", flags=1)
        self.assertEqual(witness.exists(f"{root}/e").ephemeralOwner, silent.identity)
        servers.wait_for("the session has expired", lambda: witness.exists(f"{root}/e") is None, 15)
        silent.close()

    def test_transactions(self):
        client = self.client()
        root = self.root(client)
        made = client.transaction()
        made.create(f"{root}/a", b"1")
        made.set_data(f"{root}/a", b"2")
        made.check(f"{root}/a", 1)
        made.create(f"{root}/s-", sequence=True)
        results = made.commit()
        self.assertEqual(results[0], f"{root}/a")
        self.assertEqual(results[1].version, 1)
        self.assertIs(results[2], True)
        refused = client.transaction()
        refused.create(f"{root}/b")
        refused.delete(f"{root}/none")
        refused.create(f"{root}/c")
        results = refused.commit()
        self.assertIsInstance(results[0], RolledBackError)
        self.assertIsInstance(results[1], NoNodeError)
        self.assertIsNone(client.exists(f"{root}/b"))

    def test_digest_access(self):
        owner, other = self.client(), self.client()
        root = self.root(owner)
        owner.add_auth("digest", "me:secret")
        owner.create(f"{root}/mine", b"x", acl=[make_digest_acl("me", "secret", all=True)])
        with self.assertRaises(NoAuthError):
            other.get(f"{root}/mine")
        other.add_auth("digest", "me:wrong")
        with self.assertRaises(NoAuthError):
            other.get(f"{root}/mine")
        other.add_auth("digest", "me:secret")
        self.assertEqual(other.get(f"{root}/mine")[0], b"x")
        owner.create(f"{root}/auth", acl=[ACL(31, Id("auth", ""))])
        acl, stat = owner.get_acls(f"{root}/auth")
        self.assertEqual(acl[0].id, Id("digest", make_digest_acl_credential("me", "secret")))
        owner.set_acls(f"{root}/auth", OPEN_ACL_UNSAFE, version=stat.aversion)
        self.assertEqual(owner.get_acls(f"{root}/auth")[0], OPEN_ACL_UNSAFE)
        with self.assertRaises(InvalidACLError):
            owner.create(f"{root}/bad", acl=[ACL(31, Id("no-such-scheme", "x"))])

    def test_single_rights(self):
        client = self.client()
        root = self.root(client)
        client.create(f"{root}/r", acl=[make_acl("world", "anyone", read=True, delete=True)])
        self.assertEqual(client.get(f"{root}/r")[0], b"")
        with self.assertRaises(NoAuthError):
            client.set(f"{root}/r", b"x")
        with self.assertRaises(NoAuthError):
            client.create(f"{root}/r/child")
        client.create(f"{root}/ip", acl=[make_acl("ip", "127.0.0.1", all=True)])
        client.set(f"{root}/ip", b"x")

    def test_one_shot_watches(self):
        client, other = self.client(), self.client()
        root = self.root(client)
        events = []
        seen = threading.Event()

        def watch(event):
            events.append((event.type, event.path))
            seen.set()

        def fires(kind, path, act):
            seen.clear()
            act()
            self.assertTrue(seen.wait(5), f"no {kind} event for {path}")
            self.assertEqual(events.pop(), (kind, path))
            self.assertEqual(events, [])

        client.exists(f"{root}/a", watch=watch)
        fires(EventType.CREATED, f"{root}/a", lambda: other.create(f"{root}/a"))
        other.set(f"{root}/a", b"unwatched")
        client.get(f"{root}/a", watch=watch)
        fires(EventType.CHANGED, f"{root}/a", lambda: other.set(f"{root}/a", b"x"))
        client.get_children(root, watch=watch)
        fires(EventType.CHILD, root, lambda: other.create(f"{root}/b"))
        client.get(f"{root}/a", watch=watch)
        fires(EventType.DELETED, f"{root}/a", lambda: other.delete(f"{root}/a"))
        other.create(f"{root}/a")
        client.sync(root)
        self.assertEqual(events, [], "a one-shot watch fired twice")

    def test_many_pipelined_requests_stay_in_order(self):
        client = self.client()
        root = self.root(client)
        client.create(f"{root}/n")
        pending = [client.set_async(f"{root}/n", str(i).encode()) for i in range(2000)]
        versions = [result.get(timeout=30).version for result in pending]
        self.assertEqual(versions, list(range(1, 2001)))

    def test_server_version_is_understood(self):
        self.assertGreaterEqual(self.client().server_version(), (3, 5))

    def test_configuration_node(self):
        client = self.client()
        self.assertIsInstance(client.get("/zookeeper/config")[0], bytes)


@needs_kazoo
class ThreeServers(EnsembleCase):
    size = 3

    def test_a_write_through_one_is_read_through_each_after_sync(self):
        clients = [self.client(server.host) for server in self.ensemble.servers]
        root = self.root(clients[0])
        for index, client in enumerate(clients):
            client.create(f"{root}/{index}", str(index).encode())
        for client in clients:
            client.sync(root)
            self.assertEqual(sorted(client.get_children(root)), ["0", "1", "2"])

    def test_a_session_moves_and_its_watches_and_ephemerals_go_along(self):
        first, second = (server.host for server in self.ensemble.servers[:2])
        client, other = self.client(f"{first},{second}", timeout=10.0, randomize_hosts=False), self.client(self.ensemble.servers[2].host)
        root = self.root(client)
        client.create(f"{root}/e", ephemeral=True)
        fired = threading.Event()
        client.exists(f"{root}/w", watch=lambda event: fired.set())
        session = client.client_id[0]
        states = []
        client.add_listener(states.append)
        # The connection breaks under the client; kazoo goes on to the next host with the same session.
        client._connection._socket.shutdown(2)
        servers.wait_for("the session is served again", lambda: states and states[-1] == KazooState.CONNECTED, 15)
        self.assertEqual(client.client_id[0], session)
        self.assertNotIn(KazooState.LOST, states)
        self.assertEqual(other.exists(f"{root}/e").ephemeralOwner, session)
        other.create(f"{root}/w")
        self.assertTrue(fired.wait(5), "the watch was lost in the move")
        client.set(f"{root}/e", b"still mine")

    def test_expiry_is_seen_on_every_server(self):
        owner = self.client(self.ensemble.servers[0].host)
        witnesses = [self.client(server.host) for server in self.ensemble.servers]
        root = self.root(owner)
        owner.create(f"{root}/e", ephemeral=True)
        owner.stop()
        for witness in witnesses:
            witness.sync(root)
            self.assertIsNone(witness.exists(f"{root}/e"))

    def test_roles(self):
        modes = sorted(server.mode() for server in self.ensemble.servers)
        self.assertEqual(modes, ["follower", "follower", "leader"])

    def test_configuration_node_lists_the_members(self):
        data, _ = self.client().get("/zookeeper/config")
        lines = data.decode().split()
        self.assertEqual(sum(line.startswith("server.") for line in lines), 3)
        self.assertTrue(lines[-1].startswith("version="))


@needs_kazoo
class LeaderLoss(EnsembleCase):
    size = 3

    def test_the_ensemble_goes_on_without_its_leader_and_takes_it_back(self):
        client = self.client(timeout=10.0)
        root = self.root(client)
        for turn in range(2):
            leader = self.ensemble.leader()
            leader.kill()

            def written():
                try:
                    client.create(f"{root}/{turn}")
                    return True
                except NodeExistsError:
                    return True
                except Exception:
                    return False
            servers.wait_for("a write after the leader's death", written, 30)
            leader.start().wait()
            local = self.client(leader.host)
            local.sync(root)
            self.assertEqual(len(local.get_children(root)), turn + 1)


if __name__ == "__main__":
    unittest.main()
