"""The first start of a cluster that is disturbed: nothing was acknowledged yet, so nobody is lost, and nobody is asked."""
import os
import random
import signal
import socket
import time
import unittest

import daemon
from scenario import QUICK


class FirstStartCase(unittest.TestCase):
    engine = daemon.BUNDLED
    # How long after its start the daemon is killed, at most.
    window = 0.5

    def setUp(self):
        reason = daemon.missing(self.engine)
        if reason:
            self.skipTest(reason)
        self.seed = int(os.environ.get("SEED") or random.randrange(1 << 32))
        self.random = random.Random(self.seed)

    def cluster(self):
        cluster = daemon.Daemon(self.engine)
        self.addCleanup(cluster.close)
        return cluster

    def take(self, port):
        taken = socket.socket()
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("0.0.0.0", port))
        taken.listen()
        self.addCleanup(taken.close)
        return taken

    def assert_nobody_was_lost(self, cluster):
        if self.engine == daemon.BUNDLED:
            self.assertNotIn("reseedStarted", cluster.events())

    def test_the_daemon_is_killed_at_any_moment(self):
        """Between the ledger's word on a member and its launch the member was called a voter that had lost everything; with
        two such of three nobody was brought back"""
        for number in range(3 if QUICK else 20):
            cluster = self.cluster()
            deaths = []
            for _ in range(self.random.randint(1, 3)):
                cluster.start()
                deaths.append(self.random.random() * self.window)
                time.sleep(deaths[-1])
                cluster.kill()
                if self.random.random() < 0.3:
                    # As when the host goes down with it.
                    for pid in cluster.member_processes():
                        os.kill(pid, signal.SIGKILL)
            with self.subTest(seed=self.seed, number=number, deaths=deaths):
                cluster.start().wait_whole(60)
                self.assert_nobody_was_lost(cluster)
            cluster.close()

    def test_ports_are_taken(self):
        """Issue 9, B29: "its data directory is empty, and was not", for ever"""
        for offsets in ((0,), (4,), (0, 1, 2), (8, 9, 10)) if not QUICK else ((0, 1, 2),):
            cluster = self.cluster()
            taken = [self.take(cluster.port + offset) for offset in offsets]
            cluster.start().wait_status()
            time.sleep(4)
            for port in taken:
                port.close()
            with self.subTest(offsets=offsets):
                cluster.wait_whole(60)
                self.assert_nobody_was_lost(cluster)
            cluster.close()


class FirstStarts(FirstStartCase):
    pass


class ApacheFirstStarts(FirstStartCase):
    """Its server removes `initialize` before it has a database: a member may be brought back by a reseed, which is sound."""
    engine = daemon.APACHE
    window = 2.5


if __name__ == "__main__":
    unittest.main()
