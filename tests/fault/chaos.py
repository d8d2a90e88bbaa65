"""`deploy/dev chaos`: a table of what fails and how, and the seconds until the flow goes on, while buyers pay.

Each row begins a fault, lets it last, ends it, and waits until payments that were opened after its start are completed,
and told over AMQP and by webhook. A payment counts for the row during which it was opened. At the end every payment has
the outcome that the gateway's own books say, or it is counted as lost, doubled or wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import random
import secrets
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import msgspec
from rich.console import Console

from tests.fault.judging import dead_letters, doubled, ends, everything_told, lost_for_good
from tests.fault.load import Load, shopping
from tests.fault.log_checks import gaps, unheard
from tests.fault.rows import Row, node_rows, rows
from tests.fault.site import Site, built
from tests.processes import until

FLOW_SECONDS = 120.0
SETTLE_SECONDS = 180.0
TOLD_SECONDS = 75.0
GUIDE = Path(__file__).parents[2] / "deploy" / "guide" / "chaos.md"
HEAD = """\
# Chaos

Each row is a fault in a running installation of a process for each role, while eight buyers pay at simulated gateways.
`deploy/dev chaos --write --note "a word on the machine"` makes this table, and leaves what stands below it.
Made on {day} on a machine with {cores} cores{note}, seed {seed}.

- "lasted" is how long the fault was there, until everything ran again. A node or process that is killed has to start.
- "flow" is the time from when the fault was there until four payments that were opened after that were completed, and
  written to the log, published to RabbitMQ and delivered by webhook. Where nothing can flow during the fault, it
  includes the fault.
- "lost", "doubled" and "wrong" count the payments that were opened during the row, and their events, against the books
  of the gateways. They must be 0.
- "kill" is `kill -9`, and a supervisor starts the process again after 3 s; of a network, its connections end and new
  ones are refused. "stop" is SIGSTOP; of a network, nothing is carried and nothing is closed. "slow" leaves a process a
  tenth of its time; a network delays each piece by 0.1 s.
- One node of three: RabbitMQ 3.10 with `net_ticktime = 8`.

