"""The scripts: their list, setting a script for an order, and what the sandbox does later by itself."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from worker.playground.sandbox.control.read_request import About, Body, Seconds, WrongControl
from worker.playground.sandbox.control.routing import Asked, Route
from worker.playground.sandbox.control.trouble_routes import Troubles
from worker.playground.sandbox.sandbox import Sandbox
from worker.playground.sandbox.sandbox_config import GATEWAYS, Provider
from worker.playground.sandbox.scheduled import Does
from worker.playground.sandbox.scripted import set_script
from worker.playground.sandbox.scripts import BY_NAME, SCRIPTS
from worker.playground.sandbox.times import iso_ms_z

ScriptName = Annotated[str, Meta(extra_json_schema={"enum": list(BY_NAME)})]


class NewScript(Body, frozen=True, kw_only=True):
    """For one order, before or after its checkout is opened. `seconds` only where the script has some."""

    provider: Provider
    reference: Annotated[str, Meta(min_length=1)]
    script: ScriptName
    seconds: Seconds | None = None


class AtGateway(Body, frozen=True, kw_only=True):
    provider: Provider | None = None


class ShownScript(Struct, frozen=True, kw_only=True):
    """`seconds` is the default; null where the script takes none."""

    script: str
    title: str
    what: str
    gateways: list[Provider]
    seconds: float | None


class Scripts(Struct, frozen=True, kw_only=True):
    scripts: list[ShownScript]


class ShownScheduled(Struct, frozen=True, kw_only=True):
    """`detail`: the address, transaction id or amount.

    `result`: a visit's HTTP status (0: no answer), or the reason.
    """

    provider: Provider
    reference: str
    does: Does
    detail: str | None
    due_at: str
    state: Literal["due", "done", "impossible"]
    result: str | None


class Scheduled(Struct, frozen=True, kw_only=True):
    scheduled: list[ShownScheduled]


def scripts_of(sandbox: Sandbox, provider: str | None = None) -> list[ShownScript]:
    """The table as the API shows it; with a provider, the scripts that fit it."""
    told = [
        ShownScript(
            script=script.name,
            title=script.title,
            what=script.what,
            gateways=[name for name in GATEWAYS if script.fits(sandbox.gateways[name])],
            seconds=script.seconds,
        )
        for script in SCRIPTS
    ]
    return [script for script in told if provider is None or provider in script.gateways]


async def _scripts(sandbox: Sandbox, asked: Asked) -> Scripts:
    at: AtGateway = asked.said
    return Scripts(scripts=scripts_of(sandbox, at.provider))


async def _set_script(sandbox: Sandbox, asked: Asked) -> Troubles:
    new: NewScript = asked.said
    script = BY_NAME.get(new.script)
    if script is None:
        raise WrongControl("script", f"is none of {', '.join(BY_NAME)}")
    if new.seconds is not None and (script.seconds is None or new.seconds == 0):
        raise WrongControl("seconds", "are more than 0" if script.seconds else f"{script.name} takes none")
    with sandbox.state.transaction():
        return Troubles(troubles=set_script(sandbox, new.provider, new.reference, script, seconds=new.seconds))


async def _scheduled(sandbox: Sandbox, asked: Asked) -> Scheduled:
    about: About = asked.said
    rows = sandbox.state.db.execute(
        "SELECT provider, reference, does, detail, due_at, state, result FROM scheduled "
        "WHERE provider = coalesce(?, provider) AND reference = coalesce(?, reference) ORDER BY seq",
        (about.provider, about.reference),
    )
    return Scheduled(scheduled=[ShownScheduled(**(dict(row) | {"due_at": iso_ms_z(row["due_at"])})) for row in rows])


_ORDER = {"provider": "moneybag", "reference": "order-7831"}
ROUTES = (
    Route(
        method="GET",
        path="/_control/scripts",
        name="listScripts",
        summary="The scripts, and at which gateways each can happen",
        query=AtGateway,
        answers=Scripts,
        do=_scripts,
        example={"provider": "moneybag"},
    ),
    Route(
        method="POST",
        path="/_control/scripts",
        name="setScript",
        summary="Let one order meet a script, before or after its checkout is opened",
        body=NewScript,
        answers=Troubles,
        do=_set_script,
        example=_ORDER | {"script": "callback_late", "seconds": 5},
        problems=frozenset({409}),
    ),
    Route(
        method="GET",
        path="/_control/scheduled",
        name="listScheduled",
        summary="What the sandbox does later by itself, and the results",
        query=About,
        answers=Scheduled,
        do=_scheduled,
        example=_ORDER,
    ),
)
