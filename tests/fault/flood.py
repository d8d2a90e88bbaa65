"""`deploy/dev flood`: forged and unsigned requests at full speed while buyers pay; their cost, and who had to wait.

The attackers know half of the buyers' payments and send claims about them too, and about baits that stay unpaid. They
do not know the other half, as a payment's id is the buyer's own ticket. Gateways are asked about the buyers' payments
too, so the bound on calls is what the budget allows in that time, not what the flood would cost without a budget.
Everything stays on loopback and ends by itself.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import secrets
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from itertools import count
from pathlib import Path

import aiohttp
from msgspec import Struct
from rich.console import Console
from rich.table import Table

from tests.harness import CHECKED, Scene, Stage, System, staged
from tests.processes import directory

SETTINGS = """\
return_wait = "1s"

[checks]
claimed = ["1s", "2s", "5s"]
pending = ["5s", "20s", "1m"]
grace = "10m"
give_up = "1h"
"""
RATE = 10.0
BURST_SECONDS = 2.0
AT_ONCE = 1500
BUYERS, BAITS = 100, 100
FEW, MANY = 5, 20_000
SAY_SECONDS = 5.0
BUYER_SECONDS = 300.0


class Outcome(Struct, kw_only=True):
    """The answers that the flood got, and the waits of the buyers. Seconds and bytes."""

    hits: int
    buyers: int
    seconds: float = 0.0
    answers: Counter[str]
    waits: list[float]
    known_waits: list[float]
    calls: Mapping[str, tuple[int, int]] = {}
    before: int = 0
    most: int = 0
    late: list[str]

    @property
    def held(self) -> bool:
        within = all(made <= allowed for made, allowed in self.calls.values())
        return within and not self.late and self.completed == self.buyers

    @property
    def completed(self) -> int:
        return len(self.waits) + len(self.known_waits)

    def table(self) -> Table:
        table = Table(title=f"{self.hits} forged and unsigned hits", title_justify="left")
        table.add_column("what")
        table.add_column("figure", justify="right")
        table.add_row("hits a second", f"{self.hits / self.seconds:.0f}")
        table.add_row("answered", ", ".join(f"{status}: {n}" for status, n in sorted(self.answers.items())))
        table.add_row("buyers who paid meanwhile, and completed", f"{self.completed} of {self.buyers}")
        for whose, waits in (("others'", self.waits), ("flooded themselves", self.known_waits)):
            if waits:
                figures = f"median {statistics.median(waits):.2f} s, longest {max(waits):.2f} s"
                table.add_row(f"from their return to the event, {whose}", figures)
        for name, (made, allowed) in self.calls.items():
            table.add_row(f"calls of {name}, of those its budget allows", f"{made} of {allowed}")
        table.add_row("memory of the service", f"{self.before / 2**20:.0f} MB, at most {self.most / 2**20:.0f} MB")
        return table


async def flood(hits: int, seed: int, console: Console, *, buyers: int = BUYERS) -> Outcome:
    """Start everything in a directory of its own, flood it, and end it."""
    outcome = Outcome(hits=hits, buyers=buyers, answers=Counter(), waits=[], known_waits=[], late=[])
    with directory() as place:
        system = System(place, settings=SETTINGS)
        system._merchants = system._merchants.replace("\nprovider = ", f"\ncalls_per_second = {RATE}\nprovider = ")
        await asyncio.to_thread(system.start)
        try:
            async with staged(system) as stage:
                await _flood(system, stage, outcome, random.Random(seed), console)
        finally:
            await asyncio.to_thread(system.stop)
    return outcome


async def _flood(system: System, stage: Stage, outcome: Outcome, rng: random.Random, console: Console) -> None:
    numbers = count(1)
    scenes = [Scene(stage, CHECKED[number % len(CHECKED)], next(numbers)) for number in range(outcome.buyers + BAITS)]
    for scene in scenes:
        await scene.open()
    targets = _targets(system, [scene for number, scene in enumerate(scenes) if _known(number, outcome)], rng)
    outcome.before = _rss(system.service.pid)
    before = {gateway.provider: await _calls(stage, gateway.provider) for gateway in CHECKED}
    began, over = time.monotonic(), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        buyers = [
            group.create_task(_buys(scene, number, outcome)) for number, scene in enumerate(scenes[: outcome.buyers])
        ]
        group.create_task(_watch(system, outcome, over, console))
        await _hit(targets, outcome)
        outcome.seconds = time.monotonic() - began
        await asyncio.wait(buyers)
        over.set()
    seconds = time.monotonic() - began
    outcome.calls = {
        gateway.name: (await _calls(stage, gateway.provider) - before[gateway.provider], _allowed(seconds))
        for gateway in CHECKED
    }


def _known(number: int, outcome: Outcome) -> bool:
    """Whether the attackers know this payment: the baits, and every second round of buyers through the gateways."""
    return number >= outcome.buyers or number // len(CHECKED) % 2 == 1


def _allowed(seconds: float) -> int:
    """The calls that the budget allows in that time, with saved calls and the debt of questions in flight."""
    return int(RATE * (seconds + BURST_SECONDS)) + 5


def _targets(system: System, scenes: list[Scene], rng: random.Random) -> Callable[[], tuple[str, str, dict[str, str]]]:
    """Draws the next request of an attacker: method, address and headers."""

    def draw() -> tuple[str, str, dict[str, str]]:
        host = rng.randrange(FEW) if rng.random() < 0.2 else FEW + rng.randrange(MANY)
        headers = {"X-Forwarded-For": f"198.{18 + host // 65536}.{host // 256 % 256}.{host % 256}"}
        scene, kind = rng.choice(scenes), rng.random()
        account, payment_id = scene.gateway.account, scene.payment["payment_id"]
        if kind < 0.6:
            return "GET", f"{system.url}/return/{account}/{payment_id}/{rng.choice(('success', 'failure'))}", headers
        if kind < 0.8:
            nobodys = "".join(rng.choices("0123456789abcdefghijklmnopqrstuvwxyz", k=26))
            return "GET", f"{system.url}/return/{account}/pay_{nobodys}/success", headers
        if kind < 0.95:
            return "POST", f"{system.url}/webhooks/shop-{rng.choice(('shadhinpay', 'moneybag'))}", headers
        query = f"transaction_id=txn{rng.getrandbits(128):032x}&status=SUCCESS&order_id={scene.payment['reference']}"
        return "GET", f"{system.url}/ipn/{account}/{payment_id}?{query}", headers

    return draw


async def _hit(draw: Callable[[], tuple[str, str, dict[str, str]]], outcome: Outcome) -> None:
    connector = aiohttp.TCPConnector(limit=AT_ONCE)
    timeout = aiohttp.ClientTimeout(total=60)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as http:
        left = count()

        async def one_after_the_other() -> None:
            while next(left) < outcome.hits:
                method, url, headers = draw()
                try:
                    async with http.request(method, url, headers=headers, data=b"{}", allow_redirects=False) as answer:
                        await answer.read()
                        outcome.answers[str(answer.status)] += 1
                except (aiohttp.ClientError, OSError, TimeoutError) as error:
                    outcome.answers[type(error).__name__] += 1

        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(one_after_the_other())


async def _buys(scene: Scene, number: int, outcome: Outcome) -> None:
    """A buyer pays some time into the flood and returns; the wait ends with the event."""
    await asyncio.sleep(number * 0.3)
    try:
        returned = await scene.at_gateway("pay", webhook=False)
        began = time.time()
        await scene.stage.browser.visit(returned)
        payment_id = scene.payment["payment_id"]

        def told(events: list) -> bool:
            return any(event.word == "completed" for event in events)

        await scene.stage.feed.until(payment_id, told, seconds=BUYER_SECONDS)
        (event,) = [one for one in scene.stage.feed.by_payment[payment_id] if one.word == "completed"]
        waits = outcome.known_waits if _known(number, outcome) else outcome.waits
        waits.append(max(0.0, event.time.timestamp() - began))
    except Exception as error:  # noqa: BLE001 - whatever kept a buyer from it is the finding
        outcome.late.append(f"{scene.gateway.name} {scene.payment.get('payment_id')}: {type(error).__name__} {error}")


async def _watch(system: System, outcome: Outcome, over: asyncio.Event, console: Console) -> None:
    while not over.is_set():
        outcome.most = max(outcome.most, _rss(system.service.pid))
        console.print(f"{outcome.answers.total()} hits, {outcome.completed} of {outcome.buyers} buyers completed")
        try:
            await asyncio.wait_for(over.wait(), SAY_SECONDS)
        except TimeoutError:
            continue


async def _calls(stage: Stage, provider: str) -> int:
    """The number of questions and Executes; opening a checkout is the shop's call."""
    by = (await stage.control.get("calls", provider=provider))["by"]
    return int(by["status"] + by["execute"])


def _rss(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))


def main() -> int:
    parser = argparse.ArgumentParser(prog="deploy/dev flood")
    parser.add_argument("--hits", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=secrets.randbits(32))
    words = parser.parse_args()
    console = Console(highlight=False)
    console.print(f"seed {words.seed}")
    outcome = asyncio.run(flood(words.hits, words.seed, console))
    console.print(outcome.table())
    for line in outcome.late:
        console.print(line)
    return 0 if outcome.held else 1


if __name__ == "__main__":
    sys.exit(main())
