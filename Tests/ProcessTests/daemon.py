"""One cluster under a real daemon, for the fault tests: the built programs, a manifest, and the signals to disturb it."""
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUNDLED, APACHE = "bundled", "apache"
APACHE_JAR = "/usr/share/java/zookeeper.jar"
_port = int(os.environ.get("PROCESS_TEST_PORT", "25400"))


def binary(name):
    """The newest build of a program, or of PROGRAMS if that names a folder; None if there is none."""
    folder = os.environ.get("PROGRAMS")
    folders = [folder] if folder else [os.path.join(ROOT, ".build", kind) for kind in ("debug", "release")]
    paths = [path for path in (os.path.join(f, name) for f in folders) if os.path.exists(path)]
    return max(paths, key=os.path.getmtime) if paths else None


def missing(engine=BUNDLED):
    """Why these tests cannot run here, or None."""
    for name in ("ensembled", "ensemblectl") + (("ensemble-server",) if engine == BUNDLED else ()):
        if not binary(name):
            return f"{name} is not built (swift build)"
    if engine == APACHE and not (os.path.exists(APACHE_JAR) and shutil.which("java")):
        return "Debian's package `zookeeper` is not installed"
    return None


def wait_for(what, condition, within, describe=lambda: ""):
    """Polls until `condition` gives something true and returns it."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.1)
    raise AssertionError(f"{what}: not within {within} s\n{describe()}")


class Daemon:
    """`ensembled` with three members on loopback, all of whose files lie in one scratch directory."""

    def __init__(self, engine=BUNDLED):
        global _port
        self.engine = engine
        self.directory = tempfile.mkdtemp(prefix="ensembled-process-")
        self.state = os.path.join(self.directory, "state")
        self.manifest = os.path.join(self.directory, "cluster.yaml")
        self.socket = os.path.join(self.directory, "control.sock")
        self.log = os.path.join(self.directory, "daemon.log")
        self.ports = [_port + i for i in (1, 2, 3)]
        self.process = None
        self.pids = {}
        members = "".join(f"  - {{id: {i}, host: 127.0.0.1, clientPort: {_port + i}, quorumPort: {_port + 10 + i}, "
                          f"electionPort: {_port + 20 + i}}}\n" for i in (1, 2, 3))
        _port += 40
        text = f"""cluster: process-test
engine: {engine}
settings:
  tickTime: 500ms
members:
{members}
backups:
  schedule: every 3s
  retention:
    keepLast: 5
restart:
  initialDelay: 200ms
  maximumDelay: 2s
  giveUpAfter: 1000
  within: 10m
  soak: 1s
reseed:
  perMemberPerHour: 1000
  perDay: 10000
"""
        if engine == APACHE:
            text += f"""apache:
  java: {shutil.which("java")}
  classpath:
    - {APACHE_JAR}
  heap: 128MiB
"""
        with open(self.manifest, "w") as file:
            file.write(text)

    # The daemon

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [binary("ensembled"), "run", "--manifest", self.manifest, "--state-dir", self.state, "--socket", self.socket],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        return self

    def kill(self):
        """As a crash: the members go on."""
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def close(self):
        """Ends the daemon in order, then whatever it left behind of its own members."""
        if self.process:
            self.process.terminate()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.kill()
        for pid in self.member_processes():
            os.kill(pid, signal.SIGKILL)
        if not os.environ.get("KEEP_FILES"):
            shutil.rmtree(self.directory, ignore_errors=True)

    def member_processes(self):
        """Processes whose arguments name this test's own directory, the daemon excepted."""
        found = {}
        for entry in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{entry}/cmdline", "rb") as file:
                    arguments = file.read().decode(errors="replace").split("\0")
            except OSError:
                continue
            pid = int(entry)
            if pid != os.getpid() and not (self.process and pid == self.process.pid) \
                    and any(self.directory in argument for argument in arguments):
                found[pid] = arguments
        return found

    def ask(self, *arguments, within=60):
        return subprocess.run([binary("ensemblectl"), *arguments, "--socket", self.socket], capture_output=True, text=True,
                              timeout=within)

    def status(self):
        """The daemon's view, or None while it does not answer. A daemon that ended by itself is a failure at once."""
        if self.process and self.process.poll() is not None:
            with open(self.log, errors="replace") as file:
                raise AssertionError(f"ensembled ended with {self.process.returncode}\n" + "".join(file.readlines()[-20:]))
        try:
            done = self.ask("status", "--json", within=10)
            view = json.loads(done.stdout)
        except (ValueError, subprocess.TimeoutExpired):
            return None
        for member in view["members"]:
            if member.get("pid"):
                self.pids[member["id"]] = member["pid"]
        return view

    def explain(self):
        done = self.ask("status", within=10)
        with open(self.log, errors="replace") as file:
            tail = "".join(file.readlines()[-40:])
        return f"{done.stdout}{done.stderr}\n--- {self.log}\n{tail}"

    # The ensemble

    def is_whole(self):
        view = self.status()
        return bool(view) and not view.get("operation") and view["quorum"]["participating"] == 3 \
            and all(member["participates"] and member["upToDate"] for member in view["members"]) and view

    def wait_whole(self, within=120):
        return wait_for("the ensemble is whole", self.is_whole, within, self.explain)

    def wait_backup(self, within=60):
        return wait_for("a verified backup", lambda: ((self.status() or {}).get("backups") or {}).get("lastVerified"), within,
                        self.explain)

    def member(self, identity):
        view = wait_for("a status", self.status, 30, self.explain)
        return next(member for member in view["members"] if member["id"] == identity)

    def leader(self):
        return wait_for("a leader", lambda: ((self.status() or {}).get("quorum") or {}).get("leader"), 60, self.explain)

    def signal_member(self, identity, number):
        """To the process that the daemon names, or that it last named; a dead one is no error."""
        view = self.status()
        named = next((m.get("pid") for m in view["members"] if m["id"] == identity), None) if view else None
        pid = named or self.pids.get(identity)
        # The pid may have been given to another process meanwhile: only this test's own are signalled.
        if pid in self.member_processes():
            os.kill(pid, number)

    def lose_data(self, identity):
        """The member's directory vanishes under it, and the process with it."""
        directory = self.member(identity)["dataDirectory"]
        shutil.rmtree(directory, ignore_errors=True)
        self.signal_member(identity, signal.SIGKILL)
        shutil.rmtree(directory, ignore_errors=True)

    @property
    def hosts(self):
        return ",".join(f"127.0.0.1:{port}" for port in self.ports)
