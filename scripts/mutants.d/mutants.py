"""scripts/mutants: see there."""

import argparse
import concurrent.futures
import dataclasses
import os
import pathlib
import re
import resource
import shutil
import subprocess
import sys
import time

ROOT = pathlib.Path.cwd()
WORK = ROOT / ".build-mutants"
SWITCH = "ENSEMBLE_MUTANT"
# The lowest module: all others import it.
SWITCH_FILE = "Sources/EnsembleBase/Mutant.swift"
SWITCH_TEXT = """import Glibc

/// The planted bug that is switched on; 0: none.
package let plantedMutant: Int = getenv("%s").flatMap { Int(String(cString: $0)) } ?? 0
""" % SWITCH


@dataclasses.dataclass
class Mutant:
    name: str
    path: str
    number: int
    why: str = ""
    # A human judged that it changes nothing that anybody could see: planted and shown, and not counted.
    harmless: str = ""
    # The only kind of run that can show it (an option of the swarm's); none: several are tried.
    world: str = ""
    # Another that is switched on beside it: each is the other's second line.
    beside: str = ""
    old: str = ""
    new: str = ""


def parse(path: pathlib.Path, first: int) -> list[Mutant]:
    found: list[Mutant] = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        header = re.fullmatch(r"\[(\w+)\] (\S+)", line)
        if header:
            found.append(Mutant(header[1], header[2], first + len(found)))
        elif not line.strip() or (line.startswith("#") and not found):
            continue
        elif line.startswith("# harmless: "):
            found[-1].harmless = line[12:]
        elif line.startswith("# with: "):
            found[-1].beside = line[8:]
        elif line.startswith("# world: "):
            found[-1].world = "--" + line[9:]
        elif line.startswith("# "):
            found[-1].why = (found[-1].why + " " + line[2:]).strip()
        elif line == "-" or line.startswith("- "):
            found[-1].old += ("\n" if found[-1].old else "") + line[2:]
        elif line == "+" or line.startswith("+ "):
            found[-1].new += ("\n" if found[-1].new else "") + line[2:]
        else:
            sys.exit(f"{path}:{number}: neither a header, a comment, nor a line of - or +: {line!r}")
    return found


def load() -> list[Mutant]:
    mutants: list[Mutant] = []
    for path in sorted((ROOT / "scripts/mutants.d").glob("*.mutants")):
        mutants += parse(path, len(mutants) + 1)
    names = [mutant.name for mutant in mutants]
    doubled = {name for name in names if names.count(name) > 1}
    if doubled:
        sys.exit(f"mutants of the same name: {', '.join(sorted(doubled))}")
    alone = [mutant.name for mutant in mutants if mutant.beside and mutant.beside not in names]
    if alone:
        sys.exit(f"mutants that name others which are none: {', '.join(sorted(alone))}")
    return mutants


def plant(mutants: list[Mutant], tree: pathlib.Path) -> None:
    """Rewrites the copy of the sources. Every mutant's old text stands in its file exactly once, and none's in another's."""
    wrong = []
    for path in sorted({mutant.path for mutant in mutants}):
        original = (ROOT / path).read_text() if (ROOT / path).exists() else ""
        text, done = "", 0
        own = [mutant for mutant in mutants if mutant.path == path]
        for mutant in sorted(own, key=lambda mutant: original.find(mutant.old)):
            start = original.find(mutant.old)
            if original.count(mutant.old) != 1 or start < done:
                wrong.append(f"{mutant.name}: {path} has its text {original.count(mutant.old)} times, or in another mutant's")
                continue
            numbers = [mutant.number] + [other.number for other in mutants if other.beside == mutant.name]
            switch = " || ".join(f"plantedMutant == {number}" for number in numbers)
            text += original[done:start] + mutant.new.replace("MUTANT", f"({switch})")
            done = start + len(mutant.old)
        text += original[done:]
        (tree / path).write_text(text if "import EnsembleBase\n" in text else "import EnsembleBase\n" + text)
    if wrong:
        sys.exit("scripts/mutants.d is behind the sources:\n  " + "\n  ".join(wrong))
    (tree / SWITCH_FILE).write_text(SWITCH_TEXT)


def changed(source: pathlib.Path, target: pathlib.Path) -> bool:
    return not target.exists() or source.read_bytes() != target.read_bytes()


