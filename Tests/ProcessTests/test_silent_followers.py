"""A leader whose followers are silent can finish nothing that it takes in: it takes in no more than its budget."""
import signal
import struct
import threading
import time
import unittest

from lone import SET, Wire, text
from trio import TrioCase


class SilentFollowers(TrioCase):
    def test_a_leader_holds_no_more_than_its_budget(self):
        """issue 8, A9: a hundred megabytes of writes took 302 MiB"""
        self.start("ensemble.memoryBudgetMB=16")
        leader, followers = self.serve()
        clients = [Wire(self.ports[leader], timeout=40_000) for _ in range(4)]
        for number, client in enumerate(clients):
            self.assertEqual(client.create(f"/n{number}")[0], 0)
        before = self.memory(leader, "VmRSS")
        self.signal(signal.SIGSTOP, *followers)
        writers = [threading.Thread(target=self.write, args=(client, f"/n{number}"), daemon=True)
                   for number, client in enumerate(clients)]
        for writer in writers:
            writer.start()
        time.sleep(6)
        # Each byte is held as the client sent it, as the log has it, and as two followers will get it.
        self.assertLess(self.memory(leader) - before, 4 * 16 + 32, self.said())
        # One frame may come in alone while less than all is held, and a turn may have read another by then.
        self.assertLess(int(self.monitor(leader, "ensembled_memory_held")), 20 << 20)
        self.signal(signal.SIGCONT, *followers)
        for client in clients:
            for xid in range(100, 125):
                self.assertEqual(client.answer(xid)[0], 0, self.said())
        for writer in writers:
            writer.join()
        self.assertEqual(self.serve()[0], leader, self.said())

    @staticmethod
    def write(client, path):
        for xid in range(100, 125):
            client.send(SET, text(path) + text(bytes(1_000_000)) + struct.pack(">i", -1), xid=xid)


if __name__ == "__main__":
    unittest.main()
