"""The daemon and its members on the campaign's network, each member with a file system of its own and clocks that can be
stepped. What starts and watches them is the process tests' Daemon."""
import os
import shutil
import struct
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "Tests", "ProcessTests"))

import daemon  # noqa: E402
from network import OPERATOR, Network  # noqa: E402

MEMBERS = (1, 2, 3)
DISK_MEGABYTES = 512


def build_clock(directory):
    """The library that shows a stepped clock, or None and why there is none."""
    library = os.path.join(directory, "clock.so")
    source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "clock.c")
    for compiler in ("cc", "clang", "gcc"):
        try:
            done = subprocess.run([compiler, "-shared", "-fPIC", "-O2", "-o", library, source], capture_output=True, text=True)
        except FileNotFoundError:
            continue
        return (library, None) if done.returncode == 0 else (None, done.stderr.strip())
    return None, "no C compiler"


class Ensemble(daemon.Daemon):
    """- clock: the library of stepped clocks, or None."""

    def __init__(self, engine, network, clock):
        self.network, self.clock = network, clock
        self.disks = {}
        # Few transactions per log file, so that snapshots, several log files and their removal belong to every run.
        super().__init__(engine, settings="  snapCount: 1000\n", schedule="every 5s")

    def write_manifest(self):
        for member in MEMBERS:
            self.places[member] = os.path.join(self.mount(member), "data")
        self.clocks = os.path.join(self.directory, "clocks")
        os.makedirs(self.clocks)
        for name in (OPERATOR, *MEMBERS):
            self.step_clock(name, 0)
        super().write_manifest()

    def mount(self, member):
        """A small file system in a file of the scratch directory; in memory where loop devices are lacking."""
        place = os.path.join(self.directory, "disks", str(member))
        image = place + ".img"
        os.makedirs(place)
        with open(image, "wb") as file:
            file.truncate(DISK_MEGABYTES << 20)
        made = subprocess.run(["mkfs.ext4", "-q", "-m", "0", image], capture_output=True)
        if made.returncode or subprocess.run(["mount", "-o", "loop", image, place], capture_output=True).returncode:
            os.unlink(image)
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_MEGABYTES}m", "campaign", place], check=True)
        self.disks[member] = place
        return place

    def close(self):
        """- The disks stay where they are until the campaign's mounts go with it, if its files are to be kept."""
        if not os.environ.get("KEEP_FILES"):
            for place in self.disks.values():
                subprocess.run(["umount", "-l", place], check=False)
        super().close()

    def address(self, identity):
        return Network.address(identity)

    def entering(self):
        # The configuration lies in a directory that is named by the member's number.
        return ('nsenter --net="/run/netns/member$(basename "$(dirname "$last")")" ' + self.clock_environment(
            '$(basename "$(dirname "$last")")'))

    def clock_environment(self, name):
        return f'env LD_PRELOAD="{self.clock}" CAMPAIGN_CLOCK="{self.directory}/clocks/{name}" ' if self.clock else ""

    def command(self):
        if not self.clock:
            return super().command()
        return ["env", f"LD_PRELOAD={self.clock}", f"CAMPAIGN_CLOCK={self.directory}/clocks/{OPERATOR}", *super().command()]

    def step_clock(self, name, seconds):
        """Whoever reads the clock named sees the new time at once."""
        path = os.path.join(self.clocks, str(name))
        with open(path, "r+b" if os.path.exists(path) else "wb") as file:
            file.write(struct.pack("<q", int(seconds * 1e9)))

    def clear_quarantine(self):
        """What a person would do now and then: a small disk does not hold what several reseeds put aside."""
        folders = [os.path.join(self.data, "quarantine")]
        folders += [os.path.join(self.member_directory(member), "quarantine") for member in MEMBERS]
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)
