"""What one client may ask and hold: large answers arrive, slow readers are waited for, memory and descriptors are bounded."""
import resource
import socket
import struct
import threading
import time
import unittest

import daemon
from lone import CHILDREN, CREATE, GET, MULTI, MULTI_READ, PING, SASL, SET, WORLD, LoneCase, Wire, text


def settled(client, count, within=60):
    """Reads until `count` events have come."""
    client.socket.settimeout(within)
    while client.events < count:
        if struct.unpack_from(">i", client.next())[0] == -1:
            client.events += 1


class LargeAnswers(LoneCase):
    def test_a_value_near_the_greatest_frame_is_read_back(self):
        """issue 8, A17"""
        self.start("jute.maxbuffer=67108864")
        client, value = Wire(self.port), bytes(60 << 20)
        self.assertEqual(client.create("/large", value)[0], 0)
        for _ in range(3):
            error, body = client.get("/large")
            self.assertEqual((error, struct.unpack_from(">i", body)[0]), (0, len(value)))

    def test_many_children_with_long_names(self):
        """issue 8, A17: 200,000 names of 200 bytes at the standard limit"""
        self.start()
        client = Wire(self.port)
        client.create("/many")
        for first in range(0, 200_000, 2000):
            parts = b"".join(struct.pack(">i?i", CREATE, False, -1) + text(f"/many/{number:0200d}") + text(b"") + WORLD + bytes(4)
                             for number in range(first, first + 2000))
            self.assertEqual(client.ask(MULTI, parts + struct.pack(">i?i", -1, True, -1))[0], 0)
        error, body = client.ask(CHILDREN, text("/many") + b"\0")
        self.assertEqual((error, struct.unpack_from(">i", body)[0]), (0, 200_000))
        self.assertEqual(client.ask(PING)[0], 0)

    def test_a_multi_read_as_large_as_the_settings_allow(self):
        """issue 8, A18: nine nodes of 950 kB"""
        self.start("jute.maxbuffer=10485760")
        client = Wire(self.port)
        for number in range(9):
            client.create(f"/n{number}", bytes(950_000))
        parts = b"".join(struct.pack(">i?i", GET, False, -1) + text(f"/n{number}") + b"\0" for number in range(9))
        error, body = client.ask(MULTI_READ, parts + struct.pack(">i?i", -1, True, -1))
        self.assertEqual(error, 0)
        self.assertGreater(len(body), 9 * 950_000)


class SlowReaders(LoneCase):
    def end_many_ephemerals(self, count, watching):
        """`count` ephemerals end at once; gives their watcher."""
        owner, watcher = Wire(self.port), Wire(self.port, timeout=40_000)
        owner.create("/" + "p" * 100)
        watcher.ask(106, text("/") + struct.pack(">i", 1))
        for first in range(0, count, 1000):
            parts = b"".join(
                struct.pack(">i?i", CREATE, False, -1) + text("/" + "p" * 100 + f"/{number:0100d}") + text(b"") + WORLD
                + struct.pack(">i", 1) for number in range(first, min(first + 1000, count)))
            self.assertEqual(owner.ask(MULTI, parts + struct.pack(">i?i", -1, True, -1))[0], 0)
        settled(watcher, count)
        watcher.events = 0
        owner.ask(-11)
        if not watching:
            time.sleep(3)
        return watcher

    def test_a_watcher_hears_of_a_hundred_thousand_ephemerals(self):
        """issue 8, A25"""
        self.start()
        settled(self.end_many_ephemerals(100_000, watching=True), 100_000)

    def test_a_watcher_that_pauses_keeps_its_events(self):
        """issue 8, A25"""
        self.start()
        settled(self.end_many_ephemerals(100_000, watching=False), 100_000)
        self.assertEqual(self.monitor("ensembled_slow_readers_closed"), "0")

    def test_readers_that_do_not_read_are_bounded_together(self):
        """issue 8, A9: each may hold a little; together they held 16 MiB each"""
        self.start("ensemble.memoryBudgetMB=32", "maxClientCnxns=0")
        writer = Wire(self.port)
        writer.create("/w", bytes(1000))
        before = self.resident()
        watchers = []
        for _ in range(40):
            watcher = Wire(self.port, timeout=40_000, receive=4096)
            for number in range(3):
                watcher.ask(106, text("/w" + "x" * 0) + struct.pack(">i", 1))
            watchers.append(watcher)
        # Each change is an event to forty who never read again.
        for number in range(60_000):
            writer.send(SET, text("/w") + text(b"") + struct.pack(">i", -1))
            if number % 500 == 499:
                writer.answer(writer.xid)
        self.assertEqual(writer.ask(PING)[0], 0)
        self.assertLess(self.peak() - before, 100, self.said())
        self.assertLess(int(self.monitor("ensembled_memory_held")), 40 << 20)

    @staticmethod
    def begin(client, data):
        try:
            client.socket.sendall(data)
        except OSError:
            pass

    def test_answers_behind_a_write_are_made_as_they_are_read(self):
        """issue 8, A9: twenty bytes ask for a megabyte, and two hundred of them stand behind one write"""
        self.start()
        client = Wire(self.port)
        self.assertEqual(client.create("/big", bytes(1_000_000))[0], 0)
        client.create("/w")
        before = self.peak()
        write = struct.pack(">ii", 99, SET) + text("/w") + text(b"") + struct.pack(">i", -1)
        frames = b"".join(struct.pack(">iii", 17, number, GET) + text("/big") + b"\0" for number in range(100, 300))
        client.socket.sendall(struct.pack(">i", len(write)) + write + frames)
        time.sleep(1)
        self.assertEqual(client.answer(99)[0], 0)
        for number in range(100, 300):
            error, body = client.answer(number)
            self.assertEqual((error, struct.unpack_from(">i", body)[0]), (0, 1_000_000))
        self.assertLess(self.peak() - before, 40, self.said())

    def test_whole_frames_are_served_beside_partial_ones(self):
        """issue 8, A9: a hundred clients begin a megabyte each and stop; another one writes"""
        self.start("ensemble.memoryBudgetMB=16", "maxClientCnxns=0")
        body = struct.pack(">ii", 1, CREATE) + text("/x") + text(bytes(1_000_000)) + WORLD + bytes(4)
        before = self.resident()
        for _ in range(100):
            client = Wire(self.port, timeout=40_000)
            thread = threading.Thread(target=self.begin, args=(client, struct.pack(">i", len(body)) + body[:900_000]), daemon=True)
            thread.start()
            self.addCleanup(client.close)
        writer = Wire(self.port, timeout=40_000)
        for number in range(20):
            self.assertEqual(writer.create(f"/served{number}", bytes(900_000))[0], 0, self.said())
        # The budget, the twenty nodes, and what surrounds them.
        self.assertLess(self.peak() - before, 16 + 20 + 24, self.said())


