"""A log with a hole that Apache's server left there: whoever leads with it must not bring a peer up across the hole."""
import os
import shutil
import struct
import unittest

import daemon
from lone import CHILDREN, GET, Wire, text
from trio import TrioCase

FIXTURE = os.path.join(daemon.ROOT, "Tests", "KeeperStorageTests", "Fixtures", "apache", "after-snap")


class LogHole(TrioCase):
    """issue 8, A1: 1:1 to 1:2a, then, after 900 writes elsewhere and a SNAP, a snapshot of 1:3b0 and 2:1 to 2:6"""

    def prepare(self):
        first, lock = daemon.free_ports()
        self.addCleanup(lock.close)
        self.ports = {member: first + member - 1 for member in (1, 2)}
        members = [f"server.{member}=127.0.0.1:{first + 2 + member}:{first + 6 + member}" for member in (1, 2, 3)]
        for member in self.ports:
            data = os.path.join(self.directory, str(member))
            shutil.copytree(FIXTURE, data)
            with open(os.path.join(data, "myid"), "w") as file:
                file.write(str(member))
            with open(os.path.join(self.directory, f"{member}.cfg"), "w") as file:
                file.write("\n".join((f"dataDir={data}", f"clientPort={self.ports[member]}", "clientPortAddress=127.0.0.1",
                                      "initLimit=10", "syncLimit=10", "4lw.commands.whitelist=*", "preAllocSize=64", *members, "")))

    def set_back(self, member, count):
        """The member never got further than so many transactions of epoch 1."""
        files = os.path.join(self.directory, str(member), "version-2")
        for name in os.listdir(files):
            if name not in ("snapshot.0", "log.100000001"):
                os.unlink(os.path.join(files, name))
        for name in ("acceptedEpoch", "currentEpoch"):
            with open(os.path.join(files, name), "w") as file:
                file.write("1")
        with open(os.path.join(files, "log.100000001"), "r+b") as file:
            data, end = file.read(), 16
            for _ in range(count):
                end += 12 + struct.unpack_from(">i", data, end + 8)[0] + 1
            file.truncate(end)

    def tree(self, member):
        """Of every node but those that tell of the server itself: data and statistics."""
        client, nodes, waiting = Wire(self.ports[member]), {}, ["/"]
        while waiting:
            path = waiting.pop()
            error, nodes[path] = client.ask(GET, text(path) + b"\0")
            self.assertEqual(error, 0, path)
            _, body = client.ask(CHILDREN, text(path) + b"\0")
            count, offset = struct.unpack_from(">i", body)[0], 4
            for _ in range(count):
                size = struct.unpack_from(">i", body, offset)[0]
                name = body[offset + 4:offset + 4 + size].decode()
                offset += 4 + size
                waiting.append(path.rstrip("/") + "/" + name)
        client.close()
        return nodes

    def test_a_peer_behind_the_hole_gets_the_whole_tree(self):
        """S1: not what stands in the log on both sides of what is missing"""
        self.prepare()
        self.set_back(2, 21)
        for member in (1, 2):
            self.launch(member)
        for member, role in ((1, "leader"), (2, "follower")):
            daemon.wait_for(f"{member} is a {role}", lambda: self.monitor(member, "server_state") == role, 60, self.said)
        # Through the follower, so that it has what its leader had.
        client = Wire(self.ports[2])
        self.assertEqual(client.create("/through")[0], 0)
        self.assertEqual(self.tree(2), self.tree(1))
        # The 900 are nowhere but in the leader's snapshot. (They overwrote one node, and what came later did so again: the
        # trees alone would not show it.)
        snapshots = [int(name.split(".")[1], 16) for name in os.listdir(os.path.join(self.directory, "2", "version-2"))
                     if name.startswith("snapshot.")]
        self.assertGreaterEqual(max(snapshots), 0x1000003B0, self.said())


if __name__ == "__main__":
    unittest.main()
