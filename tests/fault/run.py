"""`deploy/dev fault`: buyers pay while faults of every kind come at random, and each payment ends as the books say.

Its gateways take 0.2 to 5 s for every answer, and half of the orders have a trouble of their own. Time is not hurried
here, so the last payments take as long as the leases of dead processes: half a minute, and a minute and more for an
Execute. The slowest recovery in the table is a maximum, not an average, and it is measured from the start of a fault.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import random
import secrets
import signal
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress

import aiohttp
import msgspec
from msgspec import field
from msgspec.structs import asdict
from rich.console import Console
from rich.table import Table

from tests.fault.drawing import FAULTS
from tests.fault.fleet import Fleet, running_fleet
from tests.fault.judging import dead_letters, doubled, ends, everything_told, lost_for_good
from tests.fault.log_checks import gaps, unheard
from tests.fault.recovering import Spell, slowest_recovery
from tests.fault.shoppers import Customer, PatientBrowser, shop_until
from tests.fault.verdicts import Verdicts
from tests.harness import Stage, staged

BUYERS = 32
PACE = {"least": 0.2, "most": 5.0}
PAUSE = (2.0, 10.0)
SAY_SECONDS = 5.0
SETTLE_SECONDS = 300.0
SHOWN = 20
WORDS = {"held": "held without cause"}


class Tally(msgspec.Struct):
    """What happened during the run; each list has an entry for each occurrence."""

    seed: int
    faults: Counter[str]
    spells: list[Spell]
    verdicts: Verdicts = field(default_factory=Verdicts)
    deeds: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    recovery: float = 0.0
    loud: Sequence[str] = ()

    @property
    def held(self) -> bool:
        return not self.verdicts.all


async def run(fleet: Fleet, payments: int, minutes: float, seed: int, say: Console) -> Tally:
    rng, began, over = random.Random(seed), time.monotonic(), asyncio.Event()
    tally, customers = Tally(seed, Counter(), []), list[Customer]()
    async with (
        fleet.subscriber.listening(),
        staged(fleet) as shared,
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http,
    ):
        browser = PatientBrowser(http)
        stage = msgspec.structs.replace(shared, browser=browser)
        await stage.control.post("pace", **PACE)
        async with asyncio.TaskGroup() as going:
            for _ in range(BUYERS):
                going.create_task(shop_until(over, stage, random.Random(rng.random()), customers))
            faults = going.create_task(_inject(fleet, stage, random.Random(rng.random()), tally, over))
            while len(customers) < payments and time.monotonic() - began < 60 * minutes and not faults.done():
                await asyncio.wait({faults}, timeout=SAY_SECONDS)
                say.print(f"{len(customers)} payments, {tally.faults.total()} faults")
            over.set()
        await asyncio.to_thread(fleet.restore)
        say.print(f"{len(customers)} payments, {tally.faults.total()} faults; waiting for the last to be settled")
        tally.verdicts = verdicts = await ends(stage, customers, seconds=SETTLE_SECONDS)
        verdicts.wrong += [f"dead letter: {reason}" for reason in await dead_letters(fleet)]
        told = await everything_told(stage.shop)
        verdicts.lost += await lost_for_good(stage, browser, customers) + gaps(told) + await unheard(fleet, told)
        verdicts.doubled += doubled(told) + fleet.subscriber.conflicts + stage.feed.conflicts
        tally.recovery = slowest_recovery(tally.spells, browser.acknowledged_at, told)
    tally.deeds = Counter(one.deed for one in customers)
    tally.seconds, tally.loud = time.monotonic() - began, fleet.loud()
    return tally


async def _inject(fleet: Fleet, stage: Stage, rng: random.Random, tally: Tally, over: asyncio.Event) -> None:
    """Inject one fault after the other until `over` is set. Each kind comes once before any comes again."""
    kinds: list[str] = []
    while not over.is_set():
        kinds = kinds or rng.sample(list(FAULTS), len(FAULTS))
        kind, begun = kinds.pop(), time.time()
        await FAULTS[kind](fleet, stage.control, rng)
        await asyncio.to_thread(fleet.restore)
        tally.faults[kind] += 1
        tally.spells.append(Spell(kind, begun, time.time()))
        with suppress(TimeoutError):
            await asyncio.wait_for(over.wait(), rng.uniform(*PAUSE))


def show(tally: Tally, console: Console) -> None:
    table = Table(title=f"{tally.seconds:.0f} s, seed {tally.seed}", title_justify="left")
    table.add_column("what")
    table.add_column("how many", justify="right")
    table.add_row("payments", str(tally.deeds.total()))
    for deed, times in sorted(tally.deeds.items()):
        table.add_row(f"  {deed}", str(times))
    table.add_row("faults injected", str(tally.faults.total()))
    for kind, times in sorted(tally.faults.items()):
        table.add_row(f"  {kind}", str(times))
    for name, found in asdict(tally.verdicts).items():
        table.add_row(WORDS.get(name, name), str(len(found)))
    table.add_row("slowest recovery, from the start of a fault", f"{tally.recovery:.1f} s")
    table.add_row("errors logged", str(len(tally.loud)))
    console.print(table)
    for name, found in (*asdict(tally.verdicts).items(), ("log", tally.loud)):
        for one in found[:SHOWN]:
            console.print(f"{WORDS.get(name, name)}: {one}", markup=False, highlight=False, soft_wrap=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="deploy/dev fault", description=__doc__.split("\n")[0])
    parser.add_argument("--payments", type=int, default=1000, help="end after so many payments ended")
    parser.add_argument("--minutes", type=float, default=30.0, help="or after this time, if that is earlier")
    parser.add_argument("--seed", type=int, default=None)
    given = parser.parse_args()
    logging.getLogger("aiormq").setLevel(logging.CRITICAL)  # the subscriber's broker goes away on purpose
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # end the servers, as Ctrl-C does
    seed = secrets.randbits(32) if given.seed is None else given.seed
    console = Console(stderr=True)
    console.print(f"seed {seed}: starting a fleet of its own, on loopback ...")
    with running_fleet() as fleet:
        tally = asyncio.run(run(fleet, given.payments, given.minutes, seed, console))
    show(tally, Console())
    return 0 if tally.held else 1


if __name__ == "__main__":
    sys.exit(main())
