"""What the daemon believes of its members, and what it does on it (S11): it ends none that serves, whatever it can't look
at, and asks each where it listens."""
import os
import signal
import subprocess
import time
import unittest

import daemon
from stream import HAS_KAZOO, Stream

NAME = "members.ensembled.test"


class NamedDaemon(daemon.Daemon):
    """The members' host has a name, which stands in a file of hosts that only the daemon and its members see."""

    def __init__(self):
        self.named = True
        super().__init__()
        self.hosts_file = os.path.join(self.directory, "hosts")
        # Nobody else is asked, and nothing is waited for.
        self.switch_file = os.path.join(self.directory, "nsswitch.conf")
        with open(self.switch_file, "w") as file:
            file.write("hosts: files\n")
        self.name(True)

    def name(self, is_there):
        # The same file: it is mounted.
        with open(self.hosts_file, "w") as file:
            file.write("127.0.0.1 localhost\n" + (f"127.0.0.1 {NAME}\n" if is_there else ""))

    def address(self, identity):
        return NAME

    def host(self, identity):
        return f"127.0.0.1:{self.ports[identity - 1]}"

    def command(self):
        mounts = f'mount --bind "{self.hosts_file}" /etc/hosts && mount --bind "{self.switch_file}" /etc/nsswitch.conf'
        return ["unshare", "--mount", "--propagation", "private", "sh", "-c", f'{mounts} && exec "$@"', "sh", *super().command()]


@unittest.skipUnless(HAS_KAZOO, "Debian's package `python3-kazoo` is not installed")
class Evidence(unittest.TestCase):
    def start(self, cluster):
        reason = daemon.missing()
        if reason:
            self.skipTest(reason)
        self.daemon = cluster
        self.addCleanup(self.daemon.close)
        self.daemon.start().wait_whole()
        self.stream = Stream(self.daemon.hosts).start()
        self.addCleanup(self.stream.stop)

    def pids(self):
        return {member["id"]: member.get("pid") for member in self.daemon.wait_status()["members"]}

    def deaths(self):
        return [line for line in self.daemon.events().splitlines() if any(code in line for code in ("memberDied", "memberSilent", "memberGaveUp"))]

    def held(self):
        return " ".join(hold["missingCondition"] for hold in self.daemon.wait_status()["held"])

    @unittest.skipUnless(os.geteuid() == 0, "mounts a file of hosts")
    def test_the_name_of_the_members_host_is_gone(self):
        self.start(NamedDaemon())
        before = self.pids()
        self.daemon.name(False)
        daemon.wait_for("the doubt is named", lambda: "could not be asked" in self.held(), 30, self.daemon.explain)
        # Longer than any silence is borne.
        time.sleep(15)
        self.assertEqual(self.pids(), before, self.daemon.explain())
        self.assertTrue(self.stream.flows(), "the ensemble serves on")
        # A daemon that is started in this state takes the members over: they were started here.
        self.daemon.kill()
        self.daemon.start()
        self.assertEqual(self.pids(), before, self.daemon.explain())
        time.sleep(6)
        self.assertIsNone(self.daemon.process.poll(), self.daemon.explain())
        self.assertEqual(self.pids(), before, self.daemon.explain())
        self.daemon.name(True)
        self.daemon.wait_whole(30)
        self.assertEqual(self.pids(), before)
        self.assertEqual(self.deaths(), [])

    @unittest.skipUnless(os.geteuid() == 0, "mounts a file of hosts")
    def test_a_first_start_without_the_name_is_tried_again(self):
        cluster = NamedDaemon()
        self.addCleanup(cluster.close)
        cluster.name(False)
        cluster.start()
        # Not among the unit's RestartPreventExitStatus: systemd starts it again.
        self.assertEqual(cluster.process.wait(30), 71, cluster.explain())
        cluster.process = None
        cluster.name(True)
        cluster.start().wait_whole()

    def test_client_ports_changed_by_a_reload(self):
        self.start(daemon.Daemon())
        before = self.pids()
        with open(self.daemon.manifest) as file:
            text = file.read()
        for number, port in enumerate(self.daemon.ports):
            text = text.replace(f"clientPort: {port},", f"clientPort: {self.daemon.port + (3, 7, 11)[number]},")
        with open(self.daemon.manifest, "w") as file:
            file.write(text)
        self.daemon.process.send_signal(signal.SIGHUP)
        self.daemon.wait_renewed(before, 120)
        self.daemon.wait_whole(60)
        self.assertEqual(self.deaths(), [], "no member was ended for being asked at another's port")
        self.daemon.ports = [self.daemon.port + further for further in (3, 7, 11)]
        # The lock's session found the new ports, too.
        done = self.daemon.ask("backup", "create", within=60)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_a_stopped_member_is_ended_and_a_traced_one_is_not(self):
        self.start(daemon.Daemon())
        before = self.pids()
        follower = next(i for i in (1, 2, 3) if i != self.daemon.leader())
        tracer = subprocess.Popen(["/usr/bin/python3", "-c", f"""
import ctypes, os, time
libc = ctypes.CDLL(None, use_errno=True)
# PTRACE_SEIZE, PTRACE_INTERRUPT: it stands still, traced.
assert libc.ptrace(0x4206, {before[follower]}, None, None) == 0, ctypes.get_errno()
assert libc.ptrace(0x4207, {before[follower]}, None, None) == 0
time.sleep(3600)
"""])
        self.addCleanup(tracer.wait)
        self.addCleanup(tracer.kill)
        time.sleep(15)
        self.assertIsNone(tracer.poll(), "it could not be traced")
        self.assertEqual(self.pids(), before, "somebody debugs it")
        self.assertIn("traces it", self.held())
        tracer.kill()
        tracer.wait()
        daemon.wait_for("it goes on", lambda: self.daemon.whole(), 30, self.daemon.explain)
        os.kill(before[follower], signal.SIGSTOP)
        self.daemon.wait_renewed({follower: before[follower]}, 30)
        self.assertIn("stopped by a signal", self.daemon.events())


if __name__ == "__main__":
    unittest.main()
