"""The sandbox's clock, and how long checkouts live by it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from msgspec import Meta, Struct

from worker.playground.sandbox.control.read_request import LONGEST_STEP, Body, Seconds, WrongControl
from worker.playground.sandbox.control.routing import Asked, Route
from worker.playground.sandbox.pace import set_pace
from worker.playground.sandbox.sandbox import Sandbox
from worker.playground.sandbox.sandbox_config import GATEWAYS, Provider
from worker.playground.sandbox.times import iso_ms_z

EARLIEST, LATEST = (datetime(year, 1, 1, tzinfo=UTC).timestamp() for year in (2000, 2100))


class Clock(Body, frozen=True, kw_only=True):
    """The clock stays between the years 2000 and 2100."""

    advance_seconds: Annotated[float, Meta(ge=-LONGEST_STEP, le=LONGEST_STEP)]


class Lifetime(Body, frozen=True, kw_only=True):
    """Checkouts opened from now on under this reference live so long."""

    provider: Provider
    reference: str
    seconds: Annotated[float, Meta(gt=0, le=LONGEST_STEP)]


class Pace(Body, frozen=True, kw_only=True):
    """Every call to the gateway, or (null) to all, takes from `least` to `most` seconds before anything happens."""

    provider: Provider | None = None
    least: Seconds
    most: Seconds


class Now(Struct, frozen=True, kw_only=True):
    now: str
    offset_seconds: float


class Set(Struct, frozen=True, kw_only=True):
    """An empty answer."""


async def _clock(sandbox: Sandbox, asked: Asked) -> Now:
    clock: Clock = asked.said
    if not EARLIEST <= sandbox.state.now() + clock.advance_seconds <= LATEST:
        raise WrongControl("advance_seconds", "leads out of the years 2000 to 2100")
    with sandbox.state.transaction():
        sandbox.state.advance(clock.advance_seconds)
    sandbox.expire()
    return Now(now=iso_ms_z(sandbox.state.now()), offset_seconds=float(sandbox.state.setting("offset") or 0))


async def _lifetime(sandbox: Sandbox, asked: Asked) -> Set:
    lifetime: Lifetime = asked.said
    sandbox.state.set(f"lifetime {lifetime.provider} {lifetime.reference}", repr(lifetime.seconds))
    return Set()


async def _pace(sandbox: Sandbox, asked: Asked) -> Set:
    pace: Pace = asked.said
    if pace.least > pace.most:
        raise WrongControl("most", "is less than least")
    with sandbox.state.transaction():
        for provider in GATEWAYS if pace.provider is None else (pace.provider,):
            set_pace(sandbox.state, provider, pace.least, pace.most)
    return Set()


ROUTES = (
    Route(
        method="POST",
        path="/_control/clock",
        name="advanceClock",
        summary="Move the sandbox's clock: checkouts expire and tokens end by it; webhooks and scheduled deeds wait "
        "in real time",
        body=Clock,
        answers=Now,
        do=_clock,
        example={"advance_seconds": 901},
    ),
    Route(
        method="POST",
        path="/_control/lifetime",
        name="setLifetime",
        summary="Let the checkouts of an order live longer or shorter than the gateway says",
        body=Lifetime,
        answers=Set,
        do=_lifetime,
        example={"provider": "moneybag", "reference": "order-7831", "seconds": 5},
    ),
    Route(
        method="POST",
        path="/_control/pace",
        name="setPace",
        summary="Let a gateway take its time for every answer, shorter times as often as longer ones in proportion",
        body=Pace,
        answers=Set,
        do=_pace,
        example={"provider": "moneybag", "least": 0.2, "most": 5},
    ),
)
