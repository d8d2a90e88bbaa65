"""Signing in, and confirming an act, at the identity provider: the way there, and back.

The answer of the provider comes from another site, so the browser's strict session cookie is not with it: which session
confirms an act is known by the secret of the flow.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import htpy as h
import structlog
from aiohttp import web

from schemas.words import SignInOutcome
from worker.config.console import Operator
from worker.console import oidc_flow
from worker.console.access import new_session, set_session
from worker.console.layout import error_page, missing, plain_page, see_other
from worker.console.oidc_flow import Flow
from worker.console.sign_in import TooManyFailures
from worker.console.visit import Guest, Visit
from worker.postgres.console_confirmations import USE_WITHIN, Asked, ask_confirmation, asked_confirmation, confirm
from worker.postgres.console_sessions import ConsoleSession, find_session

if TYPE_CHECKING:
    from worker.console.id_tokens import Person
    from worker.console.identity_provider import Provider

log = structlog.get_logger()


class _Failed(Exception):
    """The page that says it, by its status and the key of its words. `reason` is for the log."""

    def __init__(self, status: int, key: str, reason: str, **values: object) -> None:
        super().__init__(reason)
        self.status, self.key, self.reason, self.values = status, key, reason, values


async def begin_sign_in(guest: Guest) -> web.StreamResponse:
    if guest.context.provider is None:
        return missing(guest)
    if not guest.context.operators.console.operators:
        return error_page(guest, 503, "no_operators")
    return await _to_provider(guest, oidc_flow.new_flow(guest.request.query.get("next", "/")))


async def begin_confirmation(visit: Visit) -> web.StreamResponse:
    """Have the operator sign in again, for the act whose path the query names."""
    if visit.context.provider is None:
        return missing(visit)
    flow = oidc_flow.new_flow(None)
    path = oidc_flow.act_path(visit.request.query.get("act", "/"))
    await ask_confirmation(visit.database, flow.id_hash, visit.session_hash, path)
    return await _to_provider(visit, flow)


async def come_back(guest: Guest) -> web.StreamResponse:
    """The provider's answer, for the browser that began, once."""
    provider, flow = guest.context.provider, oidc_flow.flow_of(guest.request)
    if provider is None:
        return missing(guest)
    state = guest.request.query.get("state", "")
    if flow is None or not secrets.compare_digest(state.encode("utf-8", "surrogatepass"), flow.state.encode()):
        return _page(guest, flow, _Failed(403, "oidc.mismatch", "state"))
    try:
        answer = await (_confirmed if flow.onward is None else _signed_in)(guest, provider, flow)
    except _Failed as failed:
        answer = _page(guest, flow, failed)
        await _record(guest, failed)
    oidc_flow.end(answer)
    return answer


async def _to_provider(guest: Guest, flow: Flow) -> web.StreamResponse:
    from worker.console.identity_provider import ProviderSilent  # noqa: PLC0415 - its packages are an extra

    provider = guest.context.provider
    assert provider is not None
    try:
        answer = see_other(await provider.address(flow, oidc_flow.redirect_uri(guest.request)))
    except ProviderSilent as silent:
        return _page(guest, flow, _Failed(503, "oidc.silent", str(silent)))
    oidc_flow.begin(answer, flow)
    return answer


async def _signed_in(guest: Guest, provider: Provider, flow: Flow) -> web.StreamResponse:
    operator, _ = await _proved(guest, provider, flow)
    log.info("operator.signed_in", operator=operator.name)
    answer = see_other(flow.onward or "/")
    set_session(answer, await new_session(guest, operator))
    return answer


