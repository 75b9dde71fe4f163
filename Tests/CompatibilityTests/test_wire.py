"""Bytes that no client library sends, and the exact form of the answers (reference/zookeeper.md, 1.1 and 1.2)."""
import struct
import unittest

import servers
import wire
from case import AGAINST, EnsembleCase


class Connecting(EnsembleCase):
    size = 1

    @property
    def port(self):
        return self.ensemble.servers[0].port

    def session(self, **options):
        session = wire.Session(self.port, **options)
        self.addCleanup(session.close)
        return session

    def test_the_answer_mirrors_the_read_only_byte(self):
        self.assertEqual(len(self.session(read_only=True).answer), 37)
        self.assertEqual(len(self.session(read_only=False).answer), 36)

    def test_the_timeout_is_clamped(self):
        self.assertEqual(self.session(timeout=1).timeout, 2 * servers.TICK)
        self.assertEqual(self.session(timeout=1_000_000).timeout, 20 * servers.TICK)

    def test_the_password_follows_from_the_session(self):
        """A mixed ensemble needs exactly java.util.Random's sequence."""
        session = self.session()
        seed = ((session.identity ^ 0xB3415C00) ^ 0x5DEECE66D) & ((1 << 48) - 1)
        expected = b""
        for _ in range(4):
            seed = (seed * 0x5DEECE66D + 0xB) & ((1 << 48) - 1)
            expected += struct.pack("<I", (seed >> 16) & 0xFFFFFFFF)
        self.assertEqual(session.password, expected)

    def test_an_unknown_session_is_refused(self):
        refused = self.session(identity=0x1234567)
        self.assertEqual((refused.timeout, refused.identity, refused.password), (0, 0, b"\0" * 16))
        self.assertTrue(refused.is_closed_by_server())

    def test_a_session_is_resumed_with_its_password(self):
        first = self.session()
        first.create("/resumed", flags=1)
        again = self.session(identity=first.identity, password=first.password)
        self.assertEqual(again.identity, first.identity)
        self.assertEqual(again.ask(3, wire.ustring("/resumed") + b"\0")[2], 0)

    def test_a_wrong_password_is_refused_and_harms_nobody(self):
        first = self.session()
        refused = self.session(identity=first.identity, password=b"x" * 16)
        self.assertEqual(refused.timeout, 0)
        if AGAINST == servers.OURS:
            # Apache's server drops the rightful client before it looks at the password.
            self.assertEqual(first.ask(3, wire.ustring("/") + b"\0")[2], 0)

    def test_a_client_from_the_future_is_turned_away(self):
        with self.assertRaises(ConnectionError):
            self.session(last_zxid=1 << 60)

    def test_ping_auth_and_unknown_operations(self):
        session = self.session()
        self.assertEqual(session.ask(11, xid=-2)[0], -2)
        digest = struct.pack(">i", 0) + wire.ustring("digest") + wire.ustring("a:b")
        self.assertEqual(session.ask(100, digest, xid=-4)[::2], (-4, 0))
        self.assertEqual(session.ask(999)[2], -6)
        self.assertTrue(session.is_closed_by_server())

    def test_a_refused_credential_closes_the_connection(self):
        session = self.session()
        unknown = struct.pack(">i", 0) + wire.ustring("no-such-scheme") + wire.ustring("x")
        self.assertEqual(session.ask(100, unknown, xid=-4)[2], -115)
        self.assertTrue(session.is_closed_by_server())

    def test_a_bare_check_is_not_carried_out(self):
        """ZOOKEEPER-2623: on 3.8.0 it breaks the ensemble, so only ours is asked."""
        if AGAINST != servers.OURS:
            self.skipTest("it would corrupt this version of Apache's log")
        session = self.session()
        self.assertEqual(session.ask(13, wire.ustring("/") + struct.pack(">i", -1))[2], -6)

    def test_an_empty_multi_takes_a_zxid(self):
        session = self.session()
        before = session.ask(3, wire.ustring("/") + b"\0")[1]
        _, zxid, error, body = session.ask(14, struct.pack(">ibi", -1, 1, -1))
        self.assertEqual((error, body), (0, struct.pack(">ibi", -1, 1, -1)))
        self.assertEqual(zxid, before + 1)

    def test_a_failed_write_takes_a_zxid(self):
        session = self.session()
        before = session.ask(3, wire.ustring("/") + b"\0")[1]
        _, zxid, error, _ = session.ask(2, wire.ustring("/none") + struct.pack(">i", -1))
        self.assertEqual((zxid, error), (before + 1, -101))

    def test_containers_hide_their_marker(self):
        session = self.session()
        body = session.create("/container", flags=4, op=19)
        self.assertEqual(struct.unpack(">q", body[-24:-16]), (0,))


class Garbage(EnsembleCase):
    """Whatever one connection sends, the next one is served."""

    def check(self, payload, is_answered=False):
        port = self.ensemble.servers[0].port
        session = wire.Session(port)
        session.socket.sendall(payload)
        if is_answered:
            # The frame is sound, only its body is not: −5 (marshalling), and the connection goes on.
            self.assertEqual(struct.unpack(">iqi", session.receive()[:16])[2], -5)
            self.assertEqual(session.ask(3, wire.ustring("/") + b"\0")[2], 0)
        else:
            self.assertTrue(session.is_closed_by_server())
        session.close()
        other = wire.Session(port)
        self.assertEqual(other.ask(3, wire.ustring("/") + b"\0")[2], 0)
        other.close()

    def test_an_oversized_frame(self):
        self.check(struct.pack(">i", 0x7FFFFFFF) + b"x" * 1000)

    def test_a_negative_frame(self):
        self.check(struct.pack(">i", -5) + b"x" * 100)

    def test_a_path_longer_than_its_frame(self):
        self.check(struct.pack(">iiii", 12, 1, 4, 1_000_000), is_answered=True)

    def test_a_vector_longer_than_its_frame(self):
        body = struct.pack(">ii", 1, 1) + wire.ustring("/v") + wire.ustring("") + struct.pack(">i", 1 << 28)
        self.check(struct.pack(">i", len(body)) + body, is_answered=True)


if __name__ == "__main__":
    unittest.main()
