"""What touches the archive or needs memory is done by processes of their own, which the daemon outlives (issue 9: A5, B18, B26)."""
import os
import signal
import subprocess
import time
import unittest

import daemon
import hanging
from stream import HAS_KAZOO, Stream


def workers(of):
    """The worker processes of a daemon: pid by what each does."""
    found = {}
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{entry}/cmdline", "rb") as file:
                arguments = file.read().decode(errors="replace").split("\0")
        except OSError:
            continue
        if arguments[:2] == ["ensembled", "work"] and arguments[4:5] == [str(of)]:
            found[arguments[2]] = int(entry)
    return found


def state_of(pid):
    """R, S, D, …, D if one of its threads is; None: it is gone."""
    try:
        states = []
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/stat") as file:
                states.append(file.read().rsplit(")", 1)[1].split()[0])
        return "D" if "D" in states else states[0]
    except OSError:
        return None


def peak_memory(pid):
    """In MiB."""
    with open(f"/proc/{pid}/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM")) / 1024


class WorkerCase(unittest.TestCase):
    def begin(self, **options):
        reason = daemon.missing()
        if reason:
            self.skipTest(reason)
        self.daemon = daemon.Daemon(schedule="every 1h", **options)
        self.addCleanup(self.daemon.close)
        return self.daemon

    def wait_worker(self, job, state=None, within=30):
        """Looks all the time: most of them live for a moment."""
        deadline = time.monotonic() + within
        while time.monotonic() < deadline:
            pid = workers(self.daemon.process.pid).get(job)
            if pid and state in (None, state_of(pid)):
                return pid
        raise AssertionError(f"no worker for {job}\n{self.daemon.explain()}")

    def fill(self, thousands):
        """Znodes, so that a worker has something to do."""
        client = Stream.client(self.daemon.hosts)
        client.create("/many")
        for batch in range(thousands):
            request = client.transaction()
            for index in range(1000):
                request.create(f"/many/{batch * 1000 + index:07}", os.urandom(200))
            request.commit()
        Stream.close(client)


@unittest.skipUnless(HAS_KAZOO, "Debian's package `python3-kazoo` is not installed")
@unittest.skipIf(hanging.why_not(), hanging.why_not())
class HangingArchive(WorkerCase):
    """A disk whose writes can't be interrupted: what waits for it can't even be killed."""

    def freeze_under_a_backup(self):
        disk = hanging.FrozenDisk(self.daemon.archive, os.path.join(self.daemon.directory, "disk"))
        self.addCleanup(disk.close)
        self.daemon.start().wait_whole()
        self.assertEqual(self.daemon.ask("backup", "create").returncode, 0)
        disk.freeze()
        self.daemon.ask("backup", "create", "--no-wait")
        return disk, self.wait_worker("CaptureMember", "D")

    def test_the_daemon_ends_and_leaves_it_behind(self):
        """B26: on SIGTERM the members stopped and the daemon did not; killed, it stayed, and the next one ended with 75"""
        self.begin()
        disk, worker = self.freeze_under_a_backup()
        self.daemon.process.terminate()
        self.assertEqual(self.daemon.process.wait(30), 0, self.daemon.explain)
        self.daemon.process = None
        self.assertEqual(state_of(worker), "D", "it is left behind, and the kernel has it")
        # The next one serves beside what the former has left.
        self.daemon.start().wait_whole()
        disk.thaw()
        daemon.wait_for("what was left behind is gone", lambda: state_of(worker) in (None, "Z"), 10, self.daemon.explain)
        made = self.daemon.ask("backup", "create")
        self.assertEqual(made.returncode, 0, made.stdout + made.stderr)
        checks = [self.daemon.ask("backup", "verify", backup["id"]).returncode for backup in self.daemon.backups()]
        self.assertEqual(set(checks), {0})

    def test_a_daemon_that_is_killed_is_followed_at_once(self):
        """S9: the next one has the members, and does not wait for what the former waited for"""
        self.begin()
        disk, worker = self.freeze_under_a_backup()
        before = {member["id"]: member["pid"] for member in self.daemon.wait_status()["members"]}
        self.daemon.kill()
        self.daemon.start()
        daemon.wait_for("the next one has them", lambda: all(
            member.get("pid") == before[member["id"]] for member in self.daemon.wait_status()["members"]), 30, self.daemon.explain)
        self.assertEqual(state_of(worker), "D")
        disk.thaw()
        self.daemon.wait_whole()
        self.assertEqual(self.daemon.ask("backup", "create").returncode, 0)

    def test_a_seed_left_behind_keeps_its_claim(self):
        """S3: a worker that hangs in a member's directory would go on there when the next daemon's server has it"""
        self.begin()
        disk = hanging.FrozenDisk(
            os.path.join(self.daemon.data, "members", "1"), os.path.join(self.daemon.directory, "disk"), megabytes=800)
        self.addCleanup(disk.close)
        self.daemon.start().wait_whole()
        self.fill(100)
        self.assertEqual(self.daemon.ask("backup", "create").returncode, 0)
        self.daemon.ask("reseed", "1", "--no-wait")
        worker = self.wait_worker("SeedMember")
        disk.freeze()
        daemon.wait_for("it hangs", lambda: state_of(worker) == "D", 5, self.daemon.explain)
        self.daemon.kill()
        self.daemon.start()
        self.assertEqual(self.daemon.process.wait(60), 75, "another has the directory")
        with open(self.daemon.log) as file:
            self.assertIn("another daemon runs it", file.read())
        disk.thaw()
        daemon.wait_for("what was left behind is gone", lambda: state_of(worker) in (None, "Z"), 10)
        self.daemon.start().wait_whole(120)


