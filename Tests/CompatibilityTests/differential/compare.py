"""Two transcripts of one script: what must differ is made equal, and the first difference that is left is found.

Made equal: session ids (by session), zxids (from the script's start), clocks (whether set, whether equal), the order of
children and of a session's ephemerals (Apache's are those of a HashMap), and of the events of one session's end.
"""
import re
import time

UNORDERED = ("getChildren", "getChildren2", "getEphemerals", "whoAmI")


class Difference:
    def __init__(self, index, step, ours, theirs, what=""):
        self.index, self.step, self.ours, self.theirs, self.what = index, step, ours, theirs, what

    @property
    def kind(self):
        """What a shorter script must show again to show the same."""
        return ("tree",) if "tree" in self.step else (self.step.get("op") or self.step.get("word") or self.step["do"],)

    def __str__(self):
        return f"step {self.index} {self.step}{self.what}\n  ours   {self.ours}\n  apache {self.theirs}"


class Side:
    """What one side's values are measured from."""

    def __init__(self, player):
        self.base, self.started = player.base, player.started
        self.names = {identity: f"opened {number}" for number, identity in enumerate(player.opened)}
        self.names[player.administrator.identity] = "administrator"

    def zxid(self, value):
        if value > self.base:
            return f"+{value - self.base}"
        return "before" if value > 0 else value

    def stat(self, stat):
        now = time.time()
        shown = dict(stat)
        for name in ("czxid", "mzxid", "pzxid"):
            shown[name] = self.zxid(stat[name])
        shown["owner"] = self.names.get(stat["owner"], stat["owner"])
        for name, zxid in (("ctime", "czxid"), ("mtime", "mzxid")):
            is_due = self.started - 5 <= stat[name] / 1000 <= now + 5 or shown[zxid] == "before"
            shown[name] = "set" if is_due and stat[name] > 0 else stat[name]
        if stat["mzxid"] == stat["czxid"]:
            shown["mtime"] = "ctime" if stat["mtime"] == stat["ctime"] else "another"
        if stat["version"] == -1:
            # /zookeeper/config, which Apache's members write by themselves at the start of a role, each by its clock.
            shown["mtime"] = "of the role"
        return shown

    def values(self, op, values):
        """A reply's values, in the order of the reply."""
        shown = []
        for value in values:
            if isinstance(value, dict) and "czxid" in value:
                value = self.stat(value)
            elif op in UNORDERED and isinstance(value, list):
                value = sorted(value)
            elif op == "multiRead" and isinstance(value, list):
                value = [self.values("getChildren" if part[0] == "getChildren" else "", part) for part in value]
            elif op == "multi" and isinstance(value, list):
                value = [self.values("", part) for part in value]
            elif op == "getACL" and isinstance(value, list):
                value = in_order_of_identities(value)
            shown.append(without_ports(value))
        return shown

    def entry(self, op, entry):
        if entry[0] in ("refused", "knock"):
            return [entry[0]] + self.entry(op, entry[1:])
        if entry[0] == "reply":
            return ["reply", entry[1], self.zxid(entry[2]), entry[3], self.values(op, entry[4])]
        if entry[0] == "event":
            return ["event", self.zxid(entry[1]), entry[2]]
        if entry[0] == "connected":
            return entry[:3] + [self.names.get(entry[3], "nobody" if entry[3] == 0 else "somebody")] + entry[4:]
        return entry

    def step(self, step, heard):
        shown = {}
        for session, entries in heard.items():
            if session == "stop":
                shown[session] = entries
                continue
            entries = [self.entry(step.get("op"), entry) for entry in entries]
            if step["do"] == "expire" or step.get("op") == "closeSession":
                # Apache walks a HashSet of the session's nodes.
                events = iter(sorted((e for e in entries if e[0] == "event"), key=lambda e: (str(e[2][2]), e[2])))
                entries = [next(events) if e[0] == "event" else e for e in entries]
            shown[session] = entries
        return shown


