"""Whether the token endpoint notices a crowd at the sign-in page."""

import json
import os
import statistics
import subprocess
import time

from . import table
from .measure import Figure, say
from .servers import Grantor

# Client credentials a second, open loop: a tenth of what the server can.
RATE = 2000
# Browsers that sign in, one after the other, as fast as they are let.
CROWD = 40


class Flood:
    def __init__(self, bench, rounds):
        self.bench, self.rounds = bench, rounds
        self.alone, self.beside, self.crowd = Figure(), Figure(), Figure()

    def run(self):
        server = Grantor(self.bench.grantor, os.path.join(self.bench.directory, "flood")).start()
        try:
            for count in range(self.rounds):
                self.alone.add(self.measure(server))
                with self.sign_ins(server) as crowd:
                    # Until all of them wait.
                    time.sleep(2)
                    self.beside.add(self.measure(server))
                    said, _ = crowd.communicate()
                if crowd.returncode != 0:
                    raise SystemExit("the crowd could not sign in")
                self.crowd.add({**json.loads(said), "flushes": []})
                tails = [figure.reports[-1]["latency_ms"]["p99"] for figure in (self.alone, self.beside)]
                say(f"  round {count + 1}: p99 {tails[0]:.2f} ms alone, {tails[1]:.2f} ms beside the crowd")
        finally:
            server.stop()

    def measure(self, server):
        return self.bench.meter.once("client-credentials", server, rate=RATE)

    def sign_ins(self, server):
        meter = self.bench.meter
        command = [meter.program, "sign-in", "--url", server.url, "--connections", str(CROWD), "--json"]
        command += ["--duration", f"{meter.seconds + 3}s"]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def text(self):
        rows = []
        for name, figure in (("alone", self.alone), ("beside the crowd", self.beside)):
            row = [table.number(figure.median("latency_ms", which)) for which in ("p50", "p95", "p99", "max")]
            rows.append([name, *row, figure.errors])
        ratio = statistics.median(
            beside / alone for alone, beside in zip(*(f.of("latency_ms", "p99") for f in (self.alone, self.beside))))
        return "\n\n".join([
            self.bench.machine.describe(),
            f"Client credentials at {RATE:,} a second, open loop, alone and beside {CROWD} browsers that sign in as fast "
            f"as they are let ({table.number(self.crowd.rate)} sign-ins a second). Each figure is the median of "
            f"{self.rounds} runs of {self.bench.meter.seconds} s; p99 was **{ratio:.1f} times** what it was alone.",
            table.table(["client credentials", "p50 ms", "p95 ms", "p99 ms", "max ms", "errors"], rows),
        ])
