"""Runs `load`, again and again, and keeps the medians."""

import json
import statistics
import subprocess
import sys

# Which need the disk.
DURABLE = {"refresh", "code-flow", "sign-in"}


class Meter:
    def __init__(self, program, disk, seconds, connections):
        self.program, self.disk = program, disk
        self.seconds, self.connections = seconds, connections

    def once(self, operation, server, database_pid=None, *, rate=None, target=None, seconds=None, disk=False):
        """One run of `load`, with the rate of flushes just before and after it where the disk matters."""
        disk = disk or operation in DURABLE
        command = [self.program, operation, "--url", server.url, "--pid", str(server.pid), "--json"]
        command += ["--connections", str(self.connections), "--duration", f"{seconds or self.seconds}s"]
        if database_pid:
            command += ["--database-pid", str(database_pid)]
        if rate:
            command += ["--rate", f"{rate:.3f}"]
        if target:
            command += ["--target", target]
        flushes = [self.disk.flushes()] if disk else []
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(done.stderr.strip().replace("\n", " ")[:300])
        if disk:
            flushes.append(self.disk.flushes())
        report = json.loads(done.stdout)
        report["flushes"] = flushes
        if report["errors"]:
            say(f"    {report['errors']} errors: {report['error_kinds']}")
        return report


class Figure:
    """Several runs of one operation at one server."""

    def __init__(self):
        self.reports = []

    def add(self, report):
        self.reports.append(report)

    def of(self, *path):
        values = []
        for report in self.reports:
            value = report
            for name in path:
                value = value[name]
            if value is not None:
                values.append(value)
        return values

    def median(self, *path):
        values = self.of(*path)
        return statistics.median(values) if values else None

    @property
    def rate(self):
        return self.median("rate")

    @property
    def spread(self):
        """The lowest and the highest rate."""
        return min(self.of("rate")), max(self.of("rate"))

    @property
    def errors(self):
        return sum(self.of("errors"))

    @property
    def flushes(self):
        every = [rate for report in self.reports for rate in report["flushes"]]
        return statistics.median(every) if every else None


def say(text):
    print(text, file=sys.stderr, flush=True)
