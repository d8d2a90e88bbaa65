"""The sandbox as a whole: its reset."""

from __future__ import annotations

from msgspec import Struct

from worker.playground.sandbox.control.read_request import Body
from worker.playground.sandbox.control.routing import Asked, Route
from worker.playground.sandbox.sandbox import Sandbox
from worker.playground.sandbox.sandbox_config import GATEWAYS, Provider


class Reset(Body, frozen=True, kw_only=True):
    """With a seed, ids begin anew with it: the same calls get the same ids. Without, no id is given out again."""

    seed: int | None = None


class WasReset(Struct, frozen=True, kw_only=True):
    reset: list[Provider]


async def _reset(sandbox: Sandbox, asked: Asked) -> WasReset:
    reset: Reset = asked.said
    sandbox.state.reset(reset.seed)
    return WasReset(reset=list(GATEWAYS))


ROUTES = (
    Route(
        method="POST",
        path="/_control/reset",
        name="reset",
        summary="Forget everything: orders, troubles, webhooks, settings. With a seed the ids begin anew too",
        body=Reset,
        answers=WasReset,
        do=_reset,
        example={"seed": 7},
    ),
)
