"""The results of a benchmark run as tables: the goals with their verdicts, and the figures behind and beside them.

The first table has every goal, measured or not, so that no missed goal is hidden.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tests.bench.goals import Measured, Verdict, figures_shown, judged, shown
from tests.bench.results import KINDS, Results, figures, ingress_ratio, p99_ratio
from tests.bench.spread import Spread

if TYPE_CHECKING:
    from tests.bench.cost import Cost

Row = tuple[str, ...]
Rows = Iterable[Row]


def verdicts(found: Results) -> list[Verdict]:
    return judged(figures(found))


PERCENTILES = ("p50 ms", "p99 ms", "p99.9 ms")
MET, MISSED = "met", "missed"


def show(found: Results, console: Console) -> None:
    """Print all of it. A measurement that failed has no table of its own; its reason stands at the end."""
    goals = ("what", "goal", "figure", "spread", "verdict")
    for title, columns, rows in (
        ("Goals", goals, map(_goal, verdicts(found))),
        ("End to end", ("who", "payments a second", "CPU s of a thousand", "MB"), _drains(found)),
        ("Ingress", ("who", "callbacks a second", *PERCENTILES), _ingress(found)),
        (
            "Callback to event, beyond the gateway's own time",
            ("processes", "a second", *PERCENTILES),
            _latencies(found),
        ),
        ("The same of healthy gateways", ("beside", *PERCENTILES), _isolation(found)),
        (
            "Known after `kill -9` of who asks, beyond the gateway's time",
            ("bus", "processes that consume", "seconds after the kill", "after the successor was ready"),
            _recoveries(found),
        ),
        ("Idle", ("bus", "% of a core", "wake-ups a second", "MB"), _idle(found)),
        ("What payments cost, from the waiting claim on", ("what", "how much"), _cost(found.cost)),
        ("What payments cost that come at a rate, from the callback on", ("what", "how much"), _cost(found.paced_cost)),
        ("A backlog", ("claims", "seconds", "a second", "by tenths"), _backlog(found)),
        ("Growth", ("payments in the tables", "payments a second", "of the fewest"), _growth(found)),
        ("The sweep", ("payments due", "waiting claims a second", "due a second", *PERCENTILES), _sweep(found)),
    ):
        if told := list(rows):
            _table(console, title, columns, told)
    for failed in found.failed:
        console.print(Text(f"{failed.name}: not measured: {failed.why}", "bold red"))
    console.print(", ".join(f"{name} {number}" for name, number in found.versions.items()))
    console.print(f"{found.began:%Y-%m-%d %H:%M} UTC, {found.seconds / 60:.0f} minutes")


def _table(console: Console, title: str, columns: Sequence[str], rows: Rows) -> None:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, header_style="dim", pad_edge=False)
    for name in columns:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row), style="red" if row[-1] == MISSED else None)
    console.print(table)
    console.print()


def _goal(one: Verdict) -> tuple[str, ...]:
    figure, spread = figures_shown(one.goal, one.figure)
    return one.goal.what, shown(one.goal), figure, spread.partition("\n")[0], MET if one.met else MISSED


def _drains(found: Results) -> Iterator[Row]:
    for name in dict.fromkeys(name for one in found.drains for name in one):
        runs = [one[name] for one in found.drains if name in one]
        rates = _spread([run.per_second for run in runs], "{:,.0f}")
        cpu = _spread([run.cpu_seconds_per_thousand for run in runs], "{:.2f}")
        yield name, rates, cpu, _spread([_megabytes(run.rss_bytes) for run in runs], "{:.0f}")


def _ingress(found: Results) -> Iterator[Row]:
    for name in dict.fromkeys(name for one in found.ingress for name in one):
        runs = [one[name] for one in found.ingress if name in one]
        rates = _spread([run.per_second for run in runs], "{:,.0f}")
        yield name, rates, *_percentiles([run.milliseconds for run in runs])
    for kind in KINDS:
        if isinstance(figure := ingress_ratio(found, kind), Measured):
            yield f"payproof to bare, {kind}", _spread(figure.rounds, "{:.2f}"), "", "", ""


def _latencies(found: Results) -> Iterator[Row]:
    told = [*(one for paced in found.paced for one in paced.values()), *found.latencies]
    for name in dict.fromkeys(one.name for one in told):
        runs = [one for one in told if one.name == name]
        yield name, f"{runs[0].per_second:.0f}", *_percentiles([run.milliseconds for run in runs])
    if isinstance(figure := p99_ratio(found), Measured):
        yield "payproof in one process to bare", "", "", _spread(figure.rounds, "{:.2f}"), ""
    if full := found.saturated:
        rates = _spread([run.per_second for run in full], "{:,.0f}")
        yield (
            f"at saturation, {full[0].buyers} buyers waiting",
            rates,
            *_percentiles([run.milliseconds for run in full]),
        )


def _isolation(found: Results) -> Iterator[Row]:
    if found.isolation is not None:
        yield "healthy ones", *_percentiles(found.isolation.healthy)
        yield "one that answers after 5 s", *_percentiles(found.isolation.beside_slow)


def _recoveries(found: Results) -> Iterator[Row]:
    for one in found.recoveries:
        ready = _spread(one.after_ready, "{:.2f}") if one.after_ready else ""
        yield one.bus, str(one.consumers), _spread(one.after_kill, "{:.2f}"), ready


def _idle(found: Results) -> Iterator[Row]:
    for one in found.idle:
        yield one.bus, f"{one.percent:.2f}", f"{one.wakeups_per_second:.1f}", f"{_megabytes(one.rss_bytes):.0f}"


def _cost(cost: Cost | None) -> Iterator[Row]:
    if cost is None:
        return
    if cost.rate is not None:
        yield "payments a second", f"{cost.rate:g}"
    servers = f"PostgreSQL {cost.postgres_cpu_seconds:.2f}, RabbitMQ {cost.rabbitmq_cpu_seconds:.2f}"
    megabytes, taken = _megabytes(cost.rss_bytes), f"{cost.acknowledged:.2f} acknowledged"
    yield "CPU seconds of a thousand", f"payproof {cost.cpu_seconds:.2f}, {servers}"
    yield f"memory after {cost.payments:,}", f"{megabytes:.0f} MB"
    yield "transactions of one", f"{cost.transactions:.2f}, with {cost.statements:.2f} statements"
    yield "waits for the disk of one", f"{cost.wal_syncs:.2f}"
    yield (
        "WAL of one",
        f"{cost.wal_bytes:,.0f} bytes, {cost.wal_page_bytes:,.0f} of them in {cost.wal_pages:.2f} whole pages",
    )
    yield "AMQP messages of one", f"{cost.published:.2f} published, {cost.delivered:.2f} delivered, {taken}"


def _backlog(found: Results) -> Iterator[Row]:
    if (one := found.backlog) is not None:
        tenths = " ".join(f"{rate:,.0f}" for rate in one.parts)
        yield f"{one.claims:,}", f"{one.seconds:.0f}", f"{one.per_second:,.0f}", tenths


def _growth(found: Results) -> Iterator[Row]:
    for size in () if found.growth is None else found.growth.sizes:
        yield f"{size.settled:,}", _spread(size.rates, "{:,.0f}"), _spread(size.ratios, "{:.2f}")
        if size.held:
            yield f"{size.settled:,}, an old snapshot held", _spread(size.held, "{:,.0f}"), ""


def _sweep(found: Results) -> Iterator[Row]:
    for one in () if found.growth is None else (found.growth.quiet, found.growth.due):
        if one is not None:
            rates = f"{one.waiting_per_second:,.0f}", f"{one.due_per_second:,.0f}"
            yield f"{one.due:,}", *rates, *_percentiles([one.fresh_milliseconds])


def _percentiles(spreads: Sequence[Spread]) -> Row:
    """The percentiles, each the median of the rounds' own."""
    parts = ([one.p50 for one in spreads], [one.p99 for one in spreads], [one.p999 for one in spreads])
    return tuple(_spread(part, "{:,.1f}") for part in parts)


def _spread(values: Sequence[float], written: str) -> str:
    middle, least, most = (written.format(value) for value in (statistics.median(values), min(values), max(values)))
    return f"{middle} ({least} to {most})" if len(values) > 1 else middle


def _megabytes(count: int) -> float:
    return count / 2**20