@unittest.skipIf(hanging.why_not(), hanging.why_not())
class UnmountedArchive(WorkerCase):
    def test_nothing_takes_its_place(self):
        """B27: a new one was made under the mount point, and retention knew of two backups where there had been four"""
        self.begin()
        image = os.path.join(self.daemon.directory, "disk")
        disk = hanging.FrozenDisk(self.daemon.archive, image)
        self.addCleanup(disk.close)
        self.daemon.start().wait_whole()
        self.assertEqual(self.daemon.ask("backup", "create").returncode, 0)
        kept = [backup["id"] for backup in self.daemon.backups()]
        subprocess.run(["umount", self.daemon.archive], check=True)
        for _ in range(2):
            made = self.daemon.ask("backup", "create")
            self.assertEqual(made.returncode, 1, made.stdout)
            self.assertIn("nothing is mounted there", made.stderr)
            self.assertEqual(os.listdir(self.daemon.archive), [], "nothing is made under the mount point")
            daemon.wait_for("it is said", lambda: "nothing is mounted there" in self.daemon.ask("check").stdout, 90, self.daemon.explain)
            self.assertNotEqual(self.daemon.ask("check").returncode, 0)
            # The next daemon knows of it as well.
            self.daemon.kill()
            self.daemon.start().wait_whole()
        subprocess.run(["mount", "-o", "loop", image, self.daemon.archive], check=True)
        self.assertEqual(self.daemon.ask("backup", "create").returncode, 0)
        self.assertTrue(set(kept) < {backup["id"] for backup in self.daemon.backups()})


@unittest.skipUnless(HAS_KAZOO, "Debian's package `python3-kazoo` is not installed")
class KilledWorker(WorkerCase):
    def test_a_worker_that_dies_fails_what_it_did_and_nothing_else(self):
        self.begin()
        self.daemon.start().wait_whole()
        self.fill(40)
        self.assertEqual(self.daemon.ask("backup", "create").returncode, 0)
        for job, verb in (("CaptureMember", ("backup", "create")), ("VerifyBackup", ("backup", "verify", self.daemon.backups()[0]["id"]))):
            asking = subprocess.Popen([daemon.binary("ensemblectl"), *verb, "--socket", self.daemon.socket],
                                      stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            os.kill(self.wait_worker(job), signal.SIGKILL)
            said = asking.communicate(timeout=60)[0]
            if job == "CaptureMember":
                self.assertEqual(asking.returncode, 0, "it is taken from another member: " + said)
                continue
            self.assertEqual(asking.returncode, 1, said)
            self.assertIn("was ended by signal 9", said)
        self.daemon.wait_whole()
        self.assertEqual(self.daemon.ask("backup", "create").returncode, 0)


@unittest.skipUnless(HAS_KAZOO, "Debian's package `python3-kazoo` is not installed")
class Memory(WorkerCase):
    def test_the_daemon_stays_small_beside_a_large_tree(self):
        """B18: it kept 88 MiB after the verification of 60,000 znodes"""
        self.begin()
        self.daemon.start().wait_whole()
        self.fill(60)
        made = self.daemon.ask("backup", "create", within=120)
        self.assertEqual(made.returncode, 0, made.stdout + made.stderr)
        self.assertEqual(self.daemon.ask("backup", "verify", self.daemon.backups()[0]["id"], within=120).returncode, 0)
        self.daemon.lose_data(2)
        self.daemon.wait_whole(120)
        self.assertLess(peak_memory(self.daemon.process.pid), 40)


if __name__ == "__main__":
    unittest.main()
