"""`deploy/dev soak`: everything runs for long at 60 % of the load that the machine takes, and nothing may creep.

A calibration of a tenth of the time finds that load. Then buyers come at random times, and pay, fail, are refunded or
come twice. Webhooks go to an endpoint that sometimes fails, a subscriber reads over AMQP and another the log, a
dashboard lists payments, a gateway's list is reconciled, retention runs, and Prometheus scrapes. A sample is taken each
minute. The buyers, the shop and the gateways run on the same machine, and their part of its time is not payproof's.
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
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial

import aiohttp
import msgspec
from rich.console import Console

from tests.broker import rabbitmq
from tests.fault.bounds import FULL, FULL_MINUTES, SHORT, beyond
from tests.fault.fleet import ROLES, SETTINGS, Fleet, running_fleet
from tests.fault.judging import PROVIDERS, dead_letters, doubled, ends, everything_told, lost_for_good
from tests.fault.load_found import MOST, arrive, most_a_second
from tests.fault.log_checks import gaps, unheard
from tests.fault.receiver import Receiver, receiving
from tests.fault.sampling import sample
from tests.fault.shoppers import AWAY, Customer, PatientBrowser
from tests.fault.soak_report import show
from tests.fault.soaked import Soaked
from tests.fault.subscriber import QUEUE
from tests.harness import Refused, Stage, ToldEvent, environment, free_ports, staged
from tests.processes import told_until_its_end, until
from tests.prometheus import Prometheus, prometheus
from worker.amqp.topology import claims_queue

SHARE = 0.6
ALL_ROLES = ROLES | {"deliverer": "deliver"}
SCRAPED = {"ingress": "ingress", "consume": "consumer-1", "sweep": "clockwork-1", "deliver": "deliverer"}
HOOK = """
[[merchants.webhooks]]
url = "http://127.0.0.1:{port}/hooks"
secret = "whsec_c29hayBvZiBubyB3b3J0aCBhdCBhbGwgLSBzb2Fr"
"""
SAMPLE_SECONDS, LEAST_SAMPLES = 60.0, 24
LIST_SECONDS = 2.0
RECONCILED = 10
"""How many times in a run."""
RECONCILE_SECONDS = 300.0
REGISTERED_SECONDS = 30.0
"""A shop has registered a payment by then, so that a list up to that time holds no stranger."""
CALIBRATED = 0.1
"""So long, as a part of the run, the calibration's buyers come."""
SETTLE_SECONDS, HOOKS_SECONDS, EMPTY_SECONDS = 300.0, 420.0, 60.0


async def soak(
    fleet: Fleet, monitor: Prometheus, port: int, soaked: Soaked, say: Callable[[str], None], *, most: int = MOST
) -> None:
    """Fill in `soaked`. `port` is that of the endpoint; the calibration uses at most so many buyers."""
    rng, customers, seconds = random.Random(soaked.seed), list[Customer](), 60 * soaked.minutes
    async with (
        fleet.subscriber.listening(),
        staged(fleet) as shared,
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http,
        receiving(port, random.Random(rng.random())) as receiver,
    ):
        browser = PatientBrowser(http)
        stage = msgspec.structs.replace(shared, browser=browser)
        soaked.capacity, buyers = await most_a_second(stage, rng, customers, say, lasts=CALIBRATED * seconds, most=most)
        await _emptied(fleet, soaked, "after the calibration", SETTLE_SECONDS)
        say(f"{soaked.share * soaked.capacity:.1f} payments a second, for {soaked.minutes:g} minutes")
        began = time.monotonic()
        async with asyncio.TaskGroup() as group:
            over = asyncio.Event()
            group.create_task(_sampled(fleet, soaked, began, over, customers, say))
            group.create_task(_again(lambda: _list(stage, http, fleet, soaked), LIST_SECONDS, over))
            group.create_task(_again(lambda: _reconcile(fleet, soaked), seconds / RECONCILED, over))
            soaked.turned_away = await arrive(
                began + seconds, soaked.share * soaked.capacity, 4 * buyers, stage, rng, customers
            )
            over.set()
        soaked.alerts = [str(alert["labels"]) for alert in await asyncio.to_thread(_alerts, monitor)]
        say(f"{len(customers)} payments; waiting for the last to be settled")
        await _judge(fleet, stage, browser, customers, receiver, soaked)
    soaked.deeds, soaked.refused = Counter(one.deed for one in customers), receiver.refused
    soaked.over += beyond(soaked.samples, soaked.bounds)
    soaked.loud = fleet.loud()


async def _judge(
    fleet: Fleet,
    stage: Stage,
    browser: PatientBrowser,
    customers: Sequence[Customer],
    receiver: Receiver,
    soaked: Soaked,
) -> None:
    soaked.verdicts = verdicts = await ends(stage, customers, seconds=SETTLE_SECONDS)
    verdicts.wrong += [f"dead letter: {reason}" for reason in await dead_letters(fleet)]
    told = await everything_told(stage.shop)
    verdicts.lost += await lost_for_good(stage, browser, customers) + gaps(told) + await unheard(fleet, told)
    verdicts.lost += await _undelivered(receiver, told)
    verdicts.doubled += doubled(told) + fleet.subscriber.conflicts + stage.feed.conflicts
    await _emptied(fleet, soaked, "at the end", EMPTY_SECONDS)


async def _emptied(fleet: Fleet, soaked: Soaked, when: str, seconds: float) -> None:
    queues = [*(claims_queue(provider) for provider in PROVIDERS), QUEUE]

    async def empty() -> bool:
        return not any(await fleet.subscriber.waiting(queues))

    try:
        await until(empty, what="empty queues", seconds=seconds)
    except AssertionError:
        soaked.over.append(f"queues are not empty {when}: {await fleet.subscriber.waiting(queues)} in {queues}")


