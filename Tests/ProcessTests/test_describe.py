"""What a person asks who wants to know why, and scripts that wait for something (issue 9, A1, C)."""
import json
import signal
import subprocess
import time
import unittest

import daemon


class Describe(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        reason = daemon.missing()
        if reason:
            raise unittest.SkipTest(reason)
        cls.daemon = daemon.Daemon(schedule="every 1h")
        cls.addClassCleanup(cls.daemon.close)
        cls.daemon.start().wait_whole()

    def ask(self, *arguments, code=0, within=60):
        done = self.daemon.ask(*arguments, within=within)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done

    def test_a_verdict_shows_what_it_rests_on(self):
        """Who is woken for a member that was ended must find out what for"""
        follower = next(i for i in (1, 2, 3) if i != self.daemon.leader())
        whole = json.loads(self.ask("describe", "member", str(follower), "--json").stdout)
        self.assertEqual((whole["verdict"], whole["reason"]), ("alive", "it answers"))
        said = {line["source"]: line["says"] for line in whole["evidence"]}
        self.assertIn("runs", said["process"])
        self.assertIn("following", said["client port"])
        self.assertIn("counts 2 followers as synced", said["leader"])
        self.assertIn("voter", said["ledger"])
        before = self.daemon.member(follower)["pid"]
        self.daemon.signal_member(follower, signal.SIGSTOP)

        def is_seen():
            text = self.ask("describe", "member", str(follower)).stdout
            return "the kernel says that it is stopped by a signal" in text or "ended by signal 9" in text
        daemon.wait_for("the stop is seen", is_seen, 30, self.daemon.explain)
        self.daemon.wait_renewed({follower: before})
        behind = self.ask("describe", "member", str(follower)).stdout
        self.assertIn("stopped by a signal", behind, "the event that names the reason")
        self.ask("describe", "member", "9", code=5)

    def test_an_operation_and_the_cluster(self):
        asked = self.ask("backup", "create", "--no-wait").stdout.strip()
        self.ask("wait", "--for", f"operation:{asked}")
        text = self.ask("describe", "operation", asked).stdout
        self.assertIn("succeeded", text)
        self.assertIn("asked for by", text)
        self.ask("describe", "operation", "op-none", code=5)
        backup = self.daemon.backups()[0]["id"]
        self.assertIn("snapshot.", self.ask("describe", "backup", backup).stdout)
        self.assertIn("clientPort=", self.ask("backup", "show", backup, "--configuration").stdout)
        self.assertIn("says what is in force", self.ask("describe", "cluster").stdout)
        self.assertIn("diff", json.loads(self.ask("describe", "cluster", "--json").stdout))

    def test_waiting(self):
        self.ask("wait", "--for", "whole")
        self.ask("wait", "--for", "nonsense", code=64)
        self.ask("wait", "--for", "member:9", code=5)
        follower = next(i for i in (1, 2, 3) if i != self.daemon.leader())
        self.ask("stop", str(follower))
        late = self.ask("wait", "--for", f"member:{follower}", "--timeout", "1s", code=4)
        self.assertIn(f"member {follower}: stopped", late.stderr)
        self.ask("wait", "--for", "serving")
        waiting = subprocess.Popen([daemon.binary("ensemblectl"), "wait", "--for", "whole", "--socket", self.daemon.socket],
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        # Through a replacement of the daemon as well.
        self.daemon.kill()
        time.sleep(1)
        self.daemon.start().wait_status()
        self.ask("start", str(follower))
        said = waiting.communicate(timeout=60)[0]
        self.assertEqual(waiting.returncode, 0, said)

    def test_events_are_followed_over_the_daemons_end(self):
        follower = next(i for i in (1, 2, 3) if i != self.daemon.leader())
        watching = subprocess.Popen(
            [daemon.binary("ensemblectl"), "events", "--follow", "--member", str(follower), "--type", "memberLaunched", "--json",
             "--socket", self.daemon.socket], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.addCleanup(watching.wait)
        self.addCleanup(watching.stdout.close)
        self.addCleanup(watching.kill)
        known = json.loads(watching.stdout.readline())["events"]
        self.assertTrue(all(event["member"] == follower and event["code"] == "memberLaunched" for event in known))
        self.daemon.kill()
        time.sleep(1)
        self.daemon.start()
        before = self.daemon.member(follower)["pid"]
        self.daemon.signal_member(follower, signal.SIGKILL)
        self.daemon.wait_renewed({follower: before})
        seen = json.loads(watching.stdout.readline())["events"]
        self.assertGreater(seen[0]["sequence"], known[-1]["sequence"])


if __name__ == "__main__":
    unittest.main()