async def _confirmed(guest: Guest, provider: Provider, flow: Flow) -> web.StreamResponse:
    from worker.console.id_tokens import NotFresh, check_fresh  # noqa: PLC0415 - its packages are an extra

    database = guest.context.database
    asked = await asked_confirmation(database, flow.id_hash)
    who = None if asked is None else await _of_session(guest, asked)
    if asked is None or who is None:
        raise _Failed(403, "oidc.mismatch", "not asked for")
    operator, person = await _proved(guest, provider, flow)
    if operator != who:
        raise _Failed(403, "oidc.another", "another operator", name=operator.name)
    try:
        check_fresh(person, asked.asked_at, database.clock.now())
    except NotFresh as old:
        raise _Failed(403, "oidc.not_fresh", str(old)) from None
    if not await confirm(database, flow.id_hash):
        raise _Failed(403, "oidc.mismatch", "used before")
    minutes = int(USE_WITHIN.total_seconds() // 60)
    words = h.p(role="status")[guest.say("oidc.confirmed", minutes=minutes)]
    answer = plain_page(guest, guest.say("oidc.confirmed.title"), words)
    oidc_flow.set_confirmed(answer, flow)
    return answer


async def _of_session(guest: Guest, asked: Asked) -> Operator | None:
    """The operator of the session that asked, as long as it lasts."""
    operators = guest.context.operators

    def fits(session: ConsoleSession) -> bool:
        return operators.of_session(session.operator, session.credentials) is not None

    session = await find_session(guest.context.database, asked.session_hash, fits=fits, active=True)
    return None if session is None else operators.named(session.operator)


async def _proved(guest: Guest, provider: Provider, flow: Flow) -> tuple[Operator, Person]:
    """The operator whom the provider's answer proves. Raises _Failed."""
    from worker.console.id_tokens import ProviderRefused  # noqa: PLC0415 - its packages are an extra
    from worker.console.identity_provider import ProviderSilent, standard_word  # noqa: PLC0415 - and here

    query, context = guest.request.query, guest.context
    try:
        key = context.sign_in.begins(guest.address)
    except TooManyFailures as slowed:
        raise _Failed(429, "sign_in.slow", "too many failures", seconds=max(1, round(slowed.seconds + 0.5))) from None
    if "error" in query or "code" not in query:
        raise _Failed(403, "oidc.declined", f"the provider: {standard_word(query.get('error'))}")
    now, to = context.database.clock.now(), oidc_flow.redirect_uri(guest.request)
    try:
        person = await provider.person(flow, query["code"], to, query.get("iss"), now)
    except ProviderSilent as silent:
        raise _Failed(503, "oidc.silent", str(silent)) from None
    except ProviderRefused as refused:
        raise _Failed(403, "oidc.refused", str(refused)) from None
    if person.name is None:
        raise _Failed(403, "oidc.no_name", "no name that can be believed", claim=provider.oidc.claim)
    operator = context.operators.named(person.name) if person.name.isascii() else None
    if operator is None or (provider.oidc.claim == "sub" and operator.name != person.name):
        raise _Failed(403, "oidc.stranger", "no operator of this name", name=person.name[:200])
    context.sign_in.by_address.succeeded(key)
    return operator, person


async def _record(guest: Guest, failed: _Failed) -> None:
    """Record a failure of the person. Silence of the provider is none, nor is an answer that nobody here asked for."""
    if failed.status != 503:
        outcome = SignInOutcome.SLOWED if failed.status == 429 else SignInOutcome.NOT_PROVED
        await guest.context.sign_in_record.failed(outcome, None, guest.address)


def _page(guest: Guest, flow: Flow | None, failed: _Failed) -> web.Response:
    """The page that says why it failed, and the log's line with the reason."""
    confirming = flow is not None and flow.onward is None
    if failed.status == 503:
        log.warning("oidc.unavailable", reason=failed.reason)
    else:
        log.warning("operator.refused", at="confirmation" if confirming else "sign_in", reason=failed.reason)
    provider = guest.context.provider
    host = "" if provider is None else provider.oidc.host
    title = guest.say("oidc.unconfirmed.title" if confirming else "oidc.failed.title")
    words = h.p(role="alert")[guest.say(failed.key, **{"host": host, **failed.values})]
    again = None if confirming else h.p[h.a(href="/sign-in")[guest.say("oidc.again")]]
    return plain_page(guest, title, words, again, status=failed.status)
