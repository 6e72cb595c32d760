"""Whether memory grows under a load that goes on and on."""

import os
import re
import statistics
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

from . import table
from .measure import say
from .servers import Grantor

EVERY = 10
# Requests a second, of every kind: what an idle half of a core answers.
RATE = 500


def seconds(text):
    """30m, 90s, 1h."""
    match = re.fullmatch(r"(\d+)([smh])", text)
    if not match:
        raise SystemExit("--soak takes a time such as 30m")
    return int(match[1]) * {"s": 1, "m": 60, "h": 3600}[match[2]]


class Soak:
    def __init__(self, bench, duration):
        self.bench, self.duration = bench, seconds(duration)
        self.rows = []

    def run(self):
        """On both databases at the same time: it takes half an hour, and neither wants a core for itself."""
        databases = {"SQLite": None, "PostgreSQL": self.bench.postgres().database("soak")}
        with ThreadPoolExecutor() as both:
            list(both.map(self.database, databases.keys(), databases.values()))
        self.rows.sort(key=lambda row: row[0], reverse=True)

    def database(self, name, url):
        server = Grantor(self.bench.grantor, os.path.join(self.bench.directory, name), url).start()
        try:
            self.rows.append((name, self.sample(server)))
        finally:
            server.stop()

    def sample(self, server):
        meter = self.bench.meter
        command = [meter.program, "mixed", "--url", server.url, "--connections", str(meter.connections)]
        command += ["--duration", f"{self.duration}s", "--rate", str(RATE)]
        samples, started = [], time.monotonic()
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as load:
            while load.poll() is None:
                samples.append((time.monotonic() - started, server.memory()))
                try:
                    load.wait(EVERY)
                except subprocess.TimeoutExpired:
                    pass
            said = load.stdout.read()
        if load.returncode != 0:
            raise SystemExit(said)
        say(said)
        errors = int(re.search(r"errors +(\d+)", said)[1])
        if errors or server.process.poll() is not None:
            raise SystemExit(f"{errors} errors, or the server has ended: that says nothing of its memory; see {server.log}")
        return samples

    def text(self):
        rows = []
        for name, samples in self.rows:
            # What is allocated once, is allocated by then.
            late = [(at, size) for at, size in samples if self.duration / 3 <= at <= self.duration]
            if len(late) < 3:
                raise SystemExit("too short to say anything: a soak takes some minutes")
            slope = statistics.linear_regression(*zip(*late)).slope * 3600
            sizes = [size for _, size in late]
            rows.append([
                name, f"{samples[0][1]:.1f}", f"{min(sizes):.1f}", f"{max(sizes):.1f}", f"{slope:+.2f}"])
        head = ["MiB", "at the beginning", "least", "most", "growth an hour"]
        return "\n\n".join([
            self.bench.machine.describe(self.bench.postgres().version()),
            f"{self.duration / 60:.0f} minutes at {RATE} mixed requests a second, resident memory every {EVERY} s; least, "
            "most and growth (a straight line through the samples) are those of the last two thirds. No request failed.",
            table.table(head, rows),
        ])
