"""Troubles of calls, set on purpose, and the number of calls."""

from __future__ import annotations

import time
from typing import Annotated, Literal, get_args

from msgspec import Meta, Struct

from worker.playground.sandbox.control.read_request import About, Body, Seconds
from worker.playground.sandbox.control.routing import Asked, Route
from worker.playground.sandbox.gateway_call import Kind
from worker.playground.sandbox.granted_tokens import revoke_tokens
from worker.playground.sandbox.sandbox import Sandbox
from worker.playground.sandbox.sandbox_config import Provider
from worker.playground.sandbox.simulated_gateway import Impossible
from worker.playground.sandbox.troubles import FALSIFIES, Name, Trouble

Times = Annotated[int, Meta(ge=1, le=1_000_000)]


class NewTrouble(Body, frozen=True, kw_only=True):
    """On calls of one kind, of one reference or (null) all; times null lasts until cleared; `skip` calls pass first.

    It ends by itself after `lasts` seconds, where given.
    """

    provider: Provider
    trouble: Name
    on: Kind | Literal["any"] = "any"
    reference: str | None = None
    seconds: Seconds | None = None
    times: Times | None = 1
    skip: Annotated[int, Meta(ge=0, le=1_000_000)] = 0
    lasts: Seconds | None = None


class Troubles(Struct, frozen=True, kw_only=True):
    troubles: list[Trouble]


class Cleared(Struct, frozen=True, kw_only=True):
    cleared: int


class Revoked(Struct, frozen=True, kw_only=True):
    revoked: int


class Calls(Struct, frozen=True, kw_only=True):
    """How many calls came, answered or not, in total and by kind."""

    total: int
    by: dict[Kind, int]


async def _troubles(sandbox: Sandbox, asked: Asked) -> Troubles:
    about: About = asked.said
    return Troubles(
        troubles=[
            trouble
            for trouble in sandbox.troubles.all()
            if about.provider in (None, trouble.provider) and about.reference in (None, trouble.reference)
        ]
    )


async def _add(sandbox: Sandbox, asked: Asked) -> Troubles:
    new: NewTrouble = asked.said
    if new.trouble in FALSIFIES and new.trouble not in sandbox.gateways[new.provider].tampers:
        raise Impossible(f"no answer of {new.provider} can be changed by {new.trouble}")
    until = None if new.lasts is None else time.time() + new.lasts
    about = (new.provider, new.reference, new.on, new.trouble)
    sandbox.troubles.add(*about, seconds=new.seconds, times=new.times, skip=new.skip, until=until)
    return Troubles(troubles=sandbox.troubles.all())


async def _clear(sandbox: Sandbox, asked: Asked) -> Cleared:
    about: About = asked.said
    return Cleared(cleared=sandbox.troubles.clear(about.provider, about.reference))


async def _calls(sandbox: Sandbox, asked: Asked) -> Calls:
    about: About = asked.said
    rows = sandbox.state.db.execute(
        "SELECT kind, sum(n) AS n FROM calls WHERE provider = coalesce(?, provider) "
        "AND reference = coalesce(?, reference) GROUP BY kind",
        (about.provider, about.reference),
    )
    by: dict[Kind, int] = dict.fromkeys(get_args(Kind), 0) | {row["kind"]: row["n"] for row in rows}
    return Calls(total=sum(by.values()), by=by)


async def _revoke(sandbox: Sandbox, asked: Asked) -> Revoked:
    del asked
    return Revoked(revoked=revoke_tokens(sandbox.state))


_ORDER = {"provider": "moneybag", "reference": "order-7831"}
ROUTES = (
    Route(
        method="GET",
        path="/_control/troubles",
        name="listTroubles",
        summary="Troubles that are set and not used up",
        query=About,
        answers=Troubles,
        do=_troubles,
        example=_ORDER,
    ),
    Route(
        method="POST",
        path="/_control/troubles",
        name="addTrouble",
        summary="Let calls to a gateway go wrong; the oldest trouble that fits a call is used first",
        body=NewTrouble,
        answers=Troubles,
        do=_add,
        example=_ORDER | {"on": "status", "trouble": "503", "times": 2},
        problems=frozenset({409}),
    ),
    Route(
        method="DELETE",
        path="/_control/troubles",
        name="clearTroubles",
        summary="End troubles and scripts that wait",
        query=About,
        answers=Cleared,
        do=_clear,
        example=_ORDER,
    ),
    Route(
        method="GET",
        path="/_control/calls",
        name="countCalls",
        summary="How often a gateway was called; a grant belongs to no reference",
        query=About,
        answers=Calls,
        do=_calls,
        example=_ORDER,
    ),
    Route(
        method="POST",
        path="/_control/revoke_tokens",
        name="revokeTokens",
        summary="Refuse every token granted so far, at every gateway",
        answers=Revoked,
        do=_revoke,
    ),
)