async def _undelivered(receiver: Receiver, told: Sequence[ToldEvent]) -> list[str]:
    """Events of the log that did not come to the endpoint. The second attempt is 5 s later, the third 5 minutes."""

    def all_came() -> bool:
        return all(receiver.came[one.id] for one in told)

    with suppress(AssertionError):
        await until(all_came, what="every event as webhook", seconds=HOOKS_SECONDS)
    return [f"{one.id}: not sent as webhook" for one in told if not receiver.came[one.id]]


async def _sampled(
    fleet: Fleet,
    soaked: Soaked,
    began: float,
    over: asyncio.Event,
    customers: Sequence[Customer],
    say: Callable[[str], None],
) -> None:
    async def take() -> None:
        try:
            one = await sample(fleet, time.monotonic() - began)
        except (TimeoutError, *AWAY) as error:
            soaked.chores["samples that failed"] += 1
            say(f"no sample: {type(error).__name__}")
            return
        soaked.samples.append(one)
        memory = sum(value for name, value in one.memory.items() if name in fleet.members) / 2**20
        rest = f"{memory:.0f} MB, {sum(one.handles.values()):.0f} handles, {one.queued:.0f} queued"
        say(f"{one.at / 60:5.1f} min: {len(customers):,} payments, {rest}")

    await _again(take, min(SAMPLE_SECONDS, 60 * soaked.minutes / LEAST_SAMPLES), over)


async def _list(stage: Stage, http: aiohttp.ClientSession, fleet: Fleet, soaked: Soaked) -> None:
    """A look of the shop's dashboard: the newest payments, the held ones, and the end of an older page."""
    for query in ("?limit=50", "?status=completed&limit=50", "?status=pending&limit=20"):
        headers = {"Authorization": f"Bearer {fleet.key}"}
        with suppress(*AWAY, TimeoutError, Refused):
            async with asyncio.timeout(20), http.get(f"{stage.url}/v1/payments{query}", headers=headers) as answer:
                await answer.read()
                soaked.chores[f"lists answered {answer.status}"] += 1


async def _reconcile(fleet: Fleet, soaked: Soaked) -> None:
    """Compare a gateway's list of the last minutes, as an accountant's timer does."""
    now = datetime.now(UTC) - timedelta(seconds=REGISTERED_SECONDS)
    period = ("--from", (now - timedelta(minutes=5)).isoformat(), "--to", now.isoformat())
    words = ("-P", "-m", "worker.cli", "reconcile", "--account", "shop-shadhinpay", *period)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, *words),
        env=environment() | fleet.settings,
        cwd=fleet.place,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    began = time.monotonic()
    try:
        _, complaint = await told_until_its_end(process, RECONCILE_SECONDS)
    except TimeoutError:
        soaked.chores["reconciliations that took too long"] += 1
        soaked.over.append(f"a reconciliation had not ended after {RECONCILE_SECONDS:g} s")
        return
    soaked.slowest_reconciliation = max(soaked.slowest_reconciliation, time.monotonic() - began)
    soaked.chores[f"reconciliations that ended with {process.returncode}"] += 1
    if process.returncode not in (0, 1):
        soaked.over.append(f"a reconciliation failed: {complaint.decode()[-500:]}")


async def _again(do: Callable[[], Awaitable[None]], seconds: float, over: asyncio.Event) -> None:
    """Do it now and every so many seconds, until `over` is set, and once more then."""
    while not over.is_set():
        await do()
        with suppress(TimeoutError):
            await asyncio.wait_for(over.wait(), seconds)
    await do()


def _alerts(monitor: Prometheus) -> list[dict[str, object]]:
    return [alert for alert in monitor.ask("alerts")["alerts"] if alert["state"] == "firing"]


def run(minutes: float, seed: int, say: Callable[[str], None], *, most: int = MOST, share: float = SHARE) -> Soaked:
    """Start everything, soak it and end it. Blocks."""
    soaked = Soaked(seed=seed, minutes=minutes, share=share, bounds=FULL if minutes >= FULL_MINUTES else SHORT)
    (port,) = free_ports(1)
    brokers = partial(rabbitmq, exports=True)
    with running_fleet(SETTINGS, merchants=HOOK.format(port=port), roles=ALL_ROLES, brokers=brokers) as fleet:
        services = {name: fleet.members[member].ops_url.partition("://")[2] for name, member in SCRAPED.items()}
        with prometheus(services, fleet.broker.exporter) as monitor:
            asyncio.run(soak(fleet, monitor, port, soaked, say, most=most))
    return soaked


def main() -> int:
    parser = argparse.ArgumentParser(prog="deploy/dev soak", description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, default=90.0)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--share", type=float, default=SHARE, help="of the load that the machine takes")
    given = parser.parse_args()
    logging.getLogger("aiormq").setLevel(logging.CRITICAL)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # end the servers, as Ctrl-C does
    seed = secrets.randbits(32) if given.seed is None else given.seed
    aside = Console(stderr=True, highlight=False)
    aside.print(f"seed {seed}: starting a fleet of its own, on loopback ...")
    if given.minutes < FULL_MINUTES:
        aside.print(f"below {FULL_MINUTES:g} minutes the slopes have wide bounds: the processes still warm up")
    soaked = run(given.minutes, seed, aside.print, share=given.share)
    show(soaked, Console(highlight=False))
    return 0 if soaked.held else 1


if __name__ == "__main__":
    sys.exit(main())
