"""One foreign client that holds a session, an ephemeral node and a steady stream of writes, and tells what became of them.

It runs in the container's network. Standard output: `ready` once it writes, then, when standard input ends, one JSON
object: `session_kept`, `ephemeral_kept`, `acknowledged`, `lost` (acknowledged and not there), `gap` (the longest time
without an acknowledged write, in seconds)."""
import json
import logging
import sys
import threading
import time

from kazoo.client import KazooClient, KazooState
from kazoo.exceptions import KazooException

logging.disable(logging.CRITICAL)


def main(hosts):
    client = KazooClient(hosts=hosts, timeout=10.0)
    ended, states = threading.Event(), []
    client.add_listener(states.append)
    client.start(timeout=30)
    session = client.client_id[0]
    client.ensure_path("/session-test")
    client.create("/session-test/alive", ephemeral=True)
    folder = client.create("/session-test/stream-", sequence=True)
    acknowledged, times = [], [time.monotonic()]

    def write():
        number = 0
        while not ended.is_set():
            number += 1
            try:
                client.create_async(f"{folder}/{number:06d}", b"").get(timeout=15)
                acknowledged.append(f"{number:06d}")
                times.append(time.monotonic())
            except Exception:
                # Not acknowledged: the number is not used again.
                time.sleep(0.02)
            time.sleep(0.005)

    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    while len(acknowledged) < 5:
        time.sleep(0.01)
    print("ready", flush=True)
    sys.stdin.read()
    ended.set()
    writer.join(30)
    deadline = time.monotonic() + 20
    while not client.connected and time.monotonic() < deadline:
        time.sleep(0.05)
    held = set(client.retry(client.get_children, folder))
    report = {
        "session_kept": KazooState.LOST not in states and client.client_id[0] == session,
        "ephemeral_kept": client.retry(client.exists, "/session-test/alive") is not None,
        "acknowledged": len(acknowledged), "lost": len(set(acknowledged) - held),
        "gap": round(max(later - earlier for earlier, later in zip(times, times[1:])), 2)}
    print(json.dumps(report), flush=True)
    try:
        client.stop()
        client.close()
    except KazooException:
        pass


if __name__ == "__main__":
    main(sys.argv[1])
