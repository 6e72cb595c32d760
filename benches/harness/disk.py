"""How often a second the disk makes a write durable, just now. On a shared machine it changes by a factor of twenty."""

import os
import time

BLOCK = 8 * 1024
FILE = 16 * 1024 * 1024


class Disk:
    def __init__(self, directory):
        self.path = os.path.join(directory, "flush")

    def flushes(self, seconds=0.7):
        """Writes 8 KiB and waits until it is durable, again and again, as a log of commits does."""
        file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if os.fstat(file).st_size < FILE:
                os.posix_fallocate(file, 0, FILE)
                for at in range(0, FILE, BLOCK):
                    os.pwrite(file, bytes(BLOCK), at)
                os.fsync(file)
            block, count, started = os.urandom(BLOCK), 0, time.monotonic()
            while time.monotonic() - started < seconds:
                os.pwrite(file, block, count * BLOCK % FILE)
                os.fdatasync(file)
                count += 1
            return count / (time.monotonic() - started)
        finally:
            os.close(file)


def file_system(directory):
    """The type of the file system under a directory, as /proc/mounts has it."""
    best, kind = "", "unknown"
    with open("/proc/mounts", encoding="utf-8") as mounts:
        for line in mounts:
            _, point, found, *_ = line.split()
            if os.path.commonpath([point, directory]) == point and len(point) >= len(best):
                best, kind = point, found
    return kind
