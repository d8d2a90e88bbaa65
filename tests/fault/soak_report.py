"""The table that `deploy/dev soak` prints."""

from __future__ import annotations

from msgspec.structs import asdict
from rich.console import Console
from rich.table import Table

from tests.fault.bounds import KINDS, MB, halves, slopes
from tests.fault.soaked import Soaked

SHOWN = 20


def show(soaked: Soaked, console: Console) -> None:
    samples = soaked.samples
    first, last = samples[0], samples[-1]
    table = Table(title=f"{last.at / 60:.0f} minutes, seed {soaked.seed}", title_justify="left")
    table.add_column("what")
    table.add_column("figure", justify="right")
    table.add_row("payments a second that the machine takes", f"{soaked.capacity:.1f}")
    table.add_row("payments a second that came", f"{soaked.share * soaked.capacity:.1f}")
    table.add_row("payments, with those of the calibration", f"{soaked.deeds.total():,}")
    table.add_row("buyers who could not come", str(soaked.turned_away))
    table.add_row("webhooks that the endpoint refused", str(soaked.refused))
    for chore, times in sorted(soaked.chores.items()):
        table.add_row(chore, str(times))
    table.add_row("the slowest reconciliation", f"{soaked.slowest_reconciliation:.0f} s")
    for kind in KINDS:
        for name, slope in slopes(samples, kind).items():
            values = getattr(first, kind)[name], getattr(last, kind)[name]
            unit, per = ("MB", MB) if kind == "memory" else ("", 1)
            figure = f"{values[0] / per:,.0f} to {values[1] / per:,.0f} {unit}"
            error = f"{slope.per_hour / per:+,.1f} ± {slope.error / per:,.1f} an hour"
            table.add_row(f"{kind} of {name}", f"{figure.strip()}; {error}")
    for name, used in last.cpu.items():
        if name in first.cpu:
            payments = max(1, last.payments - first.payments)
            table.add_row(f"processor of {name}", f"{(used - first.cpu[name]) / payments * 1000:.1f} ms a payment")
    early, late = halves(samples)
    for name in ("tables", "indexes", "wal"):
        table.add_row(f"{name}: bytes of a payment, early and late", f"{early[name]:,.0f}, {late[name]:,.0f}")
    name, most = max(
        ((name, held.dead) for one in samples for name, held in one.tables.items()), key=lambda found: found[1]
    )
    table.add_row("dead rows at most", f"{most:,} in {name}")
    table.add_row(
        "messages queued at most, and at the end", f"{max(one.queued for one in samples):.0f}, {last.queued:.0f}"
    )
    for name, found in asdict(soaked.verdicts).items():
        table.add_row(name, str(len(found)))
    table.add_row("alerts that fired at the end", str(len(soaked.alerts)))
    table.add_row("errors logged", str(len(soaked.loud)))
    table.add_row("bounds broken", str(len(soaked.over)))
    console.print(table)
    told = (*asdict(soaked.verdicts).items(), ("bound", soaked.over), ("alert", soaked.alerts), ("log", soaked.loud))
    for name, found in told:
        for one in found[:SHOWN]:
            console.print(f"{name}: {one}", markup=False, soft_wrap=True)
