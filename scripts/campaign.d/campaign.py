"""Faults on real processes; scripts/campaign says how it is called, and makes the namespaces that this runs in."""
import argparse
import collections
import os
import random
import re
import sys
import time

import ensemble
from ensemble import Ensemble, build_clock, daemon
from faults import KINDS, Round
from history import History
from network import Network

# A leader that was frozen answers what waited for it before it notices that it leads no more.
LONGEST_FREEZE = 20
# Seconds in which a member has written a file of its database, whatever stands beside it on the disk.
LONGEST_WRITING = 10
SEGMENT_MINUTES = 5


class Segment:
    """A new ensemble, one seed, a few minutes of rounds, and the verdict."""

    def __init__(self, number, seed, options, network, clock):
        self.seed, self.options, self.random = seed, options, random.Random(seed)
        self.violations = []
        self.rounds = 0
        self.counts = collections.Counter()
        self.longest_whole = self.longest_gap = 0.0
        self.kinds = self.draw()
        self.ensemble = Ensemble(options.engine, network, clock)
        self.history = History(self.ensemble, seed)
        say(f"segment {number}: seed {seed}, {options.engine}, faults {','.join(self.kinds)}")

    def draw(self):
        """Swarm testing: runs that leave out some faults find what runs with all of them hide."""
        if self.options.chosen:
            return self.options.chosen
        possible = self.options.possible
        drawn = [kind for kind in possible if self.random.random() < 0.6]
        return drawn or possible

    def run(self, until):
        try:
            self.ensemble.start().wait_whole()
            self.history.start()
            self.history.flows()
            self.history.longest_gap()
            while time.monotonic() < until:
                self.disturb()
            self.history.flows()
        except AssertionError as failure:
            self.fail("convergence", str(failure))
        finally:
            self.finish()
        return self

    def disturb(self):
        round = Round(self.ensemble, self.history, self.random, self.kinds)
        round.run()
        self.rounds += 1
        self.counts.update(fault.kind for fault in round.faults)
        begun = time.monotonic()
        try:
            self.ensemble.wait_whole(within=self.options.bound)
            whole = time.monotonic() - begun
            self.history.flows()
        except AssertionError:
            say(f"  {self.rounds:3}  {round} for {round.seconds:.0f} s: not whole within {self.options.bound} s")
            raise
        gap = self.history.longest_gap()
        self.longest_whole, self.longest_gap = max(self.longest_whole, whole), max(self.longest_gap, gap)
        say(f"  {self.rounds:3}  {round} for {round.seconds:.0f} s: whole {whole:.1f} s after it, longest gap {gap:.1f} s, "
            f"{self.history.operations} operations")
        self.look_for_remains()
        self.ensemble.clear_quarantine()

    def look_for_remains(self):
        """soundness: no member ends itself by a trap, a broken memory access, or a failed check of its own, and what a full
        disk interrupted doesn't add up there."""
        for member in ensemble.MEMBERS:
            # A member that serves may be writing a snapshot and the next log just now; what was left behind stays.
            halves, looked = self.unfinished_files(member), time.monotonic()
            while len(halves) > 1 and time.monotonic() - looked < LONGEST_WRITING:
                time.sleep(0.2)
                halves &= self.unfinished_files(member)
            if len(halves) > 1:
                self.fail("soundness", f"member {member} keeps what was never finished: {' '.join(sorted(halves))}")
        for line in self.ensemble.events().splitlines():
            if re.search(r"SIG(ILL|TRAP|ABRT|BUS|FPE|SEGV)|signal (4|5|6|7|8|11)\b", line):
                self.fail("soundness", line)
                return

    def unfinished_files(self, member):
        folder = os.path.join(self.ensemble.member_directory(member), "version-2")
        return {name for name in os.listdir(folder) if name.startswith("writing.")} if os.path.isdir(folder) else set()

    def finish(self):
        try:
            self.history.stop()
            # An ensemble that is not whole cannot be asked for its trees; what clients saw can be judged all the same.
            violations, summary = self.history.judge(LONGEST_FREEZE, servers=not self.violations)
            self.violations += violations
            say(f"  judged: {summary or 'not'}")
        except AssertionError as failure:
            self.fail("convergence", str(failure))
        for violation in self.violations:
            say(f"  VIOLATION {violation}")
        if self.violations:
            os.environ["KEEP_FILES"] = "1"
            say(f"  seed {self.seed}; daemon, members and histories are kept in {self.ensemble.directory}")
        self.ensemble.close()

    def fail(self, rule, text):
        self.violations.append(f"{rule}: {text}")


def say(text):
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


def arguments():
    parser = argparse.ArgumentParser(prog="scripts/campaign", description="Faults on real processes, judged by what clients saw.")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, help="of the first segment; the next one's is one higher (a fresh one)")
    parser.add_argument("--faults", help=f"only these, all of them: {','.join(KINDS)}")
    parser.add_argument("--engine", choices=(daemon.BUNDLED, daemon.APACHE), default=daemon.BUNDLED)
    parser.add_argument("--bound", type=float, default=180, help="seconds within which an ensemble is whole when faults end (180)")
    parser.add_argument("--sensitivity", action="store_true", help="show that the judge sees each violation, and end")
    options = parser.parse_args()
    options.chosen = options.faults.split(",") if options.faults else None
    for kind in options.chosen or []:
        if kind not in KINDS:
            parser.error(f"no fault is called {kind}")
    return options


def main():
    options = arguments()
    reason = daemon.missing(options.engine) or (None if daemon.binary("keeper-load") else "keeper-load is not built (scripts/build)")
    if reason:
        print(f"skipped: {reason}")
        return 0
    network = Network(ensemble.MEMBERS)
    with daemon.tempfile.TemporaryDirectory(prefix="ensembled-clock-") as folder:
        clock, why = build_clock(folder)
        options.possible = [kind for kind in KINDS if clock or kind != "clock"]
        if not clock:
            say(f"skipped: steps of the clock: {why}")
        if options.sensitivity:
            import sensitivity
            return sensitivity.run(network, clock, options)
        return campaign(options, network, clock)


def campaign(options, network, clock):
    seed = options.seed if options.seed is not None else random.randrange(1 << 32)
    begun = time.monotonic()
    end = begun + options.minutes * 60
    segments = []
    while time.monotonic() < end - 30 or not segments:
        # What is left at the end belongs to the last segment.
        left = end - time.monotonic()
        length = left if left < 1.5 * SEGMENT_MINUTES * 60 else SEGMENT_MINUTES * 60
        segments.append(Segment(len(segments) + 1, seed + len(segments), options, network, clock).run(time.monotonic() + length))
    counts = sum((segment.counts for segment in segments), collections.Counter())
    violations = sum(len(segment.violations) for segment in segments)
    say(f"{(time.monotonic() - begun) / 60:.1f} minutes, {sum(segment.rounds for segment in segments)} rounds, "
        f"{sum(segment.history.operations for segment in segments)} operations, "
        f"{sum(segment.history.acknowledged for segment in segments)} acknowledged writes")
    say("faults: " + ", ".join(f"{kind} {counts[kind]}" for kind in KINDS if counts[kind]))
    say(f"whole again within {max(segment.longest_whole for segment in segments):.1f} s, "
        f"longest gap {max(segment.longest_gap for segment in segments):.1f} s")
    say(f"seeds {seed} to {seed + len(segments) - 1}: {violations} violations")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
