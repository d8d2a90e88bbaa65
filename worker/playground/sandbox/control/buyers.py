"""Checkouts, and the actions on them: the scripted shopper, a refund, an early end."""

from __future__ import annotations

from typing import get_args

import msgspec
from msgspec import Struct
from msgspec.structs import asdict, replace

from worker.playground.sandbox.announcing import announce_happening
from worker.playground.sandbox.control.read_request import About, Named, find
from worker.playground.sandbox.control.routing import Asked, Route
from worker.playground.sandbox.money_back import give_back
from worker.playground.sandbox.sandbox import Sandbox
from worker.playground.sandbox.sandbox_config import Provider
from worker.playground.sandbox.scheduled import visit, visiting
from worker.playground.sandbox.sessions import Session, Standing
from worker.playground.sandbox.shopper import Visit, perform
from worker.playground.sandbox.simulated_gateway import Deed, Happening, Impossible
from worker.playground.sandbox.times import iso_ms_z


class Shop(Named, frozen=True, kw_only=True):
    """The buyer's deed, and whether the buyer comes back.

    amount, currency and transaction_id falsify what the gateway books; webhook false keeps it silent. returns false:
    nobody visits the way back, so that a test can visit it, or leave it out.
    """

    does: Deed
    amount: str | None = None
    currency: str | None = None
    transaction_id: str | None = None
    webhook: bool = True
    returns: bool = True


class Refund(Named, frozen=True, kw_only=True):
    """The refund of a session; without an amount, all that is left."""

    amount: str | None = None
    webhook: bool = True


class Edit(Named, frozen=True, kw_only=True):
    """The new status: `paid` books the money. webhook false keeps it silent."""

    status: Standing
    webhook: bool = True


class ShownTransaction(Struct, frozen=True, kw_only=True):
    transaction_id: str
    status: Standing
    amount: str
    currency: str


class ShownSession(Struct, frozen=True, kw_only=True):
    """A checkout as its gateway's books hold it, without the request that opened it. Times are ISO 8601 in UTC.

    `invoice_id` is UddoktaPay's, which the opening's answer does not name.
    """

    provider: Provider
    session_id: str
    merchant: str
    reference: str
    amount: str
    currency: str
    created_at: str
    expires_at: str
    status: Standing
    transaction_id: str | None
    paid_amount: str | None
    paid_currency: str | None
    refunded: str
    paid_at: str | None
    invoice_id: str | None
    transactions: list[ShownTransaction]


class OneSession(Struct, frozen=True, kw_only=True):
    session: ShownSession


class ManySessions(Struct, frozen=True, kw_only=True):
    sessions: list[ShownSession]


class Shopped(Struct, frozen=True, kw_only=True):
    """`redirect` is where the browser goes; null where it goes nowhere. With `form`, it posts these fields there.

    Unless `returns` is false the sandbox has visited it once, as a browser that goes no further.
    """

    redirect: str | None
    form: dict[str, str] | None
    session: ShownSession


def shown(sandbox: Sandbox, session: Session) -> ShownSession:
    times = {name: getattr(session, name) for name in ("created_at", "expires_at", "paid_at")}
    told = {
        **asdict(session),
        **{name: None if at is None else iso_ms_z(at) for name, at in times.items()},
        "invoice_id": session.notes.get("invoice_id"),
        "transactions": [asdict(made) for made in sandbox.sessions.transactions(session)],
    }
    return msgspec.convert(told, ShownSession)


async def _sessions(sandbox: Sandbox, asked: Asked) -> ManySessions:
    about: About = asked.said
    found = sandbox.sessions.of(about.provider, about.reference)
    return ManySessions(sessions=[shown(sandbox, session) for session in found])


async def _shopper(sandbox: Sandbox, asked: Asked) -> Shopped:
    shop: Shop = asked.said
    does = Visit(
        does=shop.does,
        amount=shop.amount,
        currency=shop.currency,
        transaction_id=shop.transaction_id,
        webhook=shop.webhook,
    )
    with sandbox.state.transaction():
        session, back = perform(sandbox, find(sandbox, shop), does)
    if back is not None and shop.returns:
        await visit(asked.http, visiting(back), seconds=sandbox.config.webhook_timeout)
    now = sandbox.sessions.get(session.provider, session.session_id) or session
    form = None if back is None or back.form is None else dict(back.form)
    return Shopped(redirect=None if back is None else back.url, form=form, session=shown(sandbox, now))


async def _refund(sandbox: Sandbox, asked: Asked) -> OneSession:
    refund: Refund = asked.said
    with sandbox.state.transaction():
        give_back(sandbox.gateways[refund.provider], find(sandbox, refund), refund.amount, webhook=refund.webhook)
    return OneSession(session=shown(sandbox, find(sandbox, refund)))


async def _expire(sandbox: Sandbox, asked: Asked) -> OneSession:
    named: Named = asked.said
    with sandbox.state.transaction():
        session = find(sandbox, named)
        if session.status not in ("open", "approved"):
            raise Impossible(f"the session is {session.status}")
        expired = sandbox.sessions.save(replace(session, status="expired", expires_at=sandbox.state.now()))
        announce_happening(sandbox.gateways[named.provider], expired, "expired")
    return OneSession(session=shown(sandbox, expired))


async def _edit(sandbox: Sandbox, asked: Asked) -> OneSession:
    edit: Edit = asked.said
    gateway = sandbox.gateways[edit.provider]
    with sandbox.state.transaction():
        session = find(sandbox, edit)
        if session.status == edit.status:
            raise Impossible(f"the session is {session.status}")
        if edit.status == "paid":
            session = gateway.collect(session, transaction_id=None)
        else:
            session = sandbox.sessions.save(replace(session, status=edit.status))
        happening = next((one for one in get_args(Happening) if one == edit.status), None)
        if edit.webhook and happening is not None:
            announce_happening(gateway, session, happening)
    return OneSession(session=shown(sandbox, session))


_ORDER = {"provider": "moneybag", "reference": "order-7831"}
ROUTES = (
    Route(
        method="GET",
        path="/_control/sessions",
        name="listSessions",
        summary="Checkouts, newest first, each with its attempts to pay",
        query=About,
        answers=ManySessions,
        do=_sessions,
        example=_ORDER,
    ),
    Route(
        method="POST",
        path="/_control/shopper",
        name="shop",
        summary="Do what a buyer does at the checkout page, and come back. May pay after the end, and twice. At bKash "
        "and OnePayBD pay approves; Execute takes the money",
        body=Shop,
        answers=Shopped,
        do=_shopper,
        example=_ORDER | {"does": "pay"},
        problems=frozenset({404, 409}),
    ),
    Route(
        method="POST",
        path="/_control/refund",
        name="refund",
        summary="Give money back, as a person at the gateway would",
        body=Refund,
        answers=OneSession,
        do=_refund,
        example=_ORDER | {"amount": "250.00"},
        problems=frozenset({404, 409}),
    ),
    Route(
        method="POST",
        path="/_control/edit",
        name="edit",
        summary="Set a checkout's status by hand, as a person at the gateway would: approve a payment that is held for "
        "review, or take back a word",
        body=Edit,
        answers=OneSession,
        do=_edit,
        example=_ORDER | {"status": "failed"},
        problems=frozenset({404, 409}),
    ),
    Route(
        method="POST",
        path="/_control/expire",
        name="expire",
        summary="End a checkout now",
        body=Named,
        answers=OneSession,
        do=_expire,
        example=_ORDER,
        problems=frozenset({404, 409}),
    ),
)
