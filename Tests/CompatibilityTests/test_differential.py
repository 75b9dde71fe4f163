"""Random scripts against Apache's server and ours: replies, errors, stats, events, trees and digests must agree.

  Tests/CompatibilityTests/run test_differential             several hundred seeds, and ensembles of three
  Tests/CompatibilityTests/run --quick test_differential     30 seeds
  Tests/CompatibilityTests/run --seed 17 test_differential   one seed again
  Tests/CompatibilityTests/run --replay FILE test_differential   a script as a failure prints it

A failing script is run once more on fresh servers, shrunk, and printed with its seed, one step a line. Every difference
is fixed, or stands in KNOWN_DIFFERENCES with its reason.
"""
import json
import os
import re
import unittest

import servers
from case import needs, not_quick
from differential import encoding, generate, trial
from differential.compare import Known
from differential.shrink import shrink

QUICK = bool(os.environ.get("COMPATIBILITY_QUICK"))
SEED = os.environ.get("DIFFERENTIAL_SEED")
REPLAY = os.environ.get("DIFFERENTIAL_REPLAY")


# MARK: Known differences

def answer(step, heard):
    """(the error of the step's own reply, or None; what else its session received)"""
    entries = heard.get(str(step.get("s", 0)), []) if step["do"] != "word" else []
    replies = [entry[3] for entry in entries if entry[0] == "reply"]
    return replies[0] if len(replies) == 1 else None, [entry for entry in entries if entry[0] != "reply"]


def when(condition, events=False):
    """Explains a step that meets condition(step, our error, their error), and that differs, but for `events`, only in its
    reply."""
    def explain(step, ours, theirs):
        (a, rest), (b, their_rest) = answer(step, ours), answer(step, theirs)
        if step["do"] == "word" or not condition(step, a, b):
            return None
        return (theirs, theirs) if events or rest == their_rest else None
    return explain


WRITES = ("create", "create2", "createContainer", "createTTL", "delete", "setData", "setACL", "multi", "reconfig")


def word(condition):
    """Explains a four-letter word's difference: condition(step, ours, theirs), where step["script"] is the script."""
    return lambda step, ours, theirs: (theirs, theirs) if step["do"] == "word" and condition(step, ours, theirs) else None


def has_recursive(script):
    return any(step.get("mode") == 1 or step.get("recursive") for step in script)


def numbers(text):
    return [int(number) for number in re.findall(r"\d+", text)]


def is_part(step, ours, theirs):
    """Whether everything that Apache lists is listed here; not counted what it lists of connections that are no more, which
    have no name in the script."""
    listed = {block[0]: set(block[1:]) for block in ours}
    of_the_script = ((block[0], {line for line in block[1:] if line and not line.startswith("\t0x")})
                     for block in theirs if not block[0].startswith("0x"))
    return all(lines <= listed.get(head, set()) for head, lines in of_the_script)


def events_without_zxid(step, ours, theirs):
    """Ours with −1, where Apache has −1 and ours names the step's transaction."""
    if step["do"] == "word":
        return None

    def bare(entries):
        return [["event", -1, e[2]] if e[0] == "event" and str(e[1]).startswith("+") else e for e in entries]
    if any(e[1] != -1 for entries in theirs.values() if isinstance(entries, list) for e in entries if e[0] == "event"):
        return None
    changed = {session: bare(entries) if isinstance(entries, list) else entries for session, entries in ours.items()}
    return (changed, theirs) if changed != ours else None


def paths(step):
    """Every path that a step names."""
    if step["do"] != "ask":
        return []
    named = [step["path"]] if "path" in step else []
    if "poke" in step:
        try:
            named.append(encoding.Reader(encoding.body(step)).text())
        except (ValueError, encoding.struct.error):
            pass
    for part in step.get("parts", ()):
        named.append(part["path"])
    for name in ("data", "exist", "child", "persistent", "recursive"):
        if isinstance(step.get(name), list):
            named += step[name]
    return named


def create2_as_create(step, ours, theirs):
    """Ours without the stats of created nodes, where the step is a multi with a create2 in it."""
    if all(part["op"] != "create2" for part in step.get("parts", ())):
        return None

    def bare(value):
        if isinstance(value, list) and value[:1] == ["create2"]:
            return ["create", *value[1:3]]
        return [bare(item) for item in value] if isinstance(value, list) else value
    return {session: bare(entries) for session, entries in ours.items()}, theirs


