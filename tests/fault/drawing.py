"""Faults drawn at random for the long run: each lasts, ends, and leaves everything started again.

A faulty gateway gives no answer, loses it, or is behind by less than `confirm_end`. No fault makes it lie for long: a
wrong amount is held for a person, which is a correct end that the gateway's books do not show.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

from tests.fault.faults import broker_away, broker_frozen, broker_in_alarm, database_away, killed, terminated
from tests.fault.fleet import Fleet
from tests.harness import CHECKED, Control

SILENCES = ("timeout", "429", "html", "503", "reset", "lost_answer", "slow", "401")
BEHIND = ("not_found", "still_pending")
BETWEEN = ("html_404", "text_404", "json_404")
LONGEST_BEHIND = 2.5
Fault = Callable[[Fleet, Control, random.Random], Awaitable[None]]


async def _killed(fleet: Fleet, _: Control, rng: random.Random) -> None:
    await killed(fleet, rng.choice(list(fleet.members)), away=rng.uniform(0, 3))


async def _terminated(fleet: Fleet, _: Control, rng: random.Random) -> None:
    name = rng.choice(list(fleet.members))
    code = await terminated(fleet, name)
    if code != 0:
        raise AssertionError(f"{name} ended with {code} after SIGTERM")


async def _broker_restarted(fleet: Fleet, _: Control, rng: random.Random) -> None:
    async with broker_away(fleet, kill=rng.random() < 0.5):
        pass


async def _broker_away(fleet: Fleet, _: Control, rng: random.Random) -> None:
    async with broker_away(fleet):
        await asyncio.sleep(rng.uniform(5, 20))


async def _broker_cut(fleet: Fleet, _: Control, __: random.Random) -> None:
    await asyncio.to_thread(fleet.broker.cut_connections)


async def _broker_in_alarm(fleet: Fleet, _: Control, rng: random.Random) -> None:
    async with broker_in_alarm(fleet):
        await asyncio.sleep(rng.uniform(2, 10))


async def _broker_frozen(fleet: Fleet, _: Control, rng: random.Random) -> None:
    async with broker_frozen(fleet):
        await asyncio.sleep(rng.uniform(2, 20))


async def _database_restarted(fleet: Fleet, _: Control, rng: random.Random) -> None:
    async with database_away(fleet, kill=rng.random() < 0.5):
        pass


async def _database_away(fleet: Fleet, _: Control, rng: random.Random) -> None:
    async with database_away(fleet):
        await asyncio.sleep(rng.uniform(2, 10))


async def _both_away(fleet: Fleet, _: Control, rng: random.Random) -> None:
    async with broker_away(fleet), database_away(fleet):
        await asyncio.sleep(rng.uniform(1, 5))


async def _gateway_silent(_: Fleet, control: Control, rng: random.Random) -> None:
    trouble = {"trouble": rng.choice(SILENCES), "on": rng.choice(("status", "any")), "seconds": rng.uniform(1, 3)}
    await control.post("troubles", provider=rng.choice(CHECKED).provider, times=rng.randint(1, 10), **trouble)


async def _gateway_behind(_: Fleet, control: Control, rng: random.Random) -> None:
    """A replica is behind: for a while it knows no payment, or calls every payment pending."""
    await _for_a_while(control, rng, rng.choice(BEHIND), "status", rng.choice(CHECKED).provider)


async def _proxy_answers(_: Fleet, control: Control, rng: random.Random) -> None:
    """A proxy in between answers 404 in its own words, to questions and to Execute."""
    provider = rng.choice(CHECKED).provider
    for on in ("status", "execute"):
        await _for_a_while(control, rng, rng.choice(BETWEEN), on, provider)


async def _for_a_while(control: Control, rng: random.Random, trouble: str, on: str, provider: str) -> None:
    seconds = rng.uniform(0.5, LONGEST_BEHIND)
    body = {"provider": provider, "trouble": trouble, "on": on, "times": None, "lasts": seconds}
    await control.post_whole("troubles", body)
    await asyncio.sleep(seconds)


FAULTS: dict[str, Fault] = {
    "process killed": _killed,
    "process terminated": _terminated,
    "broker restarted or killed": _broker_restarted,
    "broker away": _broker_away,
    "broker's connections cut": _broker_cut,
    "broker's disk full": _broker_in_alarm,
    "broker frozen": _broker_frozen,
    "Postgres restarted or killed": _database_restarted,
    "Postgres away": _database_away,
    "broker and Postgres away": _both_away,
    "gateway gives no answer": _gateway_silent,
    "gateway is behind": _gateway_behind,
    "proxy answers for a gateway": _proxy_answers,
}
