"""One cluster under a real daemon, for the fault tests: the built programs, a manifest, and the signals to disturb it."""
import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUNDLED, APACHE = "bundled", "apache"
CLUSTER = "process-test"
APACHE_JAR = "/usr/share/java/zookeeper.jar"
FIRST_PORT = int(os.environ.get("PROCESS_TEST_PORT", "22500"))
PORTS = 200
# Where it starts differs between processes, so that two runs side by side seldom ask for the same ones.
_next_slot = os.getpid()


def free_ports():
    """The first of twelve ports nobody uses, below those that the kernel gives to clients, and a lock on them: a member
    that is down leaves its ports free, and another run must not put its own member there. They go round, so that a
    port is used again only long after its last use."""
    global _next_slot
    for _ in range(PORTS // 12):
        first = FIRST_PORT + 12 * (_next_slot % (PORTS // 12))
        _next_slot += 1
        lock = open(os.path.join(tempfile.gettempdir(), f"ensembled-process-ports-{first}.lock"), "w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            continue
        if all(is_free(port) for port in range(first, first + 12)):
            return first, lock
        lock.close()
    raise AssertionError(f"no twelve free ports from {FIRST_PORT} to {FIRST_PORT + PORTS - 1}: PROCESS_TEST_PORT names others")


def is_free(port):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("0.0.0.0", port))
        except OSError:
            return False
    return True


def binary(name):
    """The release build of a program, else the debug build; of PROGRAMS if that names a folder; None if there is none."""
    folder = os.environ.get("PROGRAMS")
    folders = [os.path.abspath(folder)] if folder else [os.path.join(ROOT, ".build", kind) for kind in ("release", "debug")]
    return next((path for path in (os.path.join(f, name) for f in folders) if os.path.exists(path)), None)


def missing(engine=BUNDLED):
    """Why these tests cannot run here, or None."""
    for name in ("ensembled", "ensemblectl") + (("ensemble-server",) if engine == BUNDLED else ()):
        if not binary(name):
            return f"{name} is not built (scripts/build)"
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

    def __init__(self, engine=BUNDLED, tick="500ms", settings="", schedule="every 3s", places=None, sections=""):
        """- settings: further lines of the manifest's `settings`, indented by two; places: data directories by member;
        sections: further sections of the manifest."""
        self.sections, self.environment = sections, None
        self.engine, self.tick, self.settings, self.schedule, self.places = engine, tick, settings, schedule, places or {}
        self.directory = tempfile.mkdtemp(prefix="ensembled-process-")
        self.state = os.path.join(self.directory, "state")
        self.manifest = os.path.join(self.directory, "cluster.yaml")
        self.socket = os.path.join(self.directory, "control.sock")
        self.log = os.path.join(self.directory, "daemon.log")
        self.data = os.path.join(self.directory, "data")
        self.archive = os.path.join(self.directory, "archive")
        self.launcher = self.write_launcher()
        self.port, self.port_lock = free_ports()
        self.ports = [self.port + i for i in (0, 1, 2)]
        self.process = None
        self.write_manifest()

    def write_manifest(self):
        members = "".join(
            f"  - {{id: {i}, host: {self.address(i)}, clientPort: {self.port + i - 1}, quorumPort: {self.port + 3 + i}, "
            f"electionPort: {self.port + 7 + i}"
            + (f", dataDirectory: {self.places[i]}" if i in self.places else "") + "}\n" for i in (1, 2, 3))
        text = f"""cluster: {CLUSTER}
engine: {self.engine}
dataDirectory: {self.data}
settings:
  tickTime: {self.tick}
  initLimit: 5
{self.settings}
members:
{members}
backups:
  archive: {self.archive}
  schedule: {self.schedule}
  retention:
    keepLast: 5
restart:
  initialDelay: 200ms
  maximumDelay: 2s
  giveUpAfter: 100
  within: 1h
  soak: 1s
reseed:
  perMemberPerHour: 60
  perDay: 1000
"""
        if self.engine == APACHE:
            text += f"""apache:
  java: {self.launcher}
  classpath:
    - {APACHE_JAR}
    - /usr/share/java/slf4j-simple.jar
  heap: 128MiB
"""
        with open(self.manifest, "w") as file:
            file.write(text + self.sections)

    # The daemon

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                                            env=self.environment)
        return self

    def command(self):
        arguments = [binary("ensembled"), "run", "--manifest", self.manifest, "--state-dir", self.state, "--socket", self.socket]
        if self.engine == BUNDLED:
            arguments += ["--server-binary", self.launcher]
        return arguments

    def write_launcher(self):
        """A program in the server's place that starts the server, unless the member is held down, and with a further
        environment if the member was given one."""
        real = binary("ensemble-server") if self.engine == BUNDLED else shutil.which("java")
        folder = os.path.join(self.directory, "launcher")
        os.makedirs(folder)
        path = os.path.join(folder, os.path.basename(real))
        with open(path, "w") as file:
            # The configuration file is the last argument of both engines. The server keeps the pid, the name and the arguments.
            file.write(f"""#!/bin/sh
for last; do :; done
[ -e "$last.held" ] && exit 75
[ -e "$last.environment" ] && . "$last.environment"
exec {self.entering()}"{real}" "$@"
""")
        os.chmod(path, 0o755)
        return path

    def address(self, identity):
        """Where a member listens."""
        return "127.0.0.1"

    def entering(self):
        """The beginning of the launcher's command, in shell, for a member that lives in surroundings of its own."""
        return ""

    def configuration(self, identity):
        return os.path.join(self.data, "members", str(identity), "zoo.cfg")

    def member_directory(self, identity):
        return self.places.get(identity) or os.path.join(self.data, "members", str(identity), "data")

    def hold_down(self, identity):
        """As a host that is off: the member's process is killed, and whoever starts it gets nowhere."""
        open(self.configuration(identity) + ".held", "w").close()
        self.signal_member(identity, signal.SIGKILL)

    def let_up(self, identity):
        os.unlink(self.configuration(identity) + ".held")

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
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.port_lock.close()
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
            # Answers and deaths reach the daemon on different ways; a reader must never see them contradict.
            assert "pid" in member or not member["participates"], f"participates without a process: {member}"
        return view

    def explain(self):
        done = self.ask("status", within=10)
        with open(self.log, errors="replace") as file:
            tail = "".join(file.readlines()[-40:])
        return f"{done.stdout}{done.stderr}\n--- {self.log}\n{tail}"

    # The ensemble

    def wait_status(self, within=30):
        return wait_for("a status", self.status, within, self.explain)

    def whole(self):
        view = self.status()
        is_whole = view and not view.get("operation") and view["quorum"]["participating"] == 3 and view["quorum"].get("leader") \
            and all(m["participates"] and m["upToDate"] and not m["recovering"] and not m.get("reseed") for m in view["members"])
        return view if is_whole else None

    def wait_whole(self, within=120):
        return wait_for("the ensemble is whole", self.whole, within, self.explain)

    def wait_renewed(self, before, within=120):
        """Whole, and none of the members of `before` (id: pid) is the process that it was."""
        def renewed():
            view = self.whole()
            return view if view and all(m["pid"] != before.get(m["id"], 0) for m in view["members"]) else None
        return wait_for(f"the ensemble is whole, with others than {before}", renewed, within, self.explain)

    def wait_backup(self, within=60):
        return wait_for("a verified backup", lambda: ((self.status() or {}).get("backups") or {}).get("lastVerified"), within,
                        self.explain)

    def member(self, identity):
        return next(member for member in self.wait_status()["members"] if member["id"] == identity)

    def leader(self):
        return wait_for("a leader", lambda: ((self.status() or {}).get("quorum") or {}).get("leader"), 60, self.explain)

    def pid(self, identity):
        """The member's process: the one of this test that was given the member's configuration."""
        wanted = self.configuration(identity)
        return next((pid for pid, arguments in self.member_processes().items() if wanted in arguments), None)

    def signal_member(self, identity, number):
        pid = self.pid(identity)
        try:
            if pid:
                os.kill(pid, number)
        except ProcessLookupError:
            pass

    def lose_data(self, *identities, to=None):
        """The members' directories vanish under them, and the processes with them. - to: where they are kept, if they are."""
        for identity in identities:
            directory = self.member_directory(identity)
            if to:
                os.rename(directory, f"{to}-{identity}")
            else:
                shutil.rmtree(directory, ignore_errors=True)
            self.signal_member(identity, signal.SIGKILL)
        if not to:
            # What a server may have created between the removal and its death.
            for identity in identities:
                shutil.rmtree(self.member_directory(identity), ignore_errors=True)

    def intents(self):
        """What the daemon has written down that it is in the middle of, as text."""
        try:
            with open(os.path.join(self.state, "intents.json")) as file:
                return file.read()
        except OSError:
            return ""

    def events(self):
        try:
            with open(os.path.join(self.state, "events.jsonl"), errors="replace") as file:
                return file.read()
        except OSError:
            return ""

    def backups(self):
        done = self.ask("backup", "list", "--json")
        return json.loads(done.stdout)["backups"]

    @property
    def hosts(self):
        return ",".join(self.host(identity) for identity in (1, 2, 3))

    def word(self, identity, word="srvr"):
        """What the member's server says to a four-letter word; empty if it says nothing."""
        try:
            with socket.create_connection((self.address(identity), self.ports[identity - 1]), timeout=2) as connection:
                connection.sendall(word.encode())
                said = b""
                while part := connection.recv(4096):
                    said += part
                return said.decode(errors="replace")
        except OSError:
            return ""

    def host(self, identity):
        return f"{self.address(identity)}:{self.ports[identity - 1]}"