def surrogates_joined(step, ours, theirs):
    """Theirs with each pair of surrogates, which are no UTF-8 and so stand escaped, as the character that it stands for."""
    def joined(match):
        units = bytes.fromhex(match[0].replace("\\x", "")).decode("utf-8", "surrogatepass")
        return units.encode("utf-16-be", "surrogatepass").decode("utf-16-be")

    def changed(value):
        if isinstance(value, str):
            return re.sub(r"\\xed\\xa[0-9a-f]\\x..\\xed\\xb[0-9a-f]\\x..", joined, value)
        if isinstance(value, dict):
            return {key: changed(item) for key, item in value.items()}
        return [changed(item) for item in value] if isinstance(value, list) else value
    return (ours, changed(theirs)) if changed(theirs) != theirs else None


def kind_against_flags(step, ours, theirs):
    def differs(part):
        wanted = {"createContainer": (4,), "createTTL": (5, 6)}.get(part["op"], (0, 1, 2, 3, 5, 6))
        return part["op"].startswith("create") and part["flags"] not in wanted
    return step["do"] == "ask" and any(map(differs, step.get("parts", [step])))


def rights(step):
    return [right for part in step.get("parts", [step]) if isinstance(part.get("acl"), list) for right in part["acl"]]


KNOWN_DIFFERENCES = [
    Known("zxid of an event", "ZOOKEEPER-4655: since 3.9.0 an event carries the zxid of its transaction, in 3.8 it is −1",
          events_without_zxid),
    Known("kinds of watches", "ZOOKEEPER-4472: since 3.9.0 the kinds 1 and 2 mean one-shot watches only, and 4 and 5 exist; 3.8 takes "
          "persistent watches for both of the former and knows none of the latter",
          when(lambda step, ours, theirs: step.get("op") in ("checkWatches", "removeWatches") and (
              (step["type"] in (1, 2) and (ours, theirs) == (-121, 0)) or (step["type"] in (4, 5) and theirs == -5))), ends=True),
    Known("somebody else's watch", "ZOOKEEPER-4475 and its kin: 3.8 finds a watch of any kind where another session has a recursive one",
          when(lambda step, ours, theirs: step.get("op") == "checkWatches" and step["type"] == 3 and (ours, theirs) == (-121, 0))),
    Known("exists without READ", "ZOOKEEPER-2590: since 3.9.2 it is refused as every other read",
          when(lambda step, ours, theirs: step.get("op") == "exists" and (ours, theirs) == (-102, 0)), ends=True),
    Known("the empty path", "Apache's tree holds the root under the empty path, too, for reads only; no client sends it",
          when(lambda step, ours, theirs: "" in paths(step), events=True), ends=True),
    Known("kind against flags", "an operation whose flags ask for another kind of node: Apache predicts one digest and applies another",
          when(lambda step, ours, theirs: kind_against_flags(step, ours, theirs)), ends=True),
    Known("zxid of what is refused unread", "a malformed write and a reconfig take a zxid in Apache; here the member that receives them "
          "answers, because not every leader of Apache's answers a follower that forwards them",
          when(lambda step, ours, theirs: (ours, theirs) in ((-5, -5), (-123, -123), (-6, -6)) and step.get("op", "a frame") in WRITES + ("a frame",)), ends=True),
    Known("null in an access list", "Apache trips over a null id (−5), where it is an invalid list (−114)",
          when(lambda step, ours, theirs: any(None in right for right in rights(step)) and (
              (ours, theirs) == (-114, -5) or step["op"] == "multi" and (ours, theirs) == (0, -5)))),
    Known("null credential", "an empty one here; Apache trips over it, answers −115 and closes",
          when(lambda step, ours, theirs: step.get("op") == "auth" and step["credential"] is None and (ours, theirs) == (0, -115),
               events=True), ends=True),
    Known("null path", "malformed here (−5); Apache refuses it in some places (−8) and trips over it in others",
          when(lambda step, ours, theirs: ours == -5 and None in paths(step), events=True), ends=True),
    Known("negative count", "malformed here (−5); Apache takes a vector of fewer than −1 items for an empty one",
          when(lambda step, ours, theirs: ours == -5 and any(
              isinstance(part.get(name), dict) and part[name].get("length", 0) < -1
              for part in [step] + step.get("parts", []) for name in ("acl", "data", "exist", "child")), events=True), ends=True),
    Known("null vector", "empty here; Apache trips over it (−5) when it has carried out a part of a setWatches",
          when(lambda step, ours, theirs: step.get("op", "").startswith("setWatches") and theirs == -5 and any(
              step.get(name, []) is None for name in ("data", "exist", "child")), events=True), ends=True),
    Known("create2 inside a multi", "ZOOKEEPER-4026: before 3.8.2 Apache answers it as a create", create2_as_create),
    Known("relative path under recursive watches", "Apache's search for the watch trips over a path without a slash (−5)",
          when(lambda step, ours, theirs: step.get("op") in ("checkWatches", "removeWatches") and theirs == -5
               and not (step["path"] or "/").startswith("/"))),
    Known("body behind an error", "Apache sends the empty result of a multiRead that it refuses (−5); clients read no body there",
          when(lambda step, ours, theirs: step.get("op") == "multiRead" and (ours, theirs) == (-5, -5))),
    Known("prefix of spaces", "Apache trims the prefix of getEphemerals; a name may begin and end with a space",
          when(lambda step, ours, theirs: step.get("op") == "getEphemerals" and isinstance(step["path"], str)
               and step["path"] != step["path"].strip() and step["path"].strip() in ("", "/"))),
    Known("above U+FFFF", "Apache writes such a character as two surrogates of three bytes each, which is no UTF-8", surrogates_joined),
    Known("no UTF-8", "bytes that are no UTF-8 come back as they were sent; Apache's strings replace them by U+FFFD",
          when(lambda step, ours, theirs: any(
              "hex" in path if isinstance(path, dict) else re.search("[\ud800-\udfff]", path or "") for path in paths(step)), events=True)),
    Known("words about watches", "Apache lists only the watches on nodes, ours those on their children as well",
          word(lambda step, ours, theirs: step["word"] in ("wchc", "wchp") and is_part(step, ours, theirs))),
    Known("number of watches", "as before; and Apache keeps entries for sessions and paths whose last watch has fired",
          word(lambda step, ours, theirs: step["word"] == "wchs" and numbers(ours)[-1] >= numbers(theirs)[-1])),
    Known("size of the data", "Apache counts a path's UTF-16 units, ours its bytes",
          word(lambda step, ours, theirs: step["word"] == "approximate_data_size" and int(ours) > int(theirs)
               and not json.dumps(step["script"], ensure_ascii=False).isascii())),
    Known("count of recursive watches", "ZOOKEEPER-4466: 3.8 keeps a recursive watch twice",
          word(lambda step, ours, theirs: step["word"] == "watch_count" and has_recursive(step["script"]) and int(ours) < int(theirs))),
]


