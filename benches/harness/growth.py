"""Whether a full table of grants is slower than an empty one, while housekeeping takes away what has expired."""

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import time

from . import table
from .measure import Figure, say
from .servers import Grantor

OPERATIONS = ["introspection", "refresh", "code-flow"]

# Housekeeping begins so many seconds after a server did.
HOUSEKEEPING = 21


class Growth:
    def __init__(self, bench, grants, rounds, fill):
        self.bench, self.grants, self.rounds, self.fill = bench, grants, rounds, fill
        self.rows, self.sizes = [], []

    def run(self):
        self.database("SQLite", None, lambda name: f"sqlite:{os.path.join(self.bench.directory, name + '.db')}")
        postgres = self.bench.postgres()
        self.database("PostgreSQL", postgres.pid, postgres.database)

    def database(self, name, pid, database_of):
        directory = os.path.join(self.bench.directory, name)
        urls = {state: database_of(state) for state in ("empty", "full")}
        programs = {
            state: Grantor(self.bench.grantor, os.path.join(directory, state), url) for state, url in urls.items()}
        filled = subprocess.run(
            [self.fill, "--database", urls["full"], "--grants", str(self.grants)], stdout=subprocess.PIPE, check=True)
        size = json.loads(filled.stdout)
        say(f"  {name}: filled in {size['seconds']:.0f} s")
        with contextlib.ExitStack() as running:
            servers = {}
            for state, grantor in programs.items():
                servers[state] = grantor.start()
                running.callback(servers[state].stop)
            time.sleep(HOUSEKEEPING)
            before = self.expired(name, urls["full"])
            figures = {operation: {"empty": Figure(), "full": Figure()} for operation in OPERATIONS}
            for count in range(self.rounds):
                for operation in OPERATIONS:
                    for state, server in servers.items():
                        other = servers["full" if state == "empty" else "empty"]
                        report = self.alone(operation, server, other, pid)
                        figures[operation][state].add(report)
                        rate = table.number(report["rate"])
                        say(f"  {operation}, {name}, round {count + 1}, {state}: {rate}/s")
            deleted = before - self.expired(name, urls["full"])
        self.rows += [(operation, name, figures[operation]) for operation in OPERATIONS]
        self.sizes.append((name, size, before, deleted))

    def alone(self, operation, server, other, pid):
        """One run, while the other server's housekeeping stands still."""
        os.kill(other.pid, signal.SIGSTOP)
        try:
            return self.bench.meter.once(operation, server, pid)
        finally:
            os.kill(other.pid, signal.SIGCONT)

    def expired(self, name, url):
        """Grants that wait for housekeeping."""
        until = int((time.time() - 24 * 3600) * 1e6)
        count = f"SELECT count(*) FROM grants WHERE expires_at < {until}"
        if name == "PostgreSQL":
            return int(self.bench.postgres().sql(count, database="full"))
        with contextlib.closing(sqlite3.connect(url.removeprefix("sqlite:"), timeout=30)) as connection:
            return connection.execute(count).fetchone()[0]

    def text(self):
        rows = []
        for operation, name, figures in self.rows:
            full, empty = figures["full"], figures["empty"]
            title = f"{table.OPERATIONS[operation]}, {name}"
            rows.append([title, table.rate(empty, True), table.rate(full, True), table.ratio(full, empty)])
        sizes = []
        for name, size, waiting, deleted in self.sizes:
            bytes_of = [f"{size[part] / size['grants']:.0f}" for part in ("table_bytes", "index_bytes")]
            sizes.append([name, *bytes_of, f"{size['seconds']:.0f}", f"{waiting:,}", f"{deleted:,}"])
        meter = self.bench.meter
        return "\n\n".join([
            self.bench.machine.describe(self.bench.postgres().version()),
            f"{self.grants:,} grants, of which a tenth has expired. Each figure is the median of {self.rounds} runs of "
            f"{meter.seconds} s in turn, over {meter.connections} connections; the server that is not measured stands "
            "still meanwhile.",
            table.table(["a second", "empty", "full", "full / empty"], rows),
            table.table(
                ["a grant", "bytes of the table", "bytes of its indexes", "seconds to fill", "expired at the beginning",
                 "deleted meanwhile"], sizes),
        ])