class Descriptors(LoneCase):
    def test_strangers_wait_and_the_server_keeps_what_it_needs(self):
        """issue 8, A10 and A22"""
        self.start("maxClientCnxns=0", "snapCount=100", prefix=("prlimit", "--nofile=200:200"))
        client = Wire(self.port, timeout=40_000)
        client.create("/a")
        # Sessions, so that no timeout for silent strangers frees their places.
        resource.setrlimit(resource.RLIMIT_NOFILE, (4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
        crowd = [socket.create_connection(("127.0.0.1", self.port), timeout=5) for _ in range(400)]
        time.sleep(1)
        with open(f"/proc/{self.server.pid}/stat") as file:
            before = sum(map(int, file.read().rsplit(")", 1)[1].split()[11:13]))
        time.sleep(2)
        with open(f"/proc/{self.server.pid}/stat") as file:
            busy = sum(map(int, file.read().rsplit(")", 1)[1].split()[11:13])) - before
        self.assertLess(busy, 100, "the loop spins on accept")
        for number in range(400):
            self.assertEqual(client.ask(SET, text("/a") + text(b"x") + struct.pack(">i", -1))[0], 0)
        daemon.wait_for("a snapshot is written", lambda: "written" in self.said(), 20, self.said)
        self.assertNotIn("snapshot failed", self.said())
        self.assertNotIn("snapshot not begun", self.said())
        self.assertIn("descriptors", self.said())
        for connection in crowd:
            connection.close()
        daemon.wait_for("new clients are served", lambda: self.word("ruok") == "imok", 20, self.said)


class Oddities(LoneCase):
    def test_a_sasl_login_is_answered_and_the_connection_kept(self):
        """issue 8, A28: an empty token, as Apache's server without a SASL configuration"""
        self.start()
        client = Wire(self.port)
        self.assertEqual(client.ask(SASL, text(b"")), (0, struct.pack(">i", -1)))
        self.assertEqual(client.create("/after")[0], 0)

    def test_clients_over_a_mapped_address_are_ipv4(self):
        """issue 8, A16"""
        self.start(address="::")
        client = Wire(self.port)
        acl = struct.pack(">ii", 1, 31) + text("ip") + text("127.0.0.1")
        self.assertEqual(client.create("/mine", b"x", acl=acl)[0], 0)
        self.assertEqual(client.get("/mine")[0], 0)
        self.assertIn("/127.0.0.1:", self.word("cons"))
        self.assertNotIn("ffff:", self.word("cons"))

    def test_dump_dirs_and_hash(self):
        """issue 8, A26"""
        self.start()
        client = Wire(self.port)
        client.create("/e", flags=1)
        dump = self.word("dump")
        self.assertIn("SessionTracker dump:\n", dump)
        self.assertIn(f"Sessions with Ephemerals (1):\n0x{client.session & (1 << 64) - 1:x}:\n\t/e\n", dump)
        self.assertIn("Connections dump:\n", dump)
        self.assertRegex(self.word("dirs"), r"^datadir_size: \d+\nlogdir_size: \d+\n$")
        self.assertRegex(self.word("hash"), r"^([0-9a-f]+: \d+\n)*$")
        self.assertEqual(self.word("what"), "")

    def test_reset_counters_forget_all(self):
        """issue 8, A32"""
        self.start()
        client = Wire(self.port)
        client.create("/a")
        self.word("crst")
        line = next(line for line in self.word("cons").splitlines() if "sid=" in line)
        self.assertIn("lop=NA,", line)
        self.assertIn("lcxid=0xffffffffffffffff,lzxid=0xffffffffffffffff,lresp=0,llat=0,", line)


if __name__ == "__main__":
    unittest.main()
