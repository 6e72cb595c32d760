"""How fast: the product and the probe in turn, then the peers."""

import json
import os
import statistics
import time

from . import table
from .measure import DURABLE, Figure, say
from .servers import Grantor, Peer, probe

# The probe that commits for each request by itself differs only here.
ALONE = {"introspection", "refresh", "code-flow"}
# What the probe does not do.
NOT_OF_THE_PROBE = {"sign-in"}


class Speed:
    def __init__(self, bench, operations, rounds):
        self.bench, self.operations, self.rounds = bench, operations, rounds
        self.rows = []
        self.footprints = []
        self.peers = []

    def run(self):
        self.database("SQLite", None, lambda name: f"sqlite:{os.path.join(self.bench.directory, name + '.db')}")
        postgres = self.bench.postgres()
        self.database("PostgreSQL", postgres.pid, postgres.database)

    def database(self, name, pid, database_of):
        directory = os.path.join(self.bench.directory, name)
        os.makedirs(directory)
        grantor = Grantor(self.bench.grantor, directory, database_of("grantor"))
        # The database is there, and its keys are: that is how a server starts on every day but the first.
        ready = [self.started_and_stopped(grantor) for _ in range(6)][1:]
        server = grantor.start()
        bench = self.bench
        servers = {
            "Grantor": server,
            "probe": probe(bench.probe, directory, database_of("probe"), "--token-cache"),
            "probe alone": probe(bench.probe, directory, database_of("probe-alone"), "--alone"),
        }
        try:
            # What a start needs is given back by then.
            time.sleep(2)
            idle = server.memory()
            for operation in self.operations:
                # What touches no disk is measured once, with the database of production.
                if operation in DURABLE or name == "PostgreSQL":
                    self.rows.append((operation, name, self.measure(operation, name, servers, pid)))
            self.footprints.append((name, statistics.median(ready), idle, server.memory()))
        finally:
            for server in servers.values():
                server.stop()

    @staticmethod
    def started_and_stopped(grantor):
        server = grantor.start()
        server.stop()
        return server.ready_ms

    def measure(self, operation, name, servers, pid):
        figures = {}
        for count in range(self.rounds):
            for server_name, server in servers.items():
                if server_name == "probe alone" and operation not in ALONE:
                    continue
                if server_name.startswith("probe") and operation in NOT_OF_THE_PROBE:
                    continue
                report = self.bench.meter.once(operation, server, pid)
                figures.setdefault(server_name, Figure()).add(report)
                say(f"  {operation}, {name}, round {count + 1}, {server_name}: {table.number(report['rate'])}/s")
        calm = figures["Grantor"].rate / 2
        if calm >= 1:
            figures["calm"] = Figure()
            figures["calm"].add(self.bench.meter.once(operation, servers["Grantor"], pid, rate=calm))
        return figures

    def run_peers(self, folder):
        for name in sorted(os.listdir(folder)):
            place = os.path.join(folder, name)
            if not os.path.exists(os.path.join(place, "peer.json")):
                continue
            with open(os.path.join(place, "peer.json"), encoding="utf-8") as file:
                peer = json.load(file)
            for variant in peer["variants"]:
                self.peers.append((variant["title"], self.peer(place, variant, peer.get("database", False))))

    def peer(self, place, variant, wants_database):
        postgres = self.bench.postgres()
        database = postgres.database(f"{os.path.basename(place)}-{variant['name']}") if wants_database else "none"
        figures = {}
        try:
            server = Peer(place, variant["name"], database, self.bench.directory)
        except RuntimeError as why:
            say(f"  {variant['title']}: {why}")
            return figures
        try:
            for operation in variant["operations"]:
                if operation not in self.operations:
                    continue
                for count in range(self.rounds):
                    try:
                        report = self.bench.meter.once(
                            operation, server, postgres.pid if wants_database else None,
                            target=target_of(place, self.bench.directory, operation),
                            seconds=variant.get("seconds"), disk=variant["durable"])
                    except RuntimeError as why:
                        say(f"  {operation}, {variant['title']}: {why}")
                        break
                    figures.setdefault(operation, Figure()).add(report)
                    rate = table.number(report["rate"])
                    say(f"  {operation}, {variant['title']}, round {count + 1}: {rate}/s")
        finally:
            server.stop()
        return figures

    def own(self):
        """Grantor as one of its peers, by database."""
        lines = {}
        for operation, name, figures in self.rows:
            lines.setdefault(name, {})[operation] = figures["Grantor"]
        memory = lines.get("PostgreSQL", {})
        return [
            (f"Grantor, {name}", {**{o: f for o, f in memory.items() if o not in DURABLE}, **figures})
            for name, figures in lines.items()
        ]

    def text(self):
        meter = self.bench.meter
        order = list(table.OPERATIONS)
        rows = sorted(self.rows, key=lambda row: order.index(row[0]))
        parts = [
            self.bench.machine.describe(self.bench.postgres().version()),
            f"Each figure is the median of {self.rounds} runs of {meter.seconds} s, taken in turn, over "
            f"{meter.connections} connections (lowest–highest); *flushes*: what the disk made durable a second just "
            "before and after.",
            table.speed(rows),
            "Processor time of a request at full speed, and latency at half of it (open loop):",
            table.cost(rows),
        ]
        if self.peers:
            parts += ["Others, in the same run:", table.peers(self.own(), self.peers)]
        parts += [table.footprint(self.footprints)]
        return "\n\n".join(parts)


def target_of(place, directory, operation):
    """What a peer wrote when it was set up, or what stands beside it, perhaps for this operation alone."""
    candidates = [
        os.path.join(directory, f"{os.path.basename(place)}-target.json"), os.path.join(place, f"target-{operation}.json")]
    return next((file for file in candidates if os.path.exists(file)), os.path.join(place, "target.json"))
