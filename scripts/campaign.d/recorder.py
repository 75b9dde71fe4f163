"""Records a history with kazoo, a foreign client, in the form that `keeper-load history` writes and `check` judges
(Sources/keeper-load/History/HistoryRecord.swift says what the fields mean). Ends with SIGTERM."""
import argparse
import json
import os
import random
import signal
import sys
import threading
import time

sys.path.append("/usr/lib/python3/dist-packages")
import kazoo.client  # noqa: E402
from kazoo import exceptions  # noqa: E402

import logging  # noqa: E402

logging.getLogger("kazoo").setLevel(logging.CRITICAL)
SHARED_REGISTERS = 3
REFUSALS = {exceptions.NoNodeError: "noNode", exceptions.NodeExistsError: "nodeExists",
            exceptions.BadVersionError: "badVersion", exceptions.NotEmptyError: "notEmpty"}


class Recorder:
    """One client. It makes one request after the other, with a new number in each write."""

    def __init__(self, number, options, file, ending):
        self.client_number, self.options, self.file, self.ending = number, options, file, ending
        self.random = random.Random(f"{options.seed} {number}")
        self.counter = time.monotonic_ns() // 1_000_000
        self.made = []
        self.last_acknowledged = 0
        # Its own register, and the parent of its nodes.
        self.register = f"{options.root}/c{number}"
        self.ephemeral = f"{options.root}/ephemerals/c{number}"

    def next_value(self):
        self.counter += 1
        return self.counter * 1000 + self.client_number

    def run(self):
        while not self.ending.is_set():
            client = kazoo.client.KazooClient(hosts=self.options.servers, timeout=6.0)
            try:
                client.start(timeout=10)
                self.session = client.client_id[0]
                self.last_acknowledged = 0
                # A session that was replaced behind our back would be recorded under the wrong name.
                while not self.ending.is_set() and client.client_id and client.client_id[0] == self.session \
                        and client.state != "LOST":
                    self.act(client)
                    time.sleep(self.options.pause / 1000)
                    if self.random.randrange(2000) == 0:
                        break
                self.leave(client)
            except client.handler.timeout_exception:
                pass
            finally:
                try:
                    client.stop()
                    client.close()
                except Exception:
                    # Its server may be dead; the session then expires by itself.
                    pass

    def leave(self, client):
        record = self.blank("close", self.ephemeral, None)
        client.stop()
        # kazoo does not say whether the server answered.
        self.write(record, outcome="unknown")

    def act(self, client):
        anyone = self.random.randrange(self.options.all)
        shared = f"{self.options.root}/shared{self.random.randrange(SHARED_REGISTERS)}"
        choice = self.random.randrange(100)
        if choice < 25:
            self.create(client)
        elif choice < 40:
            value = self.next_value()
            self.ask(client, self.blank("set", self.register, value), "set_async", self.register, str(value).encode())
        elif choice < 60:
            self.read(client, f"{self.options.root}/c{anyone}")
        elif choice < 66:
            self.read(client, f"{self.options.root}/c{anyone}", synced=True)
        elif choice < 74:
            self.swap(client, shared)
        elif choice < 78:
            self.read(client, shared, synced=True)
        elif choice < 84:
            self.create_at(client, "sequence", f"{self.options.root}/sequence/c{self.client_number}-", sequence=True)
        elif choice < 90:
            self.create_at(client, "ephemeral", self.ephemeral, ephemeral=True)
        elif choice < 93:
            self.read(client, self.ephemeral)
        elif choice < 97:
            self.read(client, f"{self.options.root}/ephemerals/c{anyone}", synced=True)
        else:
            self.delete(client)

    # Requests

    def blank(self, action, key, value):
        return {"client": self.client_number, "session": self.session, "action": action, "key": key,
                **({} if value is None else {"value": value}), "start": time.monotonic_ns()}

    def write(self, record, outcome):
        record["end"] = time.monotonic_ns()
        record["outcome"] = outcome
        os.write(self.file, json.dumps(record, separators=(",", ":")).encode() + b"\n")

    def ask(self, client, record, method, *arguments, **options):
        """The answer, or None; recorded unless it is a read that is yet to be looked at."""
        try:
            answer = getattr(client, method)(*arguments, **options).get(timeout=5)
        except tuple(REFUSALS) as refusal:
            record["header"] = client.last_zxid
            record["error"] = REFUSALS[type(refusal)]
            if record["action"] == "get" and record["error"] == "noNode":
                self.write(record, "ok")
            else:
                self.write(record, "fail")
            return None
        except Exception as error:
            # Broken connections, timeouts and ends of sessions: kazoo may have sent it.
            record["error"] = type(error).__name__
            self.write(record, "unknown")
            return None
        if client.client_id is None or client.client_id[0] != self.session:
            record["error"] = "answered in another session"
            self.write(record, "unknown")
            return None
        record["header"] = client.last_zxid
        if record["action"] == "get":
            if method != "sync_async":
                data, stat = answer
                record.update(zxid=stat.mzxid, version=stat.version, owner=stat.ephemeralOwner)
                if data:
                    record["value"] = int(data)
                self.write(record, "ok")
            return answer
        if record["action"] in ("set", "swap"):
            record.update(zxid=answer.mzxid, version=answer.version)
        elif record["action"] == "delete":
            record["zxid"] = client.last_zxid
        else:
            record.update(key=answer[0], zxid=answer[1].czxid)
        self.write(record, "ok")
        return answer

    def create(self, client):
        value = self.next_value()
        path = f"{self.register}/{value}"
        if self.create_at(client, "create", path, value=value):
            self.made.append(path)

    def create_at(self, client, action, path, value=None, **options):
        value = value or self.next_value()
        return self.ask(client, self.blank(action, path, value), "create_async", path, str(value).encode(), include_data=True,
                        **options)

    def delete(self, client):
        path = self.ephemeral
        if self.made and self.random.randrange(4):
            path = self.made.pop(self.random.randrange(len(self.made)))
            del self.made[:-1000]
        self.ask(client, self.blank("delete", path, None), "delete_async", path)

    def swap(self, client, path):
        """Replaces what it has just read."""
        read = self.read(client, path)
        if read:
            value = self.next_value()
            record = self.blank("swap", path, value)
            record["expected"] = read[1].version
            self.ask(client, record, "set_async", path, str(value).encode(), version=read[1].version)

    def read(self, client, path, synced=False):
        record = self.blank("get", path, None)
        if synced:
            record["synced"] = True
            if self.ask(client, record, "sync_async", path) is None:
                return None
        return self.ask(client, record, "get_async", path)


def main():
    parser = argparse.ArgumentParser()
    for name in ("--servers", "--file", "--root"):
        parser.add_argument(name, required=True)
    for name in ("--clients", "--first", "--all", "--pause", "--seed"):
        parser.add_argument(name, type=int, required=True)
    options = parser.parse_args()
    ending = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ending.set())
    file = os.open(options.file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    threads = [threading.Thread(target=Recorder(options.first + i, options, file, ending).run) for i in range(options.clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