def without_ports(value):
    """The text of a configuration names its side's own."""
    return re.sub(r"127\.0\.0\.1:\d+:\d+", "address", value) if isinstance(value, str) else value


def in_order_of_identities(rights):
    """`auth` grants to a connection's identities, which Apache keeps in a hash set: a run of digests has no order."""
    shown, run = [], []
    for right in rights:
        if right[1] == "digest":
            run.append(right)
            continue
        shown += sorted(run) + [right]
        run = []
    return shown + sorted(run)


class Known:
    """A difference that stays, and why. `explain(step, ours, theirs)` returns the two with the explained part made
    equal, or None if it has nothing to say. After one that `ends`, the two trees may differ: the script stops there."""

    def __init__(self, name, reason, explain, ends=False):
        self.name, self.reason, self.explain, self.ends = name, reason, explain, ends


def transcripts(script, ours, theirs, known, used):
    """The first difference that no entry of `known` explains, or None; and whether both were compared to their end.

    `ours` and `theirs` are (player, what was heard). `used` counts the explained ones by name.
    """
    sides = (Side(ours[0]), Side(theirs[0]))
    for index, step in enumerate(script):
        a, b = sides[0].step(step, ours[1][index]), sides[1].step(step, theirs[1][index])
        for difference in known:
            if a == b:
                break
            if (explained := difference.explain(step, a, b)) is not None:
                used[difference.name] = used.get(difference.name, 0) + 1
                a, b = explained
                if difference.ends:
                    return None, False
        if a != b:
            return Difference(index, step, a, b), False
    return None, True


def trees(script, ours, theirs):
    """The same for the trees behind the script: (player, {path: [data, acl, stat]})."""
    sides = (Side(ours[0]), Side(theirs[0]))
    for path in sorted(set(ours[1]) | set(theirs[1])):
        a, b = (shown_node(side, nodes.get(path)) for side, nodes in zip(sides, (ours[1], theirs[1])))
        if a != b:
            return Difference(len(script), {"tree": path}, a, b)
    return None


def shown_node(side, node):
    return node and [without_ports(node[0]), in_order_of_identities(node[1] or []), side.stat(node[2])]


# Counters of mntr that a script determines.
COUNTERS = ("znode_count", "ephemerals_count", "watch_count", "approximate_data_size", "num_alive_connections", "global_sessions")


def words(player, ask):
    """{word: what it says}, with sessions by name and without what depends on time."""
    side = Side(player)

    def named(match):
        return side.names.get(int(match[0], 16), match[0])
    said = {word: re.sub("0x[0-9a-f]+", named, ask(word) or "") for word in ("wchs", "wchc", "wchp")}
    for word in ("wchc", "wchp"):
        # Both are walks of hash tables: blocks of a head and its indented lines.
        blocks = re.findall(r"(?m)^\S.*\n(?:\t.*\n)*", said[word])
        said[word] = sorted([block.split("\n")[0], *sorted(block.split("\n")[1:])] for block in blocks)
    counters = dict(re.findall(r"(?m)^zk_(\w+)\t(\d+)$", ask("mntr") or ""))
    said.update({name: counters.get(name) for name in COUNTERS})
    said["connections"] = sorted(re.findall(r"sid=(0x[0-9a-f]+),lop=\w+", re.sub("0x[0-9a-f]+", named, ask("cons") or "")))
    return said


def said(script, pair, known, used):
    """The first word that says another thing on each side."""
    for word in pair[0]:
        step, a, b = {"do": "word", "word": word, "script": script}, pair[0][word], pair[1][word]
        for difference in known:
            if a != b and (explained := difference.explain(step, a, b)) is not None:
                used[difference.name] = used.get(difference.name, 0) + 1
                a, b = explained
        if a != b:
            return Difference(len(script), {"do": "word", "word": word}, a, b)
    return None
