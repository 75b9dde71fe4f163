"""The experiment that shows why a naive reseed loses data: B's disk is lost, A is killed, stale C is alive.

A leads; A and B acknowledge T, C does not have it. Then B loses its disk and A is away. B and C are a majority, and
neither of them has T: an operator that lets an amnesiac B vote loses T. S2 forbids it, S1 is what must come out.
"""
import os
import signal
import threading
import time
import unittest

import daemon
from stream import HAS_KAZOO, Stream

RUNS = int(os.environ.get("RUNS", 2 if os.environ.get("QUICK") else 20))
# How long A stays away: enough for B to be reseeded and for B and C to elect, if they are let.
AWAY = 12.0


class Experiment:
    engine = None

    def setUp(self):
        reason = daemon.missing(self.engine)
        if reason:
            self.skipTest(reason)

    def test_no_acknowledged_write_is_lost(self):
        for run in range(RUNS):
            with self.subTest(run=run + 1):
                self.run_once(run)

    def run_once(self, run):
        cluster = daemon.Daemon(self.engine)
        self.addCleanup(cluster.close)
        cluster.start().wait_whole()
        stream = Stream(cluster.hosts, writers=2).start()
        try:
            self.assertTrue(stream.flows())
            cluster.wait_backup()
            leader = cluster.leader()
            lost, stale = (member for member in (1, 2, 3) if member != leader)
            # C misses what follows. The daemon may replace a stopped process, so this must be quick.
            cluster.signal_member(stale, signal.SIGSTOP)
            before = stream.count
            self.assertTrue(stream.flows(10), "A and B are a quorum and must serve")
            # B's disk and A's process go together; A is kept away although the daemon starts it again.
            held = HeldDown(cluster, leader)
            held.start()
            cluster.lose_data(lost)
            cluster.signal_member(stale, signal.SIGCONT)
            acknowledged = stream.count
            self.assertGreater(acknowledged, before)
            time.sleep(AWAY)
            held.release()
            cluster.wait_whole(within=180)
            self.assertTrue(stream.flows(), cluster.explain())
            stream.stop()
            gone = stream.lost()
            self.assertEqual(gone[:10], [], f"run {run + 1}: {len(gone)} acknowledged writes are lost\n{cluster.explain()}")
        finally:
            stream.stop()
            cluster.close()


class HeldDown:
    """Kills a member again and again until it is released."""

    def __init__(self, cluster, member):
        self.cluster, self.directory = cluster, cluster.member(member)["dataDirectory"]
        self.first = cluster.pids[member]
        # Every process of the member names files of its own; what differs from the others' is its number.
        self.mark = next(a for a in cluster.member_processes()[self.first] if cluster.directory in a and a.endswith(".cfg"))
        self.released = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def start(self):
        os.kill(self.first, signal.SIGKILL)
        self.thread.start()

    def run(self):
        while not self.released.is_set():
            for pid, arguments in self.cluster.member_processes().items():
                if self.mark in arguments:
                    try:
                        os.kill(pid, signal.SIGKILL)
                    except ProcessLookupError:
                        pass
            time.sleep(0.02)

    def release(self):
        self.released.set()
        self.thread.join()


@unittest.skipUnless(HAS_KAZOO, "Debian's package `python3-kazoo` is not installed")
class Bundled(Experiment, unittest.TestCase):
    engine = daemon.BUNDLED


@unittest.skipUnless(HAS_KAZOO, "Debian's package `python3-kazoo` is not installed")
class Apache(Experiment, unittest.TestCase):
    engine = daemon.APACHE


if __name__ == "__main__":
    unittest.main()
