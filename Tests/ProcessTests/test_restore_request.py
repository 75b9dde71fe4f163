"""What can't be taken back is begun for somebody who hears that, or not at all (issue 9, B28)."""
import json
import signal
import socket
import subprocess
import time
import unittest

import daemon


class RestoreRequest(unittest.TestCase):
    def setUp(self):
        reason = daemon.missing(daemon.BUNDLED)
        if reason:
            self.skipTest(reason)
        self.cluster = daemon.Daemon(daemon.BUNDLED, schedule="every 1h")
        self.addCleanup(self.cluster.close)
        self.cluster.start().wait_whole()
        done = self.cluster.ask("backup", "create", "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.backup = json.loads(done.stdout)["backup"]
        self.pids = [self.cluster.pid(i) for i in (1, 2, 3)]

    def post(self, target, body=None, hear=True):
        """The status and the body of the answer; without `hear` nothing is waited for"""
        text = json.dumps(body).encode() if body is not None else b""
        head = f"POST {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(text)}\r\n\r\n"
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(self.cluster.socket)
        connection.sendall(head.encode() + text)
        if not hear:
            return connection
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
        connection.close()
        return int(answer.split()[1]), json.loads(answer.split(b"\r\n\r\n", 1)[1])

    def ticket(self):
        status, answer = self.post("/v1/tickets")
        self.assertEqual(status, 200)
        return answer["ticket"]

    def wish(self, ticket):
        return {"backup": self.backup, "confirm": daemon.CLUSTER, "ticket": ticket}

    def assert_nothing_happened(self):
        time.sleep(3)
        self.assertEqual([self.cluster.pid(i) for i in (1, 2, 3)], self.pids)
        self.cluster.wait_whole()

    def freeze(self):
        self.cluster.process.send_signal(signal.SIGSTOP)
        self.addCleanup(lambda: self.cluster.process.poll() is None and self.cluster.process.send_signal(signal.SIGCONT))

    def test_one_that_lay_in_the_socket(self):
        """A daemon that stood still finds it, long after its person has gone another way"""
        wish = self.wish(self.ticket())
        self.freeze()
        waiting = self.post("/v1/restore", wish, hear=False)
        time.sleep(12)
        self.cluster.process.send_signal(signal.SIGCONT)
        answer = waiting.recv(65536)
        waiting.close()
        self.assertIn(b" 422 ", answer.split(b"\r\n")[0] + b" ", answer)
        self.assertIn(b"not good any more", answer)
        self.assert_nothing_happened()

    def test_the_command_gives_up(self):
        """ensemblectl ends with 3, and nothing comes of what it had asked for"""
        self.freeze()
        asked = subprocess.run(
            [daemon.binary("ensemblectl"), "restore", self.backup, "--confirm", daemon.CLUSTER, "--socket", self.cluster.socket],
            capture_output=True, text=True, timeout=60)
        self.assertEqual(asked.returncode, 3, asked.stderr)
        self.cluster.process.send_signal(signal.SIGCONT)
        self.assert_nothing_happened()

    def test_whoever_asked_is_gone(self):
        wish = self.wish(self.ticket())
        self.freeze()
        self.post("/v1/restore", wish, hear=False).close()
        self.cluster.process.send_signal(signal.SIGCONT)
        self.assert_nothing_happened()

    def test_asked_again_it_is_the_same(self):
        wish = self.wish(self.ticket())
        first, again = self.post("/v1/restore", wish), self.post("/v1/restore", wish)
        self.assertEqual((first[0], again[0]), (202, 202))
        self.assertEqual(first[1], again[1])
        daemon.wait_for(
            "the restore's end", lambda: self.history()[0]["state"] == "succeeded", 60, self.cluster.explain)
        self.assertEqual([it["kind"] for it in self.history()], [f"restore of backup {self.backup}", "backup"])
        self.cluster.wait_whole()
        # Also much later, and by another daemon.
        self.cluster.kill()
        self.cluster.start().wait_whole()
        served = [self.cluster.pid(i) for i in (1, 2, 3)]
        self.assertEqual(self.post("/v1/restore", wish), first)
        time.sleep(3)
        self.assertEqual([self.cluster.pid(i) for i in (1, 2, 3)], served)

    def history(self):
        return json.loads(self.cluster.ask("history", "--json").stdout)["operations"]

    def test_without_a_ticket(self):
        status, answer = self.post("/v1/restore", {"backup": self.backup, "confirm": daemon.CLUSTER})
        self.assertEqual(status, 400)
        self.assertIn("/v1/tickets", answer["remedy"])
        status, answer = self.post("/v1/restore", self.wish("op-1-1-0000000000000000"))
        self.assertEqual(status, 422)
        self.assert_nothing_happened()


if __name__ == "__main__":
    unittest.main()
