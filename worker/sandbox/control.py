"""The control API under `/_control`: what a test, a demo or a developer does in place of buyers, gateways and time.

Bodies and answers are JSON; unknown fields are refused. 400: cannot be read. 404: no such session. 409: cannot happen.
A session is named by `provider` and `session_id`, or by `reference`, which means its newest session.

    GET    /sessions?provider=&reference=   {"sessions": [...]}, newest first, with their transactions
    POST   /shopper     {provider, reference|session_id, does: pay|fail|cancel|walk_away, amount?, currency?,
                         transaction_id?, webhook?: true}       -> {"redirect": url or null, "session": {...}}
                         amount, currency and transaction_id falsify what the gateway books; webhook false keeps it
                         silent. May pay after the end, and twice. OnePayBD: pay approves, Execute takes the money.
    POST   /refund      {provider, reference|session_id, amount?, webhook?}                     -> {"session": {...}}
    POST   /expire      {provider, reference|session_id}                                        -> {"session": {...}}
    POST   /lifetime    {provider, reference, seconds}   sessions opened from now on under it live so long -> {}
    POST   /clock       {advance_seconds}                        -> {"now": iso time, "offset_seconds": n}
    POST   /revoke_tokens   OnePayBD's tokens are refused from now on                           -> {"revoked": n}
    POST   /troubles    {provider, reference?: null = all, on?: create|status|execute|grant|any, trouble, seconds?,
                         times?: 1, null = until cleared}                                       -> {"troubles": [...]}
                         trouble: timeout reset 500 503 429 html 401 slow not_found lost_answer unknown_word
                         contradiction wrong_identity wrong_currency wrong_amount; the oldest that fits is used first
    GET    /troubles                                                                            -> {"troubles": [...]}
    DELETE /troubles?provider=&reference=                                                       -> {"cleared": n}
    GET    /calls?provider=&reference=      {"total": n, "by": {create, status, execute, grant, refund}}; every call
                         received counts, answered or not; a grant belongs to no reference
    POST   /reset       forget all but which ids were given out

Webhooks have their own part, `worker.sandbox.extra_webhooks`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Literal, TypeVar, get_args

import msgspec
from aiohttp import web
from msgspec import Meta, Struct
from msgspec.structs import asdict, replace

from schemas.wire import Unreadable, read_json
from worker.sandbox.announcing import announce
from worker.sandbox.config import GATEWAYS
from worker.sandbox.gateway import Deed, Impossible, Kind
from worker.sandbox.money_back import give_back
from worker.sandbox.sandbox import SANDBOX, Sandbox
from worker.sandbox.sessions import Session
from worker.sandbox.shopper import Visit, perform
from worker.sandbox.times import iso_ms_z
from worker.sandbox.troubles import FALSIFIES, Name

Provider = Annotated[str, Meta(pattern=rf"^(?:{'|'.join(GATEWAYS)})\Z")]
Answer = dict[str, Any]
T = TypeVar("T")


class Named(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    provider: Provider
    reference: str | None = None
    session_id: str | None = None


class Shop(Named, frozen=True, kw_only=True):
    does: Deed
    amount: str | None = None
    currency: str | None = None
    transaction_id: str | None = None
    webhook: bool = True


class Refund(Named, frozen=True, kw_only=True):
    amount: str | None = None
    webhook: bool = True


class Lifetime(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    provider: Provider
    reference: str
    seconds: float


class Clock(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    advance_seconds: float


class NewTrouble(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    provider: Provider
    trouble: Name
    on: Kind | Literal["any"] = "any"
    reference: str | None = None
    seconds: float | None = None
    times: int | None = 1


def routes() -> list[web.RouteDef]:
    return [
        web.get("/_control/sessions", json_answers(_sessions)),
        web.post("/_control/shopper", json_answers(_shopper)),
        web.post("/_control/refund", json_answers(_refund)),
        web.post("/_control/expire", json_answers(_expire)),
        web.post("/_control/lifetime", json_answers(_lifetime)),
        web.post("/_control/clock", json_answers(_clock)),
        web.post("/_control/revoke_tokens", json_answers(_revoke_tokens)),
        web.get("/_control/troubles", json_answers(_troubles)),
        web.post("/_control/troubles", json_answers(_add_trouble)),
        web.delete("/_control/troubles", json_answers(_clear_troubles)),
        web.get("/_control/calls", json_answers(_calls)),
        web.post("/_control/reset", json_answers(_reset)),
    ]


def json_answers(
    answer: Callable[[Sandbox, web.Request], Awaitable[Answer]],
) -> Callable[[web.Request], Awaitable[web.Response]]:
    """A handler that writes what `answer` returns, and its refusals as `{"error": ...}`."""

    async def handle(request: web.Request) -> web.Response:
        status = 200
        try:
            body = await answer(request.app[SANDBOX], request)
        except (Unreadable, msgspec.ValidationError) as error:
            status, body = 400, {"error": str(error)}
        except LookupError as error:
            status, body = 404, {"error": str(error.args[0])}
        except Impossible as error:
            status, body = 409, {"error": str(error)}
        request.app[SANDBOX].queued.set()
        return web.Response(status=status, body=msgspec.json.encode(body), content_type="application/json")

    return handle


async def read(request: web.Request, kind: type[T]) -> T:
    """The body as `kind`. Raises Unreadable or ValidationError."""
    return msgspec.convert(read_json(await request.read()), kind, strict=False)


def find(sandbox: Sandbox, named: Named) -> Session:
    """Raises LookupError where nothing was opened under that name."""
    sessions, provider = sandbox.sessions, named.provider
    session = (
        sessions.get(provider, named.session_id)
        if named.session_id is not None
        else sessions.latest(provider, named.reference or "")
    )
    if session is None:
        raise LookupError(f"no session of {provider} with {named.session_id or named.reference!r}")
    return session


def shown(sandbox: Sandbox, session: Session) -> Answer:
    """A session for people and tests, with every attempt to pay it; the request that opened it is left out."""
    told = {name: value for name, value in asdict(session).items() if name not in ("body", "notes")}
    for name in ("created_at", "expires_at", "paid_at"):
        told[name] = None if told[name] is None else iso_ms_z(told[name])
    attempts = sandbox.sessions.transactions(session)
    names = ("transaction_id", "status", "amount", "currency")
    return told | {"transactions": [{name: getattr(made, name) for name in names} for made in attempts]}


async def _sessions(sandbox: Sandbox, request: web.Request) -> Answer:
    found = sandbox.sessions.of(request.query.get("provider") or None, request.query.get("reference") or None)
    return {"sessions": [shown(sandbox, session) for session in found]}


async def _shopper(sandbox: Sandbox, request: web.Request) -> Answer:
    shop = await read(request, Shop)
    visit = Visit(
        does=shop.does,
        amount=shop.amount,
        currency=shop.currency,
        transaction_id=shop.transaction_id,
        webhook=shop.webhook,
    )
    with sandbox.state.transaction():
        session, redirect = perform(sandbox.gateways[shop.provider], find(sandbox, shop), visit)
    return {"redirect": redirect, "session": shown(sandbox, session)}


async def _refund(sandbox: Sandbox, request: web.Request) -> Answer:
    refund = await read(request, Refund)
    with sandbox.state.transaction():
        session = find(sandbox, refund)
        give_back(sandbox.gateways[refund.provider], session, refund.amount, webhook=refund.webhook)
    return {"session": shown(sandbox, find(sandbox, refund))}


async def _expire(sandbox: Sandbox, request: web.Request) -> Answer:
    named = await read(request, Named)
    with sandbox.state.transaction():
        session = find(sandbox, named)
        if session.status not in ("open", "approved"):
            raise Impossible(f"the session is {session.status}")
        expired = sandbox.sessions.save(replace(session, status="expired", expires_at=sandbox.state.now()))
        announce(sandbox.gateways[named.provider], expired, "expired")
    return {"session": shown(sandbox, expired)}


async def _lifetime(sandbox: Sandbox, request: web.Request) -> Answer:
    lifetime = await read(request, Lifetime)
    if not lifetime.seconds > 0:
        raise Unreadable("seconds are more than 0")
    sandbox.state.set(f"lifetime {lifetime.provider} {lifetime.reference}", repr(lifetime.seconds))
    return {}


async def _clock(sandbox: Sandbox, request: web.Request) -> Answer:
    clock = await read(request, Clock)
    with sandbox.state.transaction():
        sandbox.state.advance(clock.advance_seconds)
    sandbox.expire()
    return {"now": iso_ms_z(sandbox.state.now()), "offset_seconds": float(sandbox.state.setting("offset") or 0)}


async def _revoke_tokens(sandbox: Sandbox, request: web.Request) -> Answer:
    del request
    return {"revoked": sandbox.state.db.execute("DELETE FROM tokens").rowcount}


async def _troubles(sandbox: Sandbox, request: web.Request) -> Answer:
    del request
    return {"troubles": [asdict(trouble) for trouble in sandbox.troubles.all()]}


async def _add_trouble(sandbox: Sandbox, request: web.Request) -> Answer:
    new = await read(request, NewTrouble)
    if new.trouble in FALSIFIES and new.trouble not in sandbox.gateways[new.provider].tampers:
        raise Impossible(f"an answer of {new.provider} has no place for {new.trouble}")
    if (new.times is not None and new.times < 1) or (new.seconds is not None and not 0 <= new.seconds <= 600):
        raise Unreadable("times is at least 1, seconds 0 to 600")
    sandbox.troubles.add(new.provider, new.reference, new.on, new.trouble, seconds=new.seconds, times=new.times)
    return await _troubles(sandbox, request)


async def _clear_troubles(sandbox: Sandbox, request: web.Request) -> Answer:
    cleared = sandbox.troubles.clear(request.query.get("provider") or None, request.query.get("reference") or None)
    return {"cleared": cleared}


async def _calls(sandbox: Sandbox, request: web.Request) -> Answer:
    rows = sandbox.state.db.execute(
        "SELECT kind, sum(n) AS n FROM calls WHERE provider = coalesce(?, provider) "
        "AND reference = coalesce(?, reference) GROUP BY kind",
        (request.query.get("provider") or None, request.query.get("reference") or None),
    )
    by = dict.fromkeys(get_args(Kind), 0) | {row["kind"]: row["n"] for row in rows}
    return {"total": sum(by.values()), "by": by}


async def _reset(sandbox: Sandbox, request: web.Request) -> Answer:
    del request
    sandbox.state.reset()
    return {"reset": list(GATEWAYS)}
