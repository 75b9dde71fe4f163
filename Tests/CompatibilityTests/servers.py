"""Servers for the compatibility tests: ours and Apache's behind one interface, on loopback, in a scratch directory."""
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
JAR = "/usr/share/java/zookeeper.jar"
OURS, APACHE = "ours", "apache"
TICK = 500
JAVA = ["-Dzookeeper.extendedTypesEnabled=true", "-Dznode.container.checkIntervalMs=1000"]

_next_port = int(os.environ.get("COMPATIBILITY_PORT", "24400"))


def free_ports(count):
    """Consecutive numbers from this run's range, each bindable at this moment."""
    global _next_port
    ports = []
    while len(ports) < count:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", _next_port))
                ports.append(_next_port)
            except OSError:
                pass
        _next_port += 1
    return ports


def our_binary():
    """The server under test: ENSEMBLE_SERVER, else the newest build; None if there is none."""
    named = os.environ.get("ENSEMBLE_SERVER")
    builds = [named] if named else [os.path.join(ROOT, ".build", kind, "ensemble-server") for kind in ("debug", "release")]
    builds = [path for path in builds if os.path.exists(path)]
    return max(builds, key=os.path.getmtime) if builds else None


def missing(kind):
    """Why servers of this kind cannot be started here, or None."""
    if kind == OURS:
        return None if our_binary() else "ensemble-server is not built (swift build --product ensemble-server)"
    if not os.path.exists(JAR) or not shutil.which("java"):
        return "Debian's package `zookeeper` is not installed"
    return None


def word(port, command, timeout=2.0):
    """A four-letter word's answer; None if the server does not answer."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=timeout) as connection:
            connection.settimeout(timeout)
            connection.sendall(command.encode())
            text = b""
            while part := connection.recv(65536):
                text += part
            return text.decode(errors="replace")
    except OSError:
        return None


def wait_for(what, condition, within=30.0):
    """Polls until `condition` is true; raises AssertionError that says what was waited for."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.05)
    raise AssertionError(f"{what}: not within {within} s")


class Server:
    """One server process and its files. Its kind may change between starts."""

    def __init__(self, kind, directory, port, identity=None, extra="", tick=TICK, java=JAVA, names=None):
        self.kind, self.port, self.identity, self.java, self.names = kind, port, identity, java, names
        self.directory = directory
        self.data = os.path.join(directory, "data")
        self.log = os.path.join(directory, "log")
        self.configuration = os.path.join(directory, "zoo.cfg")
        self.process = None
        self.is_stopped = False
        os.makedirs(self.data)
        if identity is not None:
            with open(os.path.join(self.data, "myid"), "w") as file:
                file.write(f"{identity}\n")
            # A bootstrap: ours never takes an empty directory for an empty database otherwise (S2); Apache's knows the file too.
            open(os.path.join(self.data, "initialize"), "w").close()
        with open(self.configuration, "w") as file:
            file.write(f"tickTime={tick}\ninitLimit=20\nsyncLimit=10\nmaxClientCnxns=0\nclientPort={port}\n"
                       f"dataDir={self.data}\nadmin.enableServer=false\n4lw.commands.whitelist=*\n{extra}")

    @property
    def host(self):
        return f"127.0.0.1:{self.port}"

    def start(self):
        if self.kind == OURS:
            command = [our_binary(), self.configuration]
        else:
            command = ["java", "-Xmx256m", *self.java, "-cp", JAR, "org.apache.zookeeper.server.quorum.QuorumPeerMain", self.configuration]
        if self.names:
            command = ["unshare", "-m", "--propagation", "private", "sh", "-c", 'mount --bind "$0" /etc/hosts && exec "$@"',
                       self.names, *command]
        with open(self.log, "ab") as log:
            log.write(f"--- {self.kind}\n".encode())
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            cwd=self.directory, start_new_session=True)
        return self

    def signal(self, number):
        self.process.send_signal(number)
        self.is_stopped = number == signal.SIGSTOP

    def kill(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def stop(self):
        """SIGTERM, as an operator would; SIGKILL after ten seconds."""
        if not self.process:
            return
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def mode(self):
        """leader, follower, standalone, or None while it does not serve."""
        for line in (word(self.port, "srvr") or "").splitlines():
            if line.startswith("Mode: "):
                return line[6:]
        return None

    def wait(self, within=30.0):
        def serves():
            if self.process and self.process.poll() is not None:
                raise AssertionError(f"{self.kind} server {self.host} ended with {self.process.returncode}:\n{self.tail()}")
            return self.mode() in ("leader", "follower", "standalone", "observer")
        try:
            wait_for(f"{self.kind} server {self.host} serves", serves, within)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.tail()}") from None
        return self

    def tail(self, lines=15):
        with open(self.log, errors="replace") as file:
            return "".join(file.readlines()[-lines:])


class Ensemble:
    """Servers that know each other; a single one runs standalone. With `memory` their files are kept in memory.
    `host` is how members call each other; `names` is a file that they see as /etc/hosts (root only)."""

    def __init__(self, kinds, extra="", tick=TICK, java=JAVA, memory=False, host="127.0.0.1", names=None):
        fast = "/dev/shm" if memory and os.access("/dev/shm", os.W_OK) else None
        self.directory = tempfile.mkdtemp(prefix="ensembled-compatibility-", dir=fast)
        count = len(kinds)
        ports = free_ports(3 * count)
        peers = "".join(f"server.{i + 1}={host}:{ports[count + i]}:{ports[2 * count + i]}\n" for i in range(count))
        self.servers = [
            Server(kind, os.path.join(self.directory, str(i + 1)), ports[i], i + 1 if count > 1 else None,
                   extra + (peers if count > 1 else ""), tick, java, names)
            for i, kind in enumerate(kinds)]

    def start(self, wait=True):
        for server in self.servers:
            server.start()
        if wait:
            self.wait()
        return self

    def wait(self, within=30.0):
        for server in self.servers:
            server.wait(within)

    @property
    def hosts(self):
        return ",".join(server.host for server in self.servers)

    def leader(self, within=30.0):
        return wait_for("a leader", lambda: next((s for s in self.servers if s.process and s.mode() == "leader"), None), within)

    def followers(self):
        return [server for server in self.servers if server.process and server.mode() == "follower"]

    def close(self):
        for server in self.servers:
            server.kill()
        shutil.rmtree(self.directory, ignore_errors=True)
