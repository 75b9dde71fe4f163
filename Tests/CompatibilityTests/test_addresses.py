"""Where a server listens: on every address of its name, as its peers and clients may dial any of them."""
import os
import socket
import tempfile
import unittest

import servers
import wire
from case import AGAINST, EnsembleCase, needs, needs_kazoo
from servers import APACHE, OURS


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
        return True
    except OSError:
        return False


needs_ipv6 = unittest.skipUnless(has_ipv6(), "this host has no IPv6 loopback address")


@needs_ipv6
@needs_kazoo
@needs(OURS, APACHE)
@unittest.skipUnless(os.geteuid() == 0, "a hosts file of its own needs root")
class TwoFamilies(unittest.TestCase):
    """`localhost` is both ::1 and 127.0.0.1; Apache's server dials the IPv4 address alone."""

    def test_a_member_whose_name_has_two_addresses_joins_and_leads(self):
        with tempfile.NamedTemporaryFile("w", suffix="-hosts") as names:
            names.write("127.0.0.1 localhost\n::1 localhost\n")
            names.flush()
            # Ours has the highest number: it leads, so that Apache's dial its quorum port too.
            ensemble = servers.Ensemble([APACHE, APACHE, OURS], host="localhost", names=names.name)
            self.addCleanup(ensemble.close)
            ensemble.start()
            ours = ensemble.servers[2]
            if ours.mode() != "leader":
                # Two of three elected without it: the leader's end makes it lead.
                ensemble.leader().kill()
                servers.wait_for("ours leads", lambda: ours.mode() == "leader", 30)
            session = wire.Session(ours.port)
            session.create("/both", b"x")
            follower = next(server for server in ensemble.servers if server.process and server is not ours)
            follower.wait()
            other = wire.Session(follower.port)
            other.ask(9, wire.ustring("/"))
            self.assertEqual(other.ask(3, wire.ustring("/both") + b"\0")[2], 0)


@needs_ipv6
class ClientPort(unittest.TestCase):
    def serve(self, extra):
        ensemble = servers.Ensemble([AGAINST], extra)
        self.addCleanup(ensemble.close)
        ensemble.servers[0].start()
        return ensemble.servers[0]

    def assert_answers(self, server, address):
        def answer():
            self.assertIsNone(server.process.poll(), server.tail())
            try:
                with socket.create_connection((address, server.port), timeout=2) as connection:
                    connection.sendall(b"ruok")
                    return connection.recv(16) == b"imok"
            except OSError:
                return False
        servers.wait_for(f"an answer at {address}", answer, 20)

    def test_without_an_address_it_is_both_families(self):
        server = self.serve("")
        self.assert_answers(server, "127.0.0.1")
        self.assert_answers(server, "::1")

    def test_either_wildcard_is_both_families(self):
        for wildcard in ("::", "[::]", "0.0.0.0"):
            with self.subTest(wildcard):
                server = self.serve(f"clientPortAddress={wildcard}\n")
                self.assert_answers(server, "127.0.0.1")
                self.assert_answers(server, "::1")

    def test_an_address_in_brackets(self):
        server = self.serve("clientPortAddress=[::1]\n")
        self.assert_answers(server, "::1")

    def test_rights_by_address_hold_at_the_wildcard(self):
        """IPv4 clients keep their IPv4 address: rights given to it match"""
        server = self.serve("clientPortAddress=::\n").wait()
        session = wire.Session(server.port)
        acl = b"\0\0\0\1" + b"\0\0\0\x1f" + wire.ustring("ip") + wire.ustring("127.0.0.1")
        self.assertEqual(session.ask(1, wire.ustring("/ip") + wire.ustring("x") + acl + b"\0\0\0\0")[2], 0)
        self.assertEqual(session.ask(4, wire.ustring("/ip") + b"\0")[2], 0)
        self.assertIn("/127.0.0.1:", servers.word(server.port, "cons"))

    @needs(OURS)
    def test_what_can_never_be_an_address_ends_the_start_for_good(self):
        for address in ("300.1.1.1", "::g", "[::1", "a b", "-"):
            with self.subTest(address):
                ensemble = servers.Ensemble([OURS], f"clientPortAddress={address}\n")
                self.addCleanup(ensemble.close)
                server = ensemble.servers[0].start()
                # 78 is EX_CONFIG: a supervisor doesn't try again.
                self.assertEqual(server.process.wait(20), 78, server.tail())
                self.assertIn("clientPortAddress", server.tail())


if __name__ == "__main__":
    unittest.main()
