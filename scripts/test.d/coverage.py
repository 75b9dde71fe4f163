"""A table of covered lines from llvm-cov's summary on standard input. Argument: the folder of the targets."""
import json
import sys

FLOOR = 90.0
# The cores must be above the floor; of a target with hands only its pure folders are counted.
CORES = ("KeeperCore", "EnsembleControl")
COUNTED = {"KeeperCore": "", "EnsembleControl": "", "EnsembleBase": "", "EnsembleBackup/Catalog": "EnsembleBackup/Catalog/"}


def percent(covered, lines):
    return 100.0 * covered / lines if lines else 100.0


def main():
    sources = sys.argv[1]
    files = {}
    for file in json.load(sys.stdin)["data"][0]["files"]:
        if file["filename"].startswith(sources):
            files[file["filename"][len(sources):]] = file["summary"]["lines"]
    rows, low = [], []
    for target, folder in COUNTED.items():
        inside = {path: lines for path, lines in files.items() if path.startswith(folder or target + "/")}
        rows.append((target, sum(x["covered"] for x in inside.values()), sum(x["count"] for x in inside.values())))
        low += [(percent(x["covered"], x["count"]), path, x) for path, x in inside.items() if percent(x["covered"], x["count"]) < FLOOR]
    for percentage, path, lines in sorted(low, key=lambda item: item[:2]):
        print(f"   {percentage:5.1f} %  {lines['covered']:5} of {lines['count']:5}  {path}")
    print(f"{'target':24} {'lines':>7} {'covered':>8}")
    rows.append(("all of these", sum(row[1] for row in rows), sum(row[2] for row in rows)))
    for target, covered, lines in rows:
        print(f"{target:24} {lines:7} {percent(covered, lines):6.1f} %")
    failed = [target for target, covered, lines in rows if target in CORES and (not lines or percent(covered, lines) < FLOOR)]
    if failed:
        print(f"below {FLOOR:.0f} %: {', '.join(failed)}")
    return 1 if failed else 0


sys.exit(main())