def copy_sources(tree: pathlib.Path) -> None:
    """Files that are as they were keep their times, so that only what changed is built again."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "Sources", "Package.swift", "Tests"],
        check=True, capture_output=True, text=True).stdout.split("\n")
    wanted = {name for name in listed if name and (ROOT / name).is_file()}
    for old in [path for path in tree.rglob("*") if path.is_file()] if tree.exists() else []:
        if str(old.relative_to(tree)) not in wanted | {SWITCH_FILE}:
            old.unlink()
    for name in wanted:
        source, target = ROOT / name, tree / name
        if changed(source, target):
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)


def lay_out(mutants: list[Mutant]) -> pathlib.Path:
    """In two trees, so that a file that is planted to the same bytes as before keeps its time."""
    planted, tree = WORK / "planted", WORK / "tree"
    shutil.rmtree(planted, ignore_errors=True)
    copy_sources(planted)
    plant(mutants, planted)
    tree.mkdir(parents=True, exist_ok=True)
    names = {str(path.relative_to(planted)) for path in planted.rglob("*") if path.is_file()}
    for old in [path for path in tree.rglob("*") if path.is_file() and ".build" not in path.parts]:
        if str(old.relative_to(tree)) not in names and old.name != "Package.resolved":
            old.unlink()
    for name in names:
        if changed(planted / name, tree / name):
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(planted / name, tree / name)
    if (ROOT / "Package.resolved").exists():
        shutil.copyfile(ROOT / "Package.resolved", tree / "Package.resolved")
    return tree


def build(mutants: list[Mutant]) -> pathlib.Path:
    tree = lay_out(mutants)
    print("building the simulator with the planted bugs", flush=True)
    start = time.monotonic()
    result = subprocess.run(
        ["swift", "build", "-c", "release", "-Xswiftc", "-enforce-exclusivity=unchecked", "--product", "ensemble-sim"],
        cwd=tree, capture_output=True, text=True)
    if result.returncode != 0:
        lines = [line for line in result.stdout.splitlines() if "error:" in line] or result.stdout.splitlines()[-30:]
        sys.exit("the build failed:\n" + "\n".join(dict.fromkeys(lines)))
    print(f"built in {time.monotonic() - start:.0f} s", flush=True)
    return tree / ".build/release/ensemble-sim"


@dataclasses.dataclass
class Finding:
    mutant: Mutant
    rule: str
    line: str
    seconds: float


def limited(seconds: int):
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    return limit


def worlds(mutant: Mutant) -> list[list[str]]:
    """The operator's mutants need an operator; those of connections and sessions may need sockets and whole servers."""
    if mutant.world:
        return [mutant.world.split()]
    if "EnsembleControl" in mutant.path:
        return [["--operated"]]
    last = "--wired" if re.search(r"KeeperServer|KeeperCore/(Clients|Session|OwnClock|Tree/WatchTable)", mutant.path) else "--operated"
    return [[], [last]]


def search(simulator: pathlib.Path, mutant: Mutant, seconds: int) -> Finding:
    start = time.monotonic()
    kinds = worlds(mutant)
    for kind, share in zip(kinds, [0.7, 0.3] if len(kinds) == 2 else [1.0]):
        finding = search_in(simulator, mutant, kind, max(5, int(seconds * share)), start)
        if finding.rule:
            return finding
    return Finding(mutant, "", "", time.monotonic() - start)


def swarm(simulator: pathlib.Path, number: int, seeds: str, kind: list[str], seconds: int) -> subprocess.CompletedProcess:
    """- Parameter number: the mutant's; 0 for none."""
    environment = dict(os.environ, **{SWITCH: str(number), "SWIFT_BACKTRACE": "enable=no"})
    return subprocess.run(
        [simulator, "swarm", "--seeds", seeds, "--jobs", "1", *kind],
        env=environment, capture_output=True, text=True, preexec_fn=limited(seconds))


def search_in(simulator: pathlib.Path, mutant: Mutant, kind: list[str], seconds: int, start: float) -> Finding:
    """A violation, or a process that dies of it. What a seed shows without the mutant, too, is not the mutant's."""
    first = 1
    while True:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        run = swarm(simulator, mutant.number, f"{first}-1000000", kind, max(seconds, 1))
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds -= int(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        elapsed = time.monotonic() - start
        # The processor's time was used up.
        if run.returncode in (-24, -9):
            return Finding(mutant, "", "", elapsed)
        violation = re.search(r"seed (\d+): violation of (\w+)(.*)", run.stdout)
        if not violation:
            last = (run.stderr.strip().splitlines() or ["no word"])[-1]
            return Finding(mutant, "crash", f"exit {run.returncode}: {last}"[:160], elapsed)
        if swarm(simulator, 0, f"{violation[1]}-{violation[1]}", kind, 60).returncode == 0:
            return Finding(mutant, violation[2], violation[0], elapsed)
        first = int(violation[1]) + 1


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/mutants")
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--seconds", type=int, default=90)
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    mutants = load()
    if options.list:
        for mutant in mutants:
            print(f"{mutant.name}: {mutant.why}" + (f" (harmless: {mutant.harmless})" if mutant.harmless else ""))
        return
    if options.check:
        copy_sources(WORK / "planted")
        plant(mutants, WORK / "planted")
        print(f"{len(mutants)} mutants stand where their lines are")
        return
    unknown = set(options.names) - {mutant.name for mutant in mutants}
    if unknown:
        sys.exit(f"no mutants of these names: {', '.join(sorted(unknown))}; --list names them")
    simulator = build(mutants)
    chosen = [mutant for mutant in mutants if not options.names or mutant.name in options.names]
    print(f"{len(chosen)} mutants, each looked for {options.seconds} s of a processor's time", flush=True)
    missed, found = [], 0
    begun = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        searches = [pool.submit(search, simulator, mutant, options.seconds) for mutant in chosen]
        for count, future in enumerate(concurrent.futures.as_completed(searches), 1):
            finding = future.result()
            mutant = finding.mutant
            left = (time.monotonic() - begun) / count * (len(chosen) - count)
            progress = f"[{count}/{len(chosen)}, {left / 60:.0f} min left]"
            if finding.rule:
                print(f"{progress} {mutant.name}: {finding.rule}, {finding.seconds:.0f} s", flush=True)
            elif mutant.harmless:
                print(f"{progress} {mutant.name}: harmless: {mutant.harmless}", flush=True)
            else:
                print(f"{progress} {mutant.name}: MISSED: {mutant.why}", flush=True)
            if mutant.harmless and not finding.rule:
                continue
            if finding.rule:
                found += 1
            else:
                missed.append(mutant)
    real = found + len(missed)
    print(f"{found} of {real} found, {100 * found / max(real, 1):.0f} %; {len(chosen) - real} harmless")
    for mutant in missed:
        print(f"  missed: {mutant.name} ({mutant.path}): {mutant.why}")
    sys.exit(1 if found < 0.9 * real else 0)


if __name__ == "__main__":
    main()
