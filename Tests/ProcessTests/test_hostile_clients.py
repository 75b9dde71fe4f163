"""Whatever comes in on a member's ports harms nobody: no member dies, no write is lost, the others are served."""
import socket
import struct
import time
import unittest

from scenario import QUICK, Scenario

CONNECT = struct.pack(">iqiq", 0, 0, 6000, 0) + struct.pack(">i", 16) + bytes(16) + b"\0"


def framed(body):
    return struct.pack(">i", len(body)) + body


class HostileClients(Scenario):
    def send(self, port, data, reset=False, answer=False):
        """Connects, sends, and goes away: in order, or with a reset."""
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            if reset:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            try:
                connection.sendall(data)
                if answer:
                    connection.settimeout(2)
                    connection.recv(4096)
            except OSError:
                # It was closed on us: as it should be.
                pass

    def garbage(self):
        """One of the things that a broken or hostile client sends."""
        noise = self.random.randbytes(self.random.randrange(1, 4096))
        bad_request = struct.pack(">ii", self.random.randrange(-8, 1 << 16), self.random.randrange(-200, 200)) + noise[:200]
        return self.random.choice((
            noise,
            struct.pack(">i", 0x7FFFFFFF) + noise,
            struct.pack(">i", -1) + noise,
            struct.pack(">i", 0),
            struct.pack(">i", 16 << 20) + noise * 16,
            CONNECT[:self.random.randrange(len(CONNECT))],
            framed(CONNECT) + framed(noise),
            framed(CONNECT) + framed(bad_request),
            framed(CONNECT) + framed(bad_request) * 50,
            # setData of a path whose length is a lie
            framed(CONNECT) + framed(struct.pack(">iii", 1, 5, 0x7FFFFFF0) + noise),
            b"GET / HTTP/1.1\r\nHost: member\r\n\r\n",
        ))

    def test_garbage_and_half_open_connections(self):
        """S1; design: bad input closes that connection and harms nothing"""
        before = self.pids()
        seconds = 8 if QUICK else 40
        deadline, sent = time.monotonic() + seconds, 0
        # Half-open: nothing is ever sent. Fewer than a member takes from one address.
        idle = [socket.create_connection(("127.0.0.1", port)) for port in self.daemon.ports for _ in range(40)]
        while time.monotonic() < deadline:
            self.send(self.random.choice(self.daemon.ports), self.garbage(), self.random.random() < 0.3, self.random.random() < 0.5)
            sent += 1
        for connection in idle:
            connection.close()
        self.assertEqual(before, self.pids(), f"a member died of it; SEED={self.seed}\n{self.daemon.explain()}")
        print(f"\n    {sent} connections with garbage", end="")
        self.check()

    def test_too_many_connections(self):
        """A client that takes all that one address may have is refused, and the ensemble goes on."""
        before = self.pids()
        port = self.random.choice(self.daemon.ports)
        taken = []
        for _ in range(300):
            try:
                taken.append(socket.create_connection(("127.0.0.1", port), timeout=5))
            except OSError:
                break
        self.hold_of("the member is full", "maxClientCnxns")
        self.assertTrue(self.stream.flows(), self.daemon.explain())
        # Longer than a silent member would be let live.
        time.sleep(8)
        held = self.pids()
        for connection in taken:
            connection.close()
        self.assertEqual(before, held, f"a member that was only full was restarted\n{self.daemon.explain()}")
        self.check()

    def test_garbage_among_peers(self):
        """The ports for elections and followers are open to whoever reaches them."""
        before = self.pids()
        ports = [self.daemon.port + offset for offset in (4, 5, 6, 8, 9, 10)]
        deadline = time.monotonic() + (5 if QUICK else 20)
        while time.monotonic() < deadline:
            try:
                self.send(self.random.choice(ports), self.garbage(), self.random.random() < 0.3)
            except ConnectionRefusedError:
                # Only the leader listens for followers.
                pass
        self.assertEqual(before, self.pids(), f"a member died of it; SEED={self.seed}\n{self.daemon.explain()}")
        self.check()


if __name__ == "__main__":
    unittest.main()
