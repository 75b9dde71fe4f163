"""A steady stream of writes by kazoo, a foreign client, and the check that none of the acknowledged ones is lost."""
import logging
import sys
import threading
import time

# kazoo is Debian's package python3-kazoo; another interpreter on the PATH would not find it.
sys.path.append("/usr/lib/python3/dist-packages")
try:
    import kazoo.client
    HAS_KAZOO = True
except ImportError:
    HAS_KAZOO = False

# What a broken connection makes kazoo say is what these tests are about.
logging.getLogger("kazoo").setLevel(logging.CRITICAL)


class Stream:
    """Writers that each create one new node after another and remember which were acknowledged."""

    def __init__(self, hosts, writers=3, pause=0.005):
        self.hosts, self.pause = hosts, pause
        self.acknowledged = []
        # Neither acknowledged nor refused: it may have happened or not.
        self.unknown = 0
        self.longest_gap = 0.0
        self.last = None
        self.lock = threading.Lock()
        self.ended = threading.Event()
        self.threads = [threading.Thread(target=self.write, args=(writer,), daemon=True) for writer in range(writers)]

    def start(self):
        setup = self.client(self.hosts)
        setup.ensure_path("/stream")
        self.close(setup)
        for thread in self.threads:
            thread.start()
        return self

    @staticmethod
    def client(hosts, timeout=6.0):
        client = kazoo.client.KazooClient(hosts=hosts, timeout=timeout)
        try:
            client.start(timeout=60)
        except BaseException:
            Stream.close(client)
            raise
        return client

    def write(self, writer):
        client, number = None, 0
        while not self.ended.is_set():
            number += 1
            path = f"/stream/{writer}-{number:08d}"
            try:
                if client is None:
                    client = self.client(self.hosts)
                client.create_async(path, path.encode()).get(timeout=10)
                self.note(path)
            except Exception:
                # Its number is never used again.
                with self.lock:
                    self.unknown += 1
                if client is not None and not client.connected:
                    self.close(client)
                    client = None
                time.sleep(0.05)
            time.sleep(self.pause)
        if client is not None:
            self.close(client)

    def note(self, path):
        now = time.monotonic()
        with self.lock:
            self.acknowledged.append(path)
            if self.last is not None:
                self.longest_gap = max(self.longest_gap, now - self.last)
            self.last = now

    @staticmethod
    def close(client):
        try:
            client.stop()
            client.close()
        except Exception:
            # Its server may be dead; the session then expires by itself.
            pass

    @property
    def count(self):
        with self.lock:
            return len(self.acknowledged)

    def begin_measuring(self):
        """From here on `gap` counts."""
        with self.lock:
            self.longest_gap = 0.0
            self.last = time.monotonic()

    @property
    def gap(self):
        """The longest time without an acknowledged write of any writer, in seconds; the present one counts."""
        with self.lock:
            return max(self.longest_gap, time.monotonic() - self.last) if self.last else 0.0

    def flows(self, within=60):
        """Waits until writes are acknowledged again, and says whether they are."""
        before, deadline = self.count, time.monotonic() + within
        while time.monotonic() < deadline:
            if self.count > before + 10:
                return True
            time.sleep(0.02)
        return False

    def stop(self):
        self.ended.set()
        for thread in self.threads:
            if thread.ident:
                thread.join(90)

    def lost(self):
        """Acknowledged writes that some member does not hold with the value written: 'path on host'."""
        with self.lock:
            wanted = set(self.acknowledged)
        lost = []
        for host in self.hosts.split(","):
            client = self.client(host)
            # A follower answers from its own tree; `sync` makes it as new as the leader's was.
            client.sync("/stream")
            held = {f"/stream/{name}" for name in client.get_children("/stream")}
            lost += [f"{path} on {host}" for path in sorted(wanted - held)]
            kept = sorted(wanted & held)
            for path in kept[-50:] + kept[::max(1, len(kept) // 50)]:
                if client.get(path)[0] != path.encode():
                    lost.append(f"{path} on {host}: another value")
            self.close(client)
        return lost
