"""What the figures were taken on."""

import datetime
import os
import platform
import subprocess

from .disk import file_system


def output(*command, cwd=None):
    done = subprocess.run(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False)
    return done.stdout.strip()


def processor():
    with open("/proc/cpuinfo", encoding="utf-8") as info:
        for line in info:
            if line.startswith("model name"):
                return " ".join(line.split(":", 1)[1].split())
    return platform.machine()


def steal():
    """Ticks that the hypervisor gave to others, and all ticks."""
    with open("/proc/stat", encoding="utf-8") as stat:
        ticks = [int(field) for field in stat.readline().split()[1:9]]
    return ticks[7], sum(ticks)


class Machine:
    def __init__(self, root, directory):
        self.root, self.directory = root, directory
        self.steal = steal()
        self.load = os.getloadavg()[0]

    def describe(self, postgres=None):
        """Two sentences, when all is measured."""
        stolen, ticks = (now - then for now, then in zip(steal(), self.steal))
        revision = output("git", "rev-parse", "--short=10", "HEAD", cwd=self.root)
        if output("git", "status", "--porcelain", "--untracked-files=no", "--", "src", "Cargo.lock", cwd=self.root):
            revision += " with changes"
        with open("/proc/meminfo", encoding="utf-8") as info:
            memory = int(info.readline().split()[1]) / 1024 / 1024
        today = datetime.date.today().isoformat()
        versions = [f"Grantor {revision}", output("rustc", "--version").split(" (")[0]]
        versions += [f"PostgreSQL {postgres}"] if postgres else []
        return (
            f"Measured on {today}: {os.cpu_count()} cores ({processor()}), {memory:.0f} GiB, "
            f"{platform.system()} {platform.release().split('-')[0]}, {file_system(self.directory)}; "
            f"load average before {self.load:.1f}, and the hypervisor gave {100 * stolen / max(ticks, 1):.1f} % of the "
            "time to others. "
            f"{', '.join(versions)}. Server, database and load generator share these cores.")