| what | how | lasted, s | flow, s | payments | lost | doubled | wrong |
|---|---|---|---|---|---|---|---|
"""


class Outcome(msgspec.Struct):
    """What came of a row; `flow` is None where the flow did not go on. `lost`, `doubled` and `wrong` say what is.

    `loud` are the log events that should wake a person, such as a process that crashed.
    """

    row: Row
    lasted: float = 0.0
    flow: float | None = None
    payments: frozenset[str] = frozenset()
    lost: list[str] = msgspec.field(default_factory=list)
    doubled: list[str] = msgspec.field(default_factory=list)
    wrong: list[str] = msgspec.field(default_factory=list)
    loud: Sequence[str] = ()

    @property
    def held(self) -> bool:
        return self.flow is not None and not (self.lost or self.doubled or self.wrong or self.loud)

    def line(self) -> str:
        flow = "never" if self.flow is None else f"{self.flow:.1f}"
        counts = (len(self.payments), len(self.lost), len(self.doubled), len(self.wrong))
        return (
            f"| {self.row.what} | {self.row.how} | {self.lasted:.1f} | {flow} | " + " | ".join(map(str, counts)) + " |"
        )


async def play(site: Site, table: Sequence[Row], seed: int, say: Console) -> list[Outcome]:
    """Every row, one after the other, under one load. Returns their outcomes."""
    outcomes = list[Outcome]()
    async with shopping(site.fleet, random.Random(seed)) as load:
        for row in table:
            outcomes.append(await _suffer(site, load, row))
            say.print(f"{len(outcomes)} of {len(table)} {outcomes[-1].line()}", markup=False, highlight=False)
        async with load.served():
            say.print(f"{len(load.customers)} payments; waiting for the last to be settled")
            await _judge(site, load, outcomes)
    return outcomes


async def _suffer(site: Site, load: Load, row: Row) -> Outcome:
    opened = len(load.customers)
    async with row.fault(site):
        began = time.monotonic()
        flowing = asyncio.create_task(load.flows_again(site, seconds=FLOW_SECONDS))
        await asyncio.sleep(row.seconds)
    outcome = Outcome(row, lasted=time.monotonic() - began)
    await asyncio.to_thread(site.fleet.restore)
    with suppress(AssertionError):
        outcome.flow = await flowing
    outcome.loud = site.fleet.loud()
    outcome.payments = frozenset(one.payment_id for one in load.customers[opened:])
    return outcome


async def _judge(site: Site, load: Load, outcomes: Sequence[Outcome]) -> None:
    fleet, stage = site.fleet, load.stage
    verdicts = await ends(stage, load.customers, seconds=SETTLE_SECONDS)
    verdicts.wrong += [f"dead letter: {reason}" for reason in await dead_letters(fleet)]
    told = await everything_told(stage.shop)
    lost = [*verdicts.lost, *await lost_for_good(stage, load.browser, load.customers), *gaps(told)]
    lost += await unheard(fleet, told)
    with suppress(AssertionError):
        await until(lambda: site.webhooks() >= {one.id for one in told}, what="every webhook", seconds=TOLD_SECONDS)
    lost += [f"{one.id}: not by webhook" for one in told if one.id not in site.webhooks()]
    twice = [*verdicts.doubled, *doubled(told), *fleet.subscriber.conflicts, *stage.feed.conflicts]
    wrong = [*verdicts.wrong, *verdicts.silent, *verdicts.held]
    for kind, found in (("lost", lost), ("doubled", twice), ("wrong", wrong)):
        for said in found:
            row = next((one for one in outcomes if any(payment in said for payment in one.payments)), outcomes[0])
            getattr(row, kind).append(said)


async def run(table: Sequence[Row], nodes: Sequence[Row], seed: int, say: Console) -> list[Outcome]:
    """The rows of both sites, one site after the other."""
    outcomes = list[Outcome]()
    for some, clustered in ((table, False), (nodes, True)):
        if some:
            async with built(clustered=clustered) as site:
                outcomes += await play(site, some, seed, say)
    return outcomes


def below_table(guide: str) -> str:
    """What stands below the last row of the guide's table: notes that a person wrote."""
    *_, last = (line for line in guide.splitlines(keepends=True) if line.startswith("|"))
    return guide.rpartition(last)[2]


def main() -> int:
    parser = argparse.ArgumentParser(prog="deploy/dev chaos", description=__doc__.split("\n")[0])
    parser.add_argument(
        "--only", metavar="WORDS", nargs="+", default=[""], help="the rows whose name holds one of these"
    )
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--write", action="store_true", help=f"write {GUIDE.name} of the guide")
    parser.add_argument("--note", default="", help="a word on the machine, for the guide")
    given = parser.parse_args()
    logging.getLogger("aiormq").setLevel(logging.CRITICAL)  # the subscriber's broker goes away on purpose
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # end the servers, as Ctrl-C does
    seed = secrets.randbits(32) if given.seed is None else given.seed
    say = Console(stderr=True)
    say.print(f"seed {seed}: starting an installation of its own, on loopback ...")

    def chosen(some: Sequence[Row]) -> list[Row]:
        return [row for row in some if any(words in f"{row.what} {row.how}" for words in given.only)]

    outcomes = asyncio.run(run(chosen(rows()), chosen(node_rows()), seed, say))
    for one in outcomes:
        print(one.line())
        for said in (*one.lost, *one.doubled, *one.wrong, *one.loud):
            say.print(said, markup=False, highlight=False, soft_wrap=True)
    if given.write:
        note = given.note and f" ({given.note})"
        head = HEAD.format(day=time.strftime("%Y-%m-%d"), cores=os.cpu_count(), note=note, seed=seed)
        made = head + "".join(f"{one.line()}\n" for one in outcomes)
        GUIDE.write_text(made + below_table(GUIDE.read_text()))
    return 0 if all(one.held for one in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
