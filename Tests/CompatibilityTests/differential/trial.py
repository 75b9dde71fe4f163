"""A pair of servers, or of ensembles, that scripts are tried on: play on both, compare, clean up."""
import subprocess

import servers

from . import compare, encoding
from .player import DRAIN_XID, SUPER, SUPER_DIGEST, Connection, Player, Silence, hello

OPEN = [[31, "world", "anyone"]]
KEPT = ("/", "/zookeeper", "/zookeeper/config", "/zookeeper/quota")
# A tick of 100 ms lets sessions expire in tenths of seconds; the longest timeout outlives every script.
EXTRA = f"minSessionTimeout=200\nmaxSessionTimeout=60000\nDigestAuthenticationProvider.superDigest={SUPER_DIGEST}\n"
# No container is reaped while scripts run, no TTL node is made, and a disk is not what is compared.
APACHE = ["-Dzookeeper.extendedTypesEnabled=false", "-Dznode.container.checkIntervalMs=100000000", "-Dzookeeper.forceSync=no",
          "-Dfile.encoding=UTF-8"]
TICK = {1: 100, 3: 250}


class Administrator(Connection):
    """A session that may do everything: reads the tree, and empties it."""

    def __init__(self, port):
        super().__init__(port)
        self.send_frame(hello(60_000))
        self.take_in()
        self.xid = 0
        self.ask({"op": "auth", "type": 0, "scheme": "digest", "credential": SUPER}, -4)

    def ask(self, step, xid=None):
        """(error, values)"""
        if xid is None:
            self.xid += 1
            xid = self.xid
        self.request(xid, encoding.OPS[step["op"]], encoding.body(step), step["op"])
        if not self.read_until(xid):
            raise Silence()
        _, _, _, error, values = self.taken()[-1]
        return error, values

    def tree(self, path="/"):
        """{path: [data, acl, stat]}"""
        error, data = self.ask({"op": "getData", "path": path, "watch": 0})
        if error:
            return {}
        nodes = {path: [data[0], self.ask({"op": "getACL", "path": path})[1][0], data[1]]}
        for name in sorted(self.ask({"op": "getChildren", "path": path, "watch": 0})[1][0]):
            nodes.update(self.tree(path.rstrip("/") + "/" + name))
        return nodes

    def clean(self, nodes):
        """Leaves the four nodes of an empty tree, as they were but for their versions."""
        for path in sorted(nodes, reverse=True):
            if path not in KEPT:
                self.ask({"op": "delete", "path": path, "version": -1})
        for path in ("/", "/zookeeper", "/zookeeper/quota"):
            if nodes[path][1] != OPEN:
                self.ask({"op": "setACL", "path": path, "acl": OPEN, "version": -1})
            if nodes[path][0]:
                self.ask({"op": "setData", "path": path, "data": "", "version": -1})
        right = [[1, "world", "anyone"]]
        if nodes["/zookeeper/config"][1] != right:
            self.ask({"op": "setACL", "path": "/zookeeper/config", "acl": right, "version": -1})


class Trial:
    """`size` servers on each side, restarted whenever their states have drifted apart."""

    def __init__(self, size, known):
        self.size, self.known = size, known
        self.sides = []
        self.used = {}
        self.scripts = self.steps = self.restarts = 0

    def start(self):
        self.close()
        self.ensembles = [
            servers.Ensemble([kind] * self.size, EXTRA, tick=TICK[self.size], java=APACHE, memory=True) for kind in (servers.OURS, servers.APACHE)]
        self.sides = self.ensembles
        for ensemble in self.ensembles:
            ensemble.start(wait=False)
        for ensemble in self.ensembles:
            ensemble.wait()
        self.administrators = [Administrator(ensemble.servers[0].port) for ensemble in self.ensembles]
        self.restarts += 1

    def close(self):
        for ensemble in self.sides:
            ensemble.close()
        self.sides = []

    def run(self, script):
        """The first unexplained difference, or None. Afterwards the sides are clean, or started anew."""
        if not self.sides:
            self.start()
        players = [Player([server.port for server in ensemble.servers], administrator)
                   for ensemble, administrator in zip(self.ensembles, self.administrators)]
        heard = [player.play(script) for player in players]
        difference, whole = compare.transcripts(script, *zip(players, heard), self.known, self.used)
        self.scripts += 1
        self.steps += len(script)
        try:
            if difference is None and whole:
                difference = self.compare_ends(script, players)
            if difference or not self.clean(players):
                self.close()
        except (Silence, OSError):
            # A server that a known difference has silenced.
            self.close()
        return difference

    def exchange(self):
        """Stops both sides and has each read the other's files; returns what was wrong. A log holds behind every
        transaction the digest of its writer's tree, so a reader that agrees has the same tree at every step."""
        if not self.sides:
            self.start()
        trees = [administrator.tree() for administrator in self.administrators]
        ours, apache = self.ensembles
        for server in ours.servers + apache.servers:
            server.stop()
        problems = []
        for server in apache.servers:
            done = subprocess.run([servers.our_binary(), "--check", server.configuration], capture_output=True, text=True)
            if done.returncode != 0 or "is sound" not in done.stdout:
                problems.append(f"ours on Apache's files: {done.stdout}{done.stderr}")
        for server in ours.servers:
            server.kind = servers.APACHE
            server.start()
        ours.wait()
        for server in ours.servers:
            if "zk_digest_mismatches_count\t0" not in (servers.word(server.port, "mntr") or ""):
                problems.append(f"Apache on our files: {servers.word(server.port, 'hash')}")
        tree = Administrator(ours.servers[0].port).tree()
        if tree.keys() != trees[0].keys() or any(tree[path][:2] != trees[0][path][:2] for path in tree):
            problems.append(f"Apache on our files: {tree} instead of {trees[0]}")
        self.close()
        return problems

    def compare_ends(self, script, players):
        for size in range(self.size):
            said = [compare.words(player, lambda word: servers.word(ensemble.servers[size].port, word))
                    for player, ensemble in zip(players, self.ensembles)]
            if difference := compare.said(script, said, self.known, self.used):
                return difference
        for player in players:
            player.end()
        trees = [administrator.tree() for administrator in self.administrators]
        return compare.trees(script, *zip(players, trees))

    def clean(self, players):
        """Whether both sides are the same empty tree afterwards."""
        for player in players:
            player.end()
        left = []
        for player, administrator in zip(players, self.administrators):
            nodes = administrator.tree()
            administrator.clean(nodes)
            nodes = administrator.tree()
            # What a script may ask for by number: versions. Zxids count from its start.
            left.append({path: [*node[:2], [node[2][name] for name in ("version", "cversion", "aversion")]]
                         for path, node in nodes.items() if path != "/zookeeper/config"})
        return left[0] == left[1] and set(left[0]) < set(KEPT)
