"""Open a checkout: the row is committed before the gateway is called, and `payment.opened` when the checkout exists.

Where the gateway's reply is lost, it may have opened a checkout that we do not know. So the row stays, and the next
POST of the same reference opens it again. The unknown checkout charges no buyer, because no buyer has its URL.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any, Protocol

from msgspec.structs import replace

from consumers.checks.candidates import with_issued_session
from consumers.checks.next_check import reschedule
from consumers.commands.adopt import NotAdopted, adopt
from consumers.commands.reopen import ReadyToOpen, ReferenceTaken
from consumers.money.write_event import event_entry, write_event
from consumers.ports.ledger import Ledger
from consumers.ports.openings import Opened, OpeningOutcome, OpeningRefused, ReferenceUsed
from consumers.ports.writes import Keys
from consumers.rules import Rules
from consumers.timing import TIMING
from schemas.answers import Inconclusive, Trouble
from schemas.changes import Change, Entry
from schemas.payments import Case, Payment
from schemas.words import EntryKind, EventType, Hold, Status

LONGEST_LIFETIME = timedelta(days=31)


class CheckoutStore(Ledger, Protocol):
    """The ledger, with the rows of payments that have no checkout yet."""

    async def create(self, payment: Payment, request: dict[str, Any], lease: timedelta) -> ReadyToOpen | ReferenceTaken:
        """Insert the row, or open again a row without a checkout whose request is equal. It is this POST's for `lease`.

        A row that is opened again keeps its id. From then on a request that proposed another id finds the row by that
        id.
        """
        ...

    async def discard(self, payment_id: str) -> None:
        """Delete a row that the gateway refused, so that its reference is free. A row with an event or a Fact stays."""
        ...

    async def holder(self, account: str, session_id: str) -> Payment | None:
        """The payment of the account that has this session."""
        ...


class OpeningFailed(Exception):
    """The request brought no payment with a checkout.

    `code` is one of reference_used, opening_in_progress, session_used, reference_used_at_gateway, gateway_refused,
    gateway_unavailable (its reply could not be interpreted) and gateway_timeout (it did not reply). `payment_id`: the
    payment that has the reference. `equal`: that payment was made by an equal request. `retry_after`: seconds.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        payment_id: str | None = None,
        retry_after: float | None = None,
        equal: bool = False,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.payment_id = payment_id
        self.retry_after = retry_after
        self.equal = equal


async def open_payment(
    checkouts: CheckoutStore,
    rules: Rules,
    payment: Payment,
    request: dict[str, Any],
    call: Callable[[Payment], Awaitable[OpeningOutcome]],
) -> Payment:
    """Commit the row, let `call` open the checkout at the gateway, and record it. Raises OpeningFailed.

    Returns the payment. If its money came before, that payment is adopted instead: a checkout would charge twice.
    """
    match await checkouts.create(_looked_after(payment, rules), request, TIMING.opening_lease):
        case ReferenceTaken(why="unexpected", payment=found):
            return await _adopt(checkouts, rules, found.id, payment, request)
        case ReferenceTaken() as taken:
            raise _in_the_way(taken)
        case ReadyToOpen(payment=row):
            pass
    outcome = await call(row)
    if isinstance(outcome, OpeningRefused):
        await checkouts.discard(row.id)
        raise OpeningFailed("gateway_refused", outcome.message)
    return await _record(checkouts, rules, row.id, outcome)


async def track_payment(checkouts: CheckoutStore, rules: Rules, payment: Payment, request: dict[str, Any]) -> Payment:
    """Record a payment whose checkout the shop opened itself; `payment.session_id` is set. Raises OpeningFailed."""
    session_id = payment.session_id
    assert session_id is not None, "a tracked payment has a session"
    holder = await checkouts.holder(payment.account, session_id)
    if holder is not None and Hold.UNEXPECTED in holder.holds:
        return await _adopt(checkouts, rules, holder.id, payment, request)
    wanted = _looked_after(replace(payment, session_id=None), rules)
    match await checkouts.create(wanted, request, TIMING.tracking_lease):
        case ReferenceTaken(why="unexpected", payment=found):
            return await _adopt(checkouts, rules, found.id, payment, request)
        case ReferenceTaken(why="opened", equal=True, payment=row) if not row.opened:
            pass  # an equal request died before it recorded the session, and the gateway answered about its reference
        case ReferenceTaken() as taken:
            raise _in_the_way(taken)
        case ReadyToOpen(payment=row):
            pass
    try:
        opened = Opened(session_id=session_id, checkout_url="")
        return await _record(checkouts, rules, row.id, opened, tracked=True)
    except OpeningFailed:
        await checkouts.discard(row.id)
        raise OpeningFailed("session_used", "another payment has this session_id") from None


