"""The demonstration: scripts/demo says how it is called. Clients are kazoo's, a foreign library."""
import argparse
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
import time

from kazoo.client import KazooClient
from kazoo.exceptions import KazooException
from kazoo.handlers.threading import KazooTimeoutError

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
RELEASE = os.path.join(ROOT, ".build", "release")
STATE = os.path.join(ROOT, "demo-state")
SOCKET = os.path.join(STATE, "control.sock")
PIDFILE = os.path.join(STATE, "ensembled.pid")
MANIFEST = os.path.join(ROOT, "manifests", "demo.yaml")
HOSTS = "127.0.0.1:21811,127.0.0.1:21812,127.0.0.1:21813"

logging.disable(logging.CRITICAL)


class Failure(Exception):
    pass


def ctl(*arguments, check=True):
    """Runs ensemblectl and returns what it printed."""
    done = subprocess.run(
        [os.path.join(RELEASE, "ensemblectl"), *arguments], capture_output=True, text=True,
        env=dict(os.environ, ENSEMBLECTL_SOCKET=SOCKET))
    if check and done.returncode != 0:
        raise Failure(f"ensemblectl {' '.join(arguments)}: exit {done.returncode}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def status():
    try:
        return json.loads(ctl("status", "--json"))
    except (Failure, ValueError):
        return None


def member(ident):
    seen = status()
    return next(m for m in seen["members"] if m["id"] == ident) if seen else None


def wait(what, condition, seconds):
    """Waits until condition() holds; says what it waited for if it never did."""
    start = time.monotonic()
    while time.monotonic() - start < seconds:
        value = condition()
        if value:
            return time.monotonic() - start
        time.sleep(0.1)
    raise Failure(f"{what}: not within {seconds} s\n{ctl('status', check=False)}\n{ctl('events', check=False)}")


def whole():
    seen = status()
    return seen and all(m["participates"] for m in seen["members"]) and seen["quorum"].get("leader")


def verified_backup():
    seen = json.loads(ctl("backup", "list", "--json"))
    return next((b for b in seen["backups"] if b.get("verifiedAt")), None)


def daemon_pid():
    try:
        pid = int(open(PIDFILE).read())
        command = open(f"/proc/{pid}/cmdline").read()
    except (OSError, ValueError):
        return None
    return pid if "ensembled" in command else None


def start():
    """Starts the daemon in the background, with a fresh state directory."""
    if daemon_pid():
        raise Failure("the demonstration is running already: scripts/demo --stop ends it")
    left = subprocess.run(["pgrep", "-f", f"ensemble-server {STATE}/"], capture_output=True, text=True).stdout.split()
    if left:
        raise Failure(f"members of an earlier demonstration are still running: {' '.join(left)}; end them with kill")
    shutil.rmtree(STATE, ignore_errors=True)
    os.makedirs(STATE)
    begin = time.monotonic()
    with open(os.path.join(STATE, "ensembled.log"), "ab") as log:
        process = subprocess.Popen(
            [os.path.join(RELEASE, "ensembled"), "run", "--manifest", MANIFEST, "--state-dir", STATE, "--socket", SOCKET],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    with open(PIDFILE, "w") as file:
        file.write(str(process.pid))
    wait("three members serving", lambda: process.poll() is not None or whole(), 60)
    if process.poll() is not None:
        raise Failure("ensembled ended:\n" + open(os.path.join(STATE, "ensembled.log")).read()[-2000:])
    return time.monotonic() - begin


def stop():
    pid = daemon_pid()
    if not pid:
        print("the demonstration is not running")
        return
    seen = status()
    members = [m["pid"] for m in seen["members"] if m.get("pid")] if seen else []
    begin = time.monotonic()
    os.kill(pid, signal.SIGTERM)
    while time.monotonic() - begin < 60 and not is_gone(pid):
        time.sleep(0.05)
    if not is_gone(pid):
        raise Failure(f"ensembled (pid {pid}) did not end within 60 s of SIGTERM")
    left = [m for m in members if not is_gone(m)]
    if left:
        raise Failure(f"ensembled ended, and left its members running: {left}")
    os.unlink(PIDFILE)
    print(f"   stopped in {time.monotonic() - begin:.1f} s: followers first, the leader last")


def is_gone(pid):
    try:
        return open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


class Writer:
    """A steady stream of writes, each acknowledged one remembered."""

    def __init__(self):
        self.acknowledged = []
        self.failures = 0
        self.longest_gap = 0.0
        self.last = time.monotonic()
        self.running = True
        self.thread = threading.Thread(target=self.run, daemon=True)

    def __enter__(self):
        self.client = KazooClient(hosts=HOSTS, timeout=6.0)
        self.client.start(timeout=20)
        self.client.ensure_path("/tour")
        self.last = time.monotonic()
        self.thread.start()
        return self

    def run(self):
        number = 0
        while self.running:
            number += 1
            path = f"/tour/w{number:07d}"
            try:
                self.client.create(path, str(number).encode())
            except (KazooException, KazooTimeoutError):
                self.failures += 1
                time.sleep(0.02)
                continue
            now = time.monotonic()
            self.longest_gap = max(self.longest_gap, now - self.last)
            self.last = now
            self.acknowledged.append(path)
            time.sleep(0.002)

    def mark(self):
        self.longest_gap = 0.0
        self.last = time.monotonic()
        self.failures = 0
        return len(self.acknowledged)

    def summary(self, since):
        time.sleep(1)
        gap = max(self.longest_gap, time.monotonic() - self.last)
        return (f"{len(self.acknowledged) - since} writes acknowledged meanwhile, {self.failures} failed and were known to, "
                f"longest gap {gap:.2f} s")

    def __exit__(self, *_):
        self.running = False
        self.thread.join(30)
        self.client.stop()
        self.client.close()


def step(title, action, writer=None):
    print(f"\n== {title}", flush=True)
    since = writer.mark() if writer else 0
    begin = time.monotonic()
    note = action()
    if note:
        print(f"   {note}")
    print(f"   whole again after {time.monotonic() - begin:.1f} s")
    if writer:
        print("   " + writer.summary(since), flush=True)


def kill_leader():
    leader = status()["quorum"]["leader"]
    pid = member(leader)["pid"]
    os.kill(pid, signal.SIGKILL)
    wait("the killed leader's successor", lambda: (member(leader) or {}).get("pid") not in (pid, None) and whole(), 60)
    return f"member {leader} led (pid {pid}); now member {status()['quorum']['leader']} leads"


def freeze_member():
    leader = status()["quorum"]["leader"]
    victim = next(m for m in status()["members"] if m["id"] != leader)
    os.kill(victim["pid"], signal.SIGSTOP)
    wait("the stopped member's successor", lambda: (member(victim["id"]) or {}).get("pid") not in (victim["pid"], None) and whole(), 120)
    return f"member {victim['id']} (pid {victim['pid']}) was alive but did not answer: ended and started anew"


def lose_directory():
    wait("a verified backup", verified_backup, 60)
    leader = status()["quorum"]["leader"]
    victim = next(m for m in status()["members"] if m["id"] != leader)
    shutil.rmtree(victim["dataDirectory"])
    os.kill(victim["pid"], signal.SIGKILL)
    wait("the lost member's return", lambda: (member(victim["id"]) or {}).get("pid") not in (victim["pid"], None) and whole(), 180)
    return f"member {victim['id']}: its directory was removed and its process killed; seeded from the newest verified backup, and back without a vote until synced"


def rolling_restart():
    before = {m["id"]: m["pid"] for m in status()["members"]}
    print("".join("   | " + line + "\n" for line in ctl("restart", "--rolling", "--dry-run").splitlines()), end="")
    ctl("restart", "--rolling")
    wait("a rolling restart", lambda: whole() and all(m["pid"] != before[m["id"]] for m in status()["members"]), 180)


def backup():
    print("".join("   | " + line + "\n" for line in ctl("backup", "create").splitlines()), end="")
    found = wait("a verified backup", verified_backup, 60)
    return f"verified by reading it back and replaying it ({found:.1f} s)"


def restore():
    client = KazooClient(hosts=HOSTS, timeout=6.0)
    client.start(timeout=20)
    client.create("/before", b"kept")
    chosen = json.loads(ctl("backup", "create", "--json"))["backup"]
    client.create("/after", b"forgotten")
    client.stop()
    client.close()
    ctl("restore", chosen, "--confirm", "demo")
    wait("the restored cluster", whole, 180)
    client = KazooClient(hosts=HOSTS, timeout=6.0)
    client.start(timeout=30)
    kept, forgotten = client.exists("/before"), client.exists("/after")
    client.stop()
    client.close()
    if not kept or forgotten:
        raise Failure(f"restore: /before {'is there' if kept else 'is missing'}, /after {'is there' if forgotten else 'is gone'}")
    return f"{chosen}: what was written before it is there, what was written after it is gone; the epoch is above every epoch seen"


def verify(writer):
    """Every acknowledged write is there, read through each member after a sync."""
    for port in (21811, 21812, 21813):
        client = KazooClient(hosts=f"127.0.0.1:{port}", timeout=6.0)
        client.start(timeout=20)
        client.sync("/tour")
        present = {"/tour/" + name for name in client.get_children("/tour")}
        client.stop()
        client.close()
        lost = [path for path in writer.acknowledged if path not in present]
        if lost:
            raise Failure(f"acknowledged and lost: {lost[:5]} ({len(lost)} in all), read through port {port}")
    print(f"\n== {len(writer.acknowledged)} acknowledged writes, read back through each member: none lost", flush=True)


def first_steps(seconds):
    print(f"   three members serve after {seconds:.1f} s")
    client = KazooClient(hosts=HOSTS, timeout=6.0)
    client.start(timeout=20)
    client.create("/hello", b"from a foreign client")
    print(f"   wrote and read /hello: {client.get('/hello')[0].decode()}")
    client.stop()
    client.close()
    print()
    print(ctl("status"))
    print(f"""connect:  /usr/share/zookeeper/bin/zkCli.sh -server 127.0.0.1:21811      (Debian's zookeeper package)
          python3 -c 'from kazoo.client import KazooClient as K; k = K("{HOSTS}"); k.start(); print(k.get("/hello"))'
watch:    .build/release/ensemblectl status --watch --socket demo-state/control.sock
stop:     scripts/demo --stop""", flush=True)


def tour(quick):
    with Writer() as writer:
        step("kill -9 of the leader, under a steady stream of writes", kill_leader, writer)
        step("SIGSTOP of a member", freeze_member, writer)
        if not quick:
            step("a lost data directory", lose_directory, writer)
            step("a rolling restart under load", rolling_restart, writer)
        step("a backup, live, under load", backup, writer)
    verify(writer)
    if not quick:
        step("restore of the whole cluster to a backup", restore)
    print("\n" + ctl("status"))


def main():
    parser = argparse.ArgumentParser(prog="scripts/demo")
    parser.add_argument("--tour", action="store_true")
    parser.add_argument("--stop", action="store_true")
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    if arguments.stop:
        return stop()
    begin = time.monotonic()
    print("== starting the cluster of manifests/demo.yaml", flush=True)
    first_steps(start())
    if arguments.tour:
        try:
            tour(arguments.quick)
        finally:
            print("\n== stopping", flush=True)
            stop()
        print(f"== the tour took {time.monotonic() - begin:.0f} s")


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        sys.exit(f"scripts/demo: {failure}")
