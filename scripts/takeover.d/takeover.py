"""Randomised takeovers; scripts/takeover says how it is called."""
import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "Tests", "CompatibilityTests"))

import servers  # noqa: E402
from round import ApacheErred, Round, Violation  # noqa: E402

FIRST_PORT = 26000
PORTS_PER_JOB = 400
# A round takes some 20 s on an idle machine; one that takes this long hangs.
LONGEST = 600
VOID = 3


def arguments():
    parser = argparse.ArgumentParser(prog="scripts/takeover", description="Ours on directories of Apache's server, and back, judged "
                                     "by writers that count. ENSEMBLE_SERVER names another binary.")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seed", type=int, help="of the first round; the next one's is one higher (a fresh one)")
    parser.add_argument("--jobs", type=int, default=1, help="rounds at a time (1)")
    parser.add_argument("--round", type=int, metavar="SEED", help=argparse.SUPPRESS)
    return parser.parse_args()


def one(seed):
    """Plays the round of this seed, in this process. Prints its moves."""
    begun = time.monotonic()

    def say(text):
        print(f"  {seed} {time.monotonic() - begun:5.1f} s  {text}", flush=True)

    def ended(*_):
        raise KeyboardInterrupt
    signal.signal(signal.SIGTERM, ended)
    round = Round(seed, say)
    failed = True
    try:
        round.run()
        failed = False
        print(f"round {seed}: sound, {round.ledger.acknowledged} acknowledged writes, {time.monotonic() - begun:.0f} s", flush=True)
    except ApacheErred as error:
        # Kept all the same: it is what ours has to live with.
        print(f"round {seed}: void, Apache's server erred by itself; files in {round.ensemble.directory}\n{error}", flush=True)
        return VOID
    except Violation as violation:
        print(f"round {seed}: VIOLATION after {time.monotonic() - begun:.0f} s; files in {round.ensemble.directory}\n{violation}", flush=True)
    except AssertionError as failure:
        print(f"round {seed}: VIOLATION convergence; files in {round.ensemble.directory}\n{failure}", flush=True)
    finally:
        round.close(keep=failed)
    return 1 if failed else 0


class Job:
    """A round in a process of its own, its output in a file until it ended."""

    def __init__(self, seed, slot):
        self.seed, self.slot = seed, slot
        self.output = tempfile.TemporaryFile("w+", errors="replace")
        environment = {**os.environ, "COMPATIBILITY_PORT": str(FIRST_PORT + slot * PORTS_PER_JOB)}
        self.deadline = time.monotonic() + LONGEST
        self.process = subprocess.Popen([sys.executable, os.path.abspath(__file__), "--round", str(seed)], env=environment,
                                        stdin=subprocess.DEVNULL, stdout=self.output, stderr=self.output)

    def has_ended(self):
        if time.monotonic() > self.deadline and self.process.poll() is None:
            self.output.write(f"round {self.seed}: VIOLATION convergence: not over in {LONGEST} s\n")
            self.process.terminate()
            self.process.wait()
        return self.process.poll() is not None

    def print(self):
        self.output.seek(0)
        shutil.copyfileobj(self.output, sys.stdout)
        sys.stdout.flush()
        self.output.close()


def all_rounds(options):
    first = options.seed if options.seed is not None else random.randrange(1 << 31)
    waiting = list(range(first, first + options.rounds))
    running, failed, void = [], [], []
    begun = time.monotonic()
    try:
        while waiting or running:
            free = sorted(set(range(options.jobs)) - {job.slot for job in running})
            while waiting and free:
                running.append(Job(waiting.pop(0), free.pop(0)))
            for job in [job for job in running if job.has_ended()]:
                running.remove(job)
                job.print()
                if job.process.returncode:
                    (void if job.process.returncode == VOID else failed).append(job.seed)
            time.sleep(0.1)
    finally:
        for job in running:
            job.process.terminate()
            job.process.wait()
            job.print()
    print(f"{options.rounds} rounds, seeds {first} to {first + options.rounds - 1}, {(time.monotonic() - begun) / 60:.1f} minutes: "
          f"{len(void)} void, {len(failed)} with violations{': ' + ', '.join(map(str, failed)) if failed else ''}")
    return 1 if failed else 0


def main():
    options = arguments()
    for kind in (servers.OURS, servers.APACHE):
        if reason := servers.missing(kind):
            print(f"skipped: {reason}")
            return 0
    return one(options.round) if options.round is not None else all_rounds(options)


if __name__ == "__main__":
    sys.exit(main())