def _in_the_way(taken: ReferenceTaken) -> OpeningFailed:
    payment_id = taken.payment.id
    if taken.why == "opening":
        message = "this reference is being opened"
        return OpeningFailed("opening_in_progress", message, payment_id=payment_id, retry_after=5)
    message = "a payment with this reference exists"
    return OpeningFailed("reference_used", message, payment_id=payment_id, equal=taken.equal)


async def _adopt(
    checkouts: CheckoutStore, rules: Rules, found_id: str, wanted: Payment, request: dict[str, Any]
) -> Payment:
    made = await adopt(checkouts, rules, found_id, wanted, request)
    if isinstance(made, NotAdopted):
        raise OpeningFailed(made.code, made.message, payment_id=made.payment_id)
    return made


def _looked_after(payment: Payment, rules: Rules) -> Payment:
    """The row with the time of the sweep's first look, in case this process dies before it records the reply."""
    return reschedule(payment, rules.capabilities(payment), rules.checks, payment.opened_at)


async def _record(
    checkouts: CheckoutStore,
    rules: Rules,
    payment_id: str,
    outcome: Opened | ReferenceUsed | Inconclusive,
    *,
    tracked: bool = False,
) -> Payment:
    """Record the outcome of an opening. `tracked`: the shop opened the checkout, so unsigned early claims count too."""
    async with checkouts.batch([payment_id]) as batch:
        case = batch.cases[payment_id]
        if isinstance(outcome, Opened):
            key = Keys.of(case.payment, sessions=[outcome.session_id] if outcome.session_id else [])
            if outcome.session_id in (await batch.reserve([key]))[payment_id].sessions:
                outcome = Inconclusive(
                    trouble=Trouble.UNREADABLE, detail="the gateway named the session of another payment"
                )
        change = _change(case, outcome, rules, batch.now)
        await batch.queue_early_claims(change.payment, signed_only=not tracked)
        await batch.store([change])
        await batch.commit()
    match outcome:
        case Opened():
            return change.payment
        case ReferenceUsed():
            message = (
                "the gateway has this reference already; open a new attempt with a new `reference` and the same `order`"
            )
            raise OpeningFailed("reference_used_at_gateway", message, payment_id=payment_id)
        case Inconclusive(trouble=Trouble.NO_REPLY, detail=detail):
            raise OpeningFailed("gateway_timeout", detail, payment_id=payment_id)
        case Inconclusive(detail=detail, retry_after=retry_after):
            raise OpeningFailed("gateway_unavailable", detail, payment_id=payment_id, retry_after=retry_after)


def _change(case: Case, outcome: Opened | ReferenceUsed | Inconclusive, rules: Rules, now: datetime) -> Change:
    capabilities = rules.capabilities(case.payment)
    row = replace(case.payment, opening_until=None)
    if not isinstance(outcome, Opened):
        said = outcome.trouble if isinstance(outcome, Inconclusive) else "reference used at the gateway"
        entry = Entry(kind=EntryKind.DECISION, at=now, data={"change": "no checkout", "why": said})
        return Change(payment=reschedule(row, capabilities, rules.checks, now), entries=(entry,))
    session_id = outcome.session_id or row.session_id  # an answer may have brought one before
    replaced = (row.session_id,) if row.session_id not in (None, session_id) else ()
    payment = replace(
        row,
        opened=True,
        session_id=session_id,
        aliases=row.aliases + tuple(alias for alias in replaced if alias is not None),
        checkout_url=outcome.checkout_url or None,
        expires_at=_expires_at(row, outcome, now),
    )
    payment = with_issued_session(payment, capabilities, now)
    if payment.version > 0 or payment.status is not Status.PENDING:
        return Change(payment=reschedule(payment, capabilities, rules.checks, now))
    payment = reschedule(replace(payment, version=case.version_floor + 1), capabilities, rules.checks, now)
    event = write_event(payment, EventType.OPENED, now, rules.public_url)
    return Change(payment=payment, entries=(event_entry(event),), event=event)


def _expires_at(row: Payment, opened: Opened, now: datetime) -> datetime:
    """The later of the gateway's time and ours, so that a wrong clock closes no checkout that can still be paid."""
    theirs = opened.expires_at
    return row.expires_at if theirs is None else max(row.expires_at, min(theirs, now + LONGEST_LIFETIME))
