"""What a session has under way outlives its connection, and a server that slept wakes without ending who was there."""
import os
import resource
import selectors
import signal
import struct
import threading
import time
import unittest

from lone import CREATE, PING, WORLD, LoneCase, Wire, text
from trio import TrioCase


class Resumption(TrioCase):
    def test_a_resumed_session_is_not_told_the_outcome_of_an_earlier_request(self):
        """issue 8, A4: both connections call their create xid 1, as kazoo does"""
        self.start()
        leader, followers = self.serve()
        first = Wire(self.ports[leader], timeout=40_000)
        self.signal(signal.SIGSTOP, *followers)
        first.frame(struct.pack(">ii", 1, CREATE) + text("/lock-") + text(b"") + WORLD + struct.pack(">i", 3))
        time.sleep(0.5)
        first.close()
        second = Wire(self.ports[leader], timeout=40_000, resume=first)
        self.assertEqual(second.session, first.session)
        second.frame(struct.pack(">ii", 1, CREATE) + text("/b") + text(b"") + WORLD + struct.pack(">i", 0))
        time.sleep(0.5)
        self.signal(signal.SIGCONT, *followers)
        error, body = second.answer(1)
        self.assertEqual((error, body), (0, text("/b")), self.said())
        # Both took effect, the first one first.
        second.xid = 1
        error, lock = second.get("/lock-0000000000")
        self.assertEqual(error, 0)
        error, other = second.get("/b")
        self.assertEqual(error, 0)
        # The stat behind the data of no bytes begins with czxid.
        self.assertLess(struct.unpack_from(">q", lock, 4), struct.unpack_from(">q", other, 4))


class Pingers:
    """Many sessions whose only activity is a ping each second, sent whether or not the last one was answered."""

    def __init__(self, ports, count, timeout):
        resource.setrlimit(resource.RLIMIT_NOFILE, (4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
        self.clients = [Wire(ports[number % len(ports)], timeout=timeout) for number in range(count)]
        self.ended = threading.Event()
        self.closed = set()
        self.selector = selectors.DefaultSelector()
        for client in self.clients:
            client.socket.setblocking(False)
            self.selector.register(client.socket, selectors.EVENT_READ, client)
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        ping = struct.pack(">iii", 8, -2, PING)
        while not self.ended.is_set():
            due = time.monotonic() + 1
            for client in self.clients:
                if client not in self.closed:
                    try:
                        client.socket.send(ping)
                    except OSError:
                        self.drop(client)
            while (left := due - time.monotonic()) > 0:
                for key, _ in self.selector.select(left):
                    try:
                        if not key.data.socket.recv(1 << 16):
                            self.drop(key.data)
                    except BlockingIOError:
                        pass
                    except OSError:
                        self.drop(key.data)

    def drop(self, client):
        self.closed.add(client)
        self.selector.unregister(client.socket)

    def stop(self):
        self.ended.set()
        self.thread.join()
        for client in self.clients:
            client.close()


def sleep_through(process, seconds):
    os.kill(process.pid, signal.SIGSTOP)
    time.sleep(seconds)
    os.kill(process.pid, signal.SIGCONT)


class LoneSleeper(LoneCase):
    def test_a_server_that_slept_ends_no_session_that_pinged(self):
        """issue 8, A8"""
        self.start("maxClientCnxns=0")
        pingers = Pingers([self.port], 1500, timeout=4000)
        self.addCleanup(pingers.stop)
        time.sleep(2)
        sleep_through(self.server, 6)
        time.sleep(6)
        self.assertEqual(len(pingers.closed), 0, self.said())


class SleepingLeader(TrioCase):
    def test_a_leader_that_slept_ends_no_session_that_pinged(self):
        """issue 8, A8: neither its own clients' nor those of its followers"""
        self.start()
        leader, _ = self.serve()
        pingers = Pingers([self.ports[leader]] * 8 + list(self.ports.values()), 1650, timeout=4000)
        self.addCleanup(pingers.stop)
        time.sleep(2)
        sleep_through(self.servers[leader], 8)
        time.sleep(6)
        self.assertEqual(self.serve()[0], leader, self.said())
        self.assertEqual(len(pingers.closed), 0, self.said())


if __name__ == "__main__":
    unittest.main()
