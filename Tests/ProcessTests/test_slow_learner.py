"""A lost member that takes its time to come back: what is committed meanwhile waits in its leader's log, not in its memory."""
import os
import shutil
import signal
import struct
import threading
import time
import unittest

import daemon
from lone import SET, Wire, text
from trio import TrioCase

NODES, ROUNDS, SIZE = 64, 5, 1_000_000


class SlowLearner(TrioCase):
    def test_a_leader_holds_nothing_for_a_slow_learner(self):
        """issue 8, A11: 320 MB behind a learner that reads now and then took 205 to 259 MiB of the leader's memory"""
        leader, learner = self.serve_a_tree("ensemble.memoryBudgetMB=16")
        before = self.memory(leader, "VmRSS")
        self.write_beside(leader, learner)
        grown = self.memory(leader) - before
        # The window (16 MiB), the budget, four times (`test_silent_followers`), a piece of the log.
        self.assertLess(grown, 96, self.said())
        self.judge(leader, learner)

    def test_what_the_learner_needs_is_not_purged(self):
        self.serve_a_tree("snapCount=60", "autopurge.purgeInterval=1")
        leader, learner = self.leader, self.learner
        self.write_beside(leader, learner)
        self.assertIn("purged", self.text(leader), self.said())
        self.judge(leader, learner)

    def serve_a_tree(self, *lines):
        """64 MB of it, and a member that has lost its own."""
        self.start(*lines)
        self.leader, followers = self.serve()
        self.learner = followers[0]
        self.clients = [Wire(self.ports[self.leader], timeout=40_000) for _ in range(4)]
        for number in range(NODES):
            self.assertEqual(self.clients[0].create(f"/n{number}", bytes(SIZE))[0], 0)
        self.lose(self.learner)
        return self.leader, self.learner

    def write_beside(self, leader, learner):
        """The member comes back, slowly, while 320 MB are written."""
        self.launch(learner)
        daemon.wait_for("the tree is on its way", lambda: "(SNAP)" in self.text(leader), 60, self.said)
        done = threading.Event()
        pulse = threading.Thread(target=self.pulse, args=(learner, done), daemon=True)
        pulse.start()
        writers = [threading.Thread(target=self.write, args=(client, number, 4)) for number, client in enumerate(self.clients)]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
        joined_early = self.monitor(learner, "server_state") is not None
        done.set()
        pulse.join()
        self.assertFalse(joined_early, "the learner was not slow: nothing is shown")

    def judge(self, leader, learner):
        self.assertEqual(self.serve(120)[0], leader, self.said())
        self.assertEqual(self.text(leader).count("(SNAP)"), 1, self.said())
        reader = Wire(self.ports[learner], timeout=40_000)
        self.assertEqual(reader.ask(9, text("/"))[0], 0)
        for number in range(NODES):
            error, body = reader.get(f"/n{number}")
            self.assertEqual(error, 0)
            self.assertEqual(body[4:12], struct.pack(">q", ROUNDS - 1), f"/n{number}")

    def lose(self, member):
        self.signal(signal.SIGKILL, member)
        self.servers[member].wait()
        data = os.path.join(self.directory, str(member))
        shutil.rmtree(os.path.join(data, "version-2"))

    def pulse(self, member, done):
        """It runs a twentieth of the time."""
        while not done.is_set():
            self.signal(signal.SIGSTOP, member)
            done.wait(0.95)
            self.signal(signal.SIGCONT, member)
            time.sleep(0.05)

    def text(self, member):
        with open(self.log(member), errors="replace") as file:
            return file.read()

    @staticmethod
    def write(client, first, step):
        for count in range(ROUNDS):
            for number in range(first, NODES, step):
                data = struct.pack(">q", count) + bytes(SIZE - 8)
                error, _ = client.ask(SET, text(f"/n{number}") + text(data) + struct.pack(">i", -1))
                assert error == 0, error


if __name__ == "__main__":
    unittest.main()
