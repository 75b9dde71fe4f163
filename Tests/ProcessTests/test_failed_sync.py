"""An fsync that fails is the end of whoever asked for it: it is not known what is on the disk."""
import os
import shutil
import subprocess
import time
import unittest

import daemon
from scenario import MEMBERS, ROUNDS, Scenario
from stream import Stream

HERE = os.path.dirname(os.path.abspath(__file__))


def compiler():
    return next((path for path in map(shutil.which, ("cc", "gcc", "clang", "tcc")) if path), None)


@unittest.skipUnless(compiler(), "no C compiler for the failing fsync")
class FailedSync(Scenario):
    def setUp(self):
        super().setUp()
        self.shim = os.path.join(self.daemon.directory, "failing_sync.so")
        subprocess.run([compiler(), "-shared", "-fPIC", "-o", self.shim, os.path.join(HERE, "failing_sync.c"), "-ldl"], check=True)

    def trigger(self, name):
        return os.path.join(self.daemon.directory, f"fail-{name}")

    def environment(self, name, under):
        return {"LD_PRELOAD": self.shim, "FAIL_SYNC_TRIGGER": self.trigger(name), "FAIL_SYNC_UNDER": under}

    def equip(self, member):
        """From its next start on, the member's syncs can be made to fail."""
        with open(self.daemon.configuration(member) + ".environment", "w") as file:
            for name, value in self.environment(member, self.daemon.member_directory(member)).items():
                file.write(f"export {name}='{value}'\n")
        self.disturb(lambda: self.daemon.signal_member(member, 9), [member])

    def fail_sync(self, name, within=30):
        open(self.trigger(name), "w").close()
        daemon.wait_for("a sync failed", lambda: not os.path.exists(self.trigger(name)), within, self.daemon.explain)

    def ends(self):
        return self.daemon.events().count("its disk failed or is full")

    def trees(self):
        """What each member holds, once it has all that is committed."""
        found = []
        for host in self.daemon.hosts.split(","):
            client = Stream.client(host)
            client.sync("/stream")
            found.append(sorted(client.get_children("/stream")))
            Stream.close(client)
        return found

    def check_same(self):
        """What was not acknowledged may be there or not, but for all members alike."""
        self.daemon.wait_whole()
        self.stream.stop()
        first, *others = self.trees()
        for other in others:
            self.assertEqual(first, other, "the members disagree on what was not acknowledged")

    def fail_and_return(self, member):
        """Its sync fails; it ends at once with the storage status, and comes back by itself."""
        before, ends = self.daemon.pid(member), self.ends()
        begun = time.monotonic()
        self.fail_sync(member)
        daemon.wait_for("the member ended", lambda: self.daemon.pid(member) != before, 5, self.daemon.explain)
        daemon.wait_for("the daemon knows why", lambda: self.ends() > ends, 10, self.daemon.explain)
        self.assertIn("fdatasync failed", self.daemon.events())
        self.daemon.wait_renewed({member: before})
        self.times_whole.append(time.monotonic() - begun)

    def test_a_followers_sync_fails(self):
        """S1"""
        member = next(m for m in MEMBERS if m != self.daemon.leader())
        self.equip(member)
        for _ in range(ROUNDS):
            self.fail_and_return(member)
        self.check()
        self.check_same()

    def test_the_leaders_sync_fails(self):
        """S1: what it had proposed and not written down is the next leader's to judge"""
        for member in MEMBERS:
            self.equip(member)
        for _ in range(ROUNDS):
            self.fail_and_return(self.daemon.leader())
        self.check()
        self.check_same()

    def test_what_one_of_two_could_not_sync_is_not_acknowledged(self):
        """S1: with the third member away the quorum needs the disk that fails"""
        leader = self.daemon.leader()
        member, away = (m for m in MEMBERS if m != leader)
        self.equip(member)
        leader = self.daemon.leader()
        if leader == member:
            member = next(m for m in MEMBERS if m not in (member, away))
            self.equip(member)
        self.daemon.hold_down(away)
        self.assertTrue(self.stream.flows(), "two are a quorum")
        # Not started again: what it did not sync must not be acknowledged by its next life either.
        open(self.daemon.configuration(member) + ".held", "w").close()
        before = self.daemon.pid(member)
        self.fail_sync(member)
        daemon.wait_for("the member ended", lambda: self.daemon.pid(member) != before, 5, self.daemon.explain)
        count = self.stream.count
        time.sleep(3)
        # Two were needed, and one of them is gone.
        self.assertLessEqual(self.stream.count - count, 3, "writes are acknowledged without a quorum of disks")
        self.daemon.let_up(member)
        self.daemon.let_up(away)
        self.daemon.wait_whole()
        self.check()
        self.check_same()

    def test_the_daemons_own_state_cannot_be_synced(self):
        """S9: what could not be written down is not begun; the daemon ends loudly, the members serve, the next adopts them"""
        before = self.pids()
        self.daemon.kill()
        self.daemon.environment = {**os.environ, **self.environment("daemon", self.daemon.state)}
        self.daemon.start().wait_whole()
        self.assertEqual(before, self.pids())
        for _ in range(ROUNDS):
            open(self.trigger("daemon"), "w").close()
            # A stop is written down before it begins.
            asked = subprocess.Popen([daemon.binary("ensemblectl"), "restart", "--rolling", "--socket", self.daemon.socket],
                                     stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            self.assertEqual(self.daemon.process.wait(30), 74, "it went on without its state")
            asked.wait(60)
            self.assertFalse(os.path.exists(self.trigger("daemon")))
            with open(self.daemon.log, errors="replace") as file:
                self.assertIn("nothing goes on without it", file.read())
            self.daemon.process = None
            self.assertTrue(self.stream.flows(), "the members serve without a daemon")
            self.daemon.start().wait_whole()
            self.assertEqual(before, self.pids(), "the members were not left alone")
        self.check()


if __name__ == "__main__":
    unittest.main()