# MARK: Tests

class Differential(unittest.TestCase):
    """`size` servers on each side."""

    def run_scripts(self, size, scripts):
        """`scripts` yields (name, steps)."""
        pair = trial.Trial(size, KNOWN_DIFFERENCES)
        self.addCleanup(pair.close)
        failed = []
        for name, script in scripts:
            # A second look on fresh servers: what comes only once came from the outside.
            if pair.run(script) and (again := pair.run(script)):
                small = shrink(script[:again.index + 1], again.kind, pair.run)
                failed.append(f"{name}: {pair.run(small) or again}\n" + "\n".join(json.dumps(step) for step in small))
                print(failed[-1], flush=True)
        print(f"{pair.scripts} scripts, {pair.steps} steps, {pair.restarts} starts; known differences met: {pair.used}")
        self.assertEqual(failed, [])
        self.assertEqual(pair.exchange(), [])

    def seeds(self, first, count, steps):
        numbers = [int(SEED)] if SEED else range(first, first + count)
        return ((f"seed {number}", generate.script(number, steps)) for number in numbers)

    @needs(servers.OURS, servers.APACHE)
    def test_one_server(self):
        if REPLAY:
            with open(REPLAY) as file:
                return self.run_scripts(1, [(REPLAY, [json.loads(line) for line in file if line.startswith("{")])])
        self.run_scripts(1, self.seeds(0, 30 if QUICK else 400, 60))

    @not_quick
    @needs(servers.OURS, servers.APACHE)
    def test_an_ensemble(self):
        """Session k is a client of the k-th member: what one asks for, the others see after a sync."""
        # A member closes a silent connection before its leader ends the session, and nothing tells when that is: here
        # the session says so itself.
        def closed(step):
            return {"s": step["s"], "do": "ask", "op": "closeSession"} if step["do"] == "expire" else step
        self.run_scripts(3, ((name, [closed(step) for step in script]) for name, script in self.seeds(10_000, 60, 60)))


if __name__ == "__main__":
    unittest.main()
