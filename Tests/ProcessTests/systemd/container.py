"""A machine to try things on: systemd as PID 1 of a container, booted from an overlay of this host's root.

Nothing of the host is changed: what the container writes lies in a tmpfs, its network is a loopback of its own, its
processes are in a cgroup and a process namespace of their own, and `end` takes all of it away."""
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time

CGROUPS = "/sys/fs/cgroup"


class Unavailable(Exception):
    """This machine cannot boot a container; the text says why."""


class Container:
    def __init__(self, source):
        """`source`: the folder of the repository; the container sees it at /src, read only."""
        self.source = source
        self.name = f"ensembled-test-{os.getpid()}"
        self.scratch = tempfile.mkdtemp(prefix="ensembled-systemd-", dir="/run")
        self.root = os.path.join(self.scratch, "root")
        self.log = os.path.join(self.scratch, "console.log")
        self.mounts, self.cgroups = [], []
        self.nspawn = self.leader = None

    # Booting

    def boot(self, within=30):
        """Returns the seconds until systemd said that it was up."""
        began = time.monotonic()
        self.mount_root()
        self.make_cgroups()
        with open(self.log, "wb") as log, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            address = os.path.join(self.scratch, "notify")
            notify.bind(address)
            # basic.target: the services of the host whose root this is must not start here.
            self.nspawn = subprocess.Popen(
                ["systemd-nspawn", "--quiet", "-D", self.root, "-M", self.name, "--register=no", "--keep-unit",
                 "--console=pipe", "--notify-ready=yes", "--private-network", f"--bind-ro={self.source}:/src",
                 "-b", "systemd.unit=basic.target"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, preexec_fn=self.enter_cgroups,
                env={"PATH": os.environ["PATH"], "NOTIFY_SOCKET": address})
            self.wait_ready(notify, began + within)
        return time.monotonic() - began

    def mount_root(self):
        # The upper layer must be on another mount than /, which is the lower one.
        self.mount("-t", "tmpfs", "-o", "size=2g,mode=755", "tmpfs", self.scratch)
        for name in ("upper", "work", "root"):
            os.mkdir(os.path.join(self.scratch, name))
        self.mount("-t", "overlay", "-o", f"lowerdir=/,upperdir={self.scratch}/upper,workdir={self.scratch}/work",
                   "overlay", self.root)
        self.write("/etc/hostname", self.name + "\n")
        # An empty one is filled in at boot; the host's would mix the journals.
        self.write("/etc/machine-id", "")
        # Units of the host that reach basic.target have no business here.
        for folder in ("/etc/systemd/system", "/var/log/journal", "/var/lib/ensembled", "/etc/ensembled"):
            shutil.rmtree(self.path(folder), ignore_errors=True)
            os.makedirs(self.path(folder), exist_ok=True)

    def mount(self, *arguments):
        done = subprocess.run(["mount", *arguments], capture_output=True, text=True)
        if done.returncode:
            raise Unavailable(f"mount {' '.join(arguments)}: {done.stderr.strip()}")
        self.mounts.append(arguments[-1])

    def make_cgroups(self):
        """A cgroup of the container's own in each hierarchy that systemd uses: without it, stopping a unit fails."""
        hybrid = [os.path.join(CGROUPS, name) for name in ("systemd", "unified")]
        for hierarchy in [path for path in hybrid if os.path.isdir(path)] or [CGROUPS]:
            path = os.path.join(hierarchy, self.name)
            try:
                os.mkdir(path)
            except OSError as error:
                raise Unavailable(f"no cgroup of its own: {error}")
            self.cgroups.append(path)

    def enter_cgroups(self):
        for path in self.cgroups:
            with open(os.path.join(path, "cgroup.procs"), "w") as file:
                file.write(str(os.getpid()))

    def wait_ready(self, notify, deadline):
        while True:
            notify.settimeout(max(0.01, min(0.2, deadline - time.monotonic())))
            try:
                words = dict(line.split("=", 1) for line in notify.recv(4096).decode().split("\n") if "=" in line)
            except socket.timeout:
                if self.nspawn.poll() is not None or time.monotonic() > deadline:
                    raise Unavailable(f"the container does not boot: {self.console()}")
                continue
            self.leader = int(words.get("X_NSPAWN_LEADER_PID", self.leader or 0)) or None
            if words.get("READY") == "1" and self.leader:
                return

    def console(self):
        with open(self.log, errors="replace") as file:
            return "".join(file.readlines()[-10:]).strip()

    # Inside

    def path(self, inside):
        """Where the host sees a file of the container's root (its /run and /tmp are file systems of their own)."""
        return self.root + inside

    def write(self, inside, text, mode=0o644):
        path = self.path(inside)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write(text)
        os.chmod(path, mode)

    def command(self, *arguments):
        return ["nsenter", "-t", str(self.leader), "-a", "--", *arguments]

    def run(self, *arguments, check=True, within=90):
        """Runs a program inside and returns what came of it."""
        done = subprocess.run(self.command(*arguments), stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=within, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "SYSTEMD_COLORS": "0",
                                                   "SYSTEMD_PAGER": "", "LANG": "C.UTF-8", "HOME": "/root"})
        if check and done.returncode:
            raise AssertionError(f"{' '.join(arguments)}: exit {done.returncode}: {(done.stdout + done.stderr).strip()}")
        return done

    # The end

    def wait_end(self, within):
        """Whether the container ended by itself in this time."""
        try:
            self.nspawn.wait(within)
            return True
        except subprocess.TimeoutExpired:
            return False

    def end(self):
        """Only what `boot` made: its own processes by id, its own mounts and cgroups."""
        if self.nspawn and self.nspawn.poll() is None:
            # PID 1 of the namespace takes everything in it along, and nspawn ends after it.
            for pid in filter(None, (self.leader, self.nspawn.pid)):
                os.kill(pid, signal.SIGKILL)
                if self.wait_end(10):
                    break
        for path in reversed(self.mounts):
            if subprocess.run(["umount", path], capture_output=True).returncode:
                subprocess.run(["umount", "--lazy", path], capture_output=True)
        for path in self.cgroups:
            for folder, _, _ in os.walk(path, topdown=False):
                try:
                    os.rmdir(folder)
                except OSError:
                    # Busy for as long as the last process is being buried: tried once more.
                    time.sleep(0.5)
                    try:
                        os.rmdir(folder)
                    except OSError as error:
                        print(f"left behind: {folder}: {error}")
        try:
            os.rmdir(self.scratch)
        except OSError as error:
            print(f"left behind: {self.scratch}: {error}")
