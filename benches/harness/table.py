"""Puts figures into words, and the words into the document."""

import re

# The name on the command line of `load`, and what people call it.
OPERATIONS = {
    "client-credentials": "client credentials",
    "introspection": "introspection",
    "refresh": "refresh",
    "code-flow": "code flow",
    "sign-in": "sign-in",
    "jwks": "JWKS",
}


def number(value):
    """Three digits that mean something."""
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def rate(figure, with_flushes=False):
    """The median, the spread, the flushes; and errors, which make a figure doubtful."""
    if figure is None or not figure.reports:
        return ""
    low, high = figure.spread
    text = number(figure.rate)
    if len(figure.reports) > 1:
        text += f" ({number(low)}–{number(high)})"
    if with_flushes and figure.flushes:
        text += f", {number(figure.flushes)} flushes"
    if figure.errors:
        text += f", **{figure.errors} errors**"
    return text


def ratio(one, other):
    if not one or not other or not one.rate or not other.rate:
        return ""
    return f"**{one.rate / other.rate:.2f}**"


def table(head, rows):
    align = ["---"] + ["---:"] * (len(head) - 1)
    lines = [head, align, *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def speed(rows):
    """Rows of operation, database, and figures by the name of the server."""
    lines = []
    for operation, database, figures in rows:
        grantor, probe, alone = (figures.get(name) for name in ("Grantor", "probe", "probe alone"))
        disk = bool(grantor and grantor.flushes)
        name = OPERATIONS[operation] + (f", {database}" if disk else "")
        lines.append([name, rate(grantor, disk), rate(probe, disk), ratio(grantor, probe), rate(alone, disk)])
    return table(["a second", "Grantor", "probe", "Grantor / probe", "probe without cache and group commit"], lines)


def cost(rows):
    """Processor time of a request, and latency at half the rate that was reached."""
    lines = []
    for operation, database, figures in rows:
        grantor, calm = figures.get("Grantor"), figures.get("calm")
        if not grantor:
            continue
        cells = [f"{OPERATIONS[operation]}, {database}"]
        cells += [number(grantor.median("cpu_micros", who)) for who in ("server", "database", "generator")]
        if calm:
            cells.append(number(calm.median("rate_asked")) + (f", **{calm.errors} errors**" if calm.errors else ""))
            cells += [number(calm.median("latency_ms", which)) for which in ("p50", "p95", "p99", "max")]
        else:
            cells += [""] * 5
        lines.append(cells)
    head = ["Grantor", "server µs", "database µs", "generator µs", "asked a second", "p50 ms", "p95 ms", "p99 ms", "max ms"]
    return table(head, lines)


def peers(own, others):
    """One line a server, one column an operation."""
    columns = ["client-credentials", "introspection", "refresh", "code-flow"]
    lines = []
    for name, figures in [*own, *others]:
        lines.append([name, *(rate(figures.get(column), True) for column in columns)])
    return table(["a second", *(OPERATIONS[column] for column in columns)], lines)


def footprint(rows):
    lines = [[database, number(ready), number(idle), number(loaded)] for database, ready, idle, loaded in rows]
    return table(["Grantor", "ready after ms", "idle MiB", "after the load MiB"], lines)


def write(document, section, text):
    """Between the two comments that name the section."""
    with open(document, encoding="utf-8") as file:
        before = file.read()
    begin, end = f"<!-- {section}: begin -->", f"<!-- {section}: end -->"
    pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
    if not pattern.search(before):
        raise SystemExit(f"{document} has no comments {begin} and {end}")
    with open(document, "w", encoding="utf-8") as file:
        file.write(pattern.sub(lambda _: f"{begin}\n\n{text}\n\n{end}", before, count=1))
