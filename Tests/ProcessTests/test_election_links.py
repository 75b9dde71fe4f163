"""The connections over which members elect a leader, with peers that err."""
import os
import signal
import socket
import struct
import subprocess
import threading
import time
import unittest

import daemon
from lone import LoneCase

LOOKING = 0


class ErringPeer(LoneCase):
    def test_a_peer_that_answers_and_closes_is_not_dialled_without_end(self):
        """issue 8, A30: each answer made the next attempt come at once"""
        first, lock = daemon.free_ports()
        self.addCleanup(lock.close)
        data = os.path.join(self.directory, "data")
        os.makedirs(data)
        for name, content in (("myid", "2\n"), ("initialize", "")):
            with open(os.path.join(data, name), "w") as file:
                file.write(content)
        configuration = os.path.join(self.directory, "zoo.cfg")
        with open(configuration, "w") as file:
            file.write(f"dataDir={data}\nclientPort={first}\nclientPortAddress=127.0.0.1\ninitLimit=10\nsyncLimit=5\n"
                       + "".join(f"server.{member}=127.0.0.1:{first + 2 + member}:{first + 6 + member}\n" for member in (1, 2, 3)))
        peer = socket.create_server(("127.0.0.1", first + 7))
        self.addCleanup(peer.close)
        dialled = []
        threading.Thread(target=self.answer, args=(peer, dialled), daemon=True).start()
        with open(os.path.join(self.directory, "log"), "w") as log:
            self.server = subprocess.Popen([self.program, configuration], stdout=log, stderr=log)
        daemon.wait_for("the peer is dialled", lambda: dialled, 30, self.said)
        time.sleep(8)
        self.assertIsNone(self.server.poll(), self.said())
        # Doubled from a twentieth of a second to two seconds: eight or nine attempts, and as many again at most for what the
        # server has to say when the connection is gone. It was thousands.
        self.assertGreater(len(dialled), 3)
        self.assertLess(len(dialled), 60)

    @staticmethod
    def answer(peer, dialled):
        """Takes the hello, says that it looks for a leader, and closes."""
        message = struct.pack(">iqqqqii", LOOKING, 1, 0, 1, 0, 2, 0)
        while True:
            try:
                connection, _ = peer.accept()
            except OSError:
                return
            dialled.append(time.monotonic())
            try:
                connection.recv(4096)
                connection.sendall(struct.pack(">i", len(message)) + message)
                time.sleep(0.02)
            except OSError:
                pass
            connection.close()


if __name__ == "__main__":
    unittest.main()
