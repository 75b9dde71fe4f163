"""Disks that hang, made of what the kernel has: a file system that is frozen, and one that nobody serves."""
import ctypes
import os
import shutil
import subprocess

_libc = ctypes.CDLL(None, use_errno=True)
MNT_FORCE = 1


def why_not():
    """Why there can be none here, or None."""
    if os.geteuid() != 0:
        return "mounts file systems"
    if not (os.path.exists("/dev/fuse") and os.path.exists("/dev/loop-control") and shutil.which("fsfreeze")):
        return "neither /dev/fuse nor loop devices"
    return None


class FrozenDisk:
    """A file system of its own at `path`, whose writes hang while it is frozen."""

    def __init__(self, path, image, megabytes=96):
        self.path, self.is_frozen = path, False
        with open(image, "wb") as file:
            file.truncate(megabytes << 20)
        subprocess.run(["mkfs.ext4", "-q", image], check=True)
        os.makedirs(path, exist_ok=True)
        subprocess.run(["mount", "-o", "loop", image, path], check=True)

    def freeze(self):
        subprocess.run(["fsfreeze", "--freeze", self.path], check=True)
        self.is_frozen = True

    def thaw(self):
        if self.is_frozen:
            subprocess.run(["fsfreeze", "--unfreeze", self.path], check=True)
        self.is_frozen = False

    def close(self):
        self.thaw()
        subprocess.run(["umount", "--lazy", self.path], check=False)


class DeadMount:
    """A mount at `path` of whose server nothing is heard: whoever looks at it waits. A network file system that is gone."""

    def __init__(self, path):
        self.path = path
        os.makedirs(path, exist_ok=True)
        self.descriptor = os.open("/dev/fuse", os.O_RDWR)
        options = f"fd={self.descriptor},rootmode=40000,user_id=0,group_id=0"
        if _libc.mount(b"hanging", path.encode(), b"fuse", 0, options.encode()) != 0:
            os.close(self.descriptor)
            raise OSError(ctypes.get_errno(), "mount", path)

    def close(self):
        """Whoever waits is told that it is gone."""
        if self.descriptor is not None:
            os.close(self.descriptor)
            _libc.umount2(self.path.encode(), MNT_FORCE)
        self.descriptor = None
