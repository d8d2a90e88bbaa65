"""GET: one payment, the list, the timeline, and the merchant's own events.

An event is sent as the bytes that were written with it, never serialised again.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from contextlib import nullcontext
from datetime import datetime

from aiohttp import web
from msgspec import Struct

from consumers.providers import PROVIDERS
from schemas.payments import Payment
from schemas.request_shape import Wrong
from schemas.requests import DEFAULT_EVENTS, EVENTS_QUERY, NEWEST, ListQuery, list_query
from schemas.responses import PaymentPage
from schemas.shown import PAYMENT_ID, view
from worker.api.auth import merchant_of
from worker.api.bodies import read_query
from worker.api.context import Api
from worker.api.cursors import no_cursor, read_cursor, read_micros, written_cursor, written_micros
from worker.api.event_waiters import EventWaiter
from worker.api.problems import (
    ApiReply,
    Problem,
    invalid,
    json_reply,
    no_such_payment,
    past_payment,
    too_many_waiting,
    unavailable,
)
from worker.api.streaming import send_entries
from worker.postgres.database import Database
from worker.postgres.events import event_log as log
from worker.postgres.events.old_events import log_floor
from worker.postgres.past_payments import deleted_at
from worker.postgres.reads.read_turns import ReadTooLong
from worker.postgres.reads.reading import Position, read_payment, read_whole_page
from worker.postgres.reads.timeline import timeline_pages
from worker.runtime.clock import set_within

LIST_QUERY = list_query(sorted(PROVIDERS))
LIST_SECONDS = 2.0
"""So long a page of payments is looked for, where few of very many match."""
LOOK_FOR_CLIENT_SECONDS = 1.0
"""How often it is seen whether a client that waits for events is still there."""


async def payment_of_path(database: Database, request: web.Request) -> Payment:
    """The merchant's payment that the path names. Raises Problem: there is none, or it is past its retention."""
    merchant, payment_id = merchant_of(request).id, request.match_info["payment_id"]
    payment = await read_payment(database, merchant, payment_id)
    if payment is None:
        past = await deleted_at(database, [merchant], payment_id)
        raise no_such_payment() if past is None else past_payment(past)
    return payment


class EventsCursor(Struct, frozen=True):
    """A position in the log. `begun`: it was reached from the beginning, below the floor that retention has left.

    There the log is not whole, which a reader that begins without a cursor is told by nothing and need not know. Any
    other cursor below the floor has missed events.
    """

    place: int
    begun: bool = False

    def after(self, places: Sequence[int], limit: int, floor: int) -> EventsCursor:
        """The cursor after a page of at most `limit` events at these places, where the log is whole after `floor`."""
        last = places[-1] if places else self.place
        return (
            EventsCursor(last, begun=True) if len(places) == limit and last < floor else EventsCursor(max(last, floor))
        )


class PaymentReads:
    """The handlers of the API's GETs."""

    def __init__(self, api: Api) -> None:
        self._api = api

    async def payment(self, request: web.Request) -> web.Response:
        return json_reply(200, view(await payment_of_path(self._api.database, request))).response()

    async def timeline(self, request: web.Request) -> web.StreamResponse:
        payment = await payment_of_path(self._api.database, request)
        reads = self._api.reads.of(payment.merchant, "timeline")
        return await send_entries(request, timeline_pages(reads, payment.id))

    async def payments(self, request: web.Request) -> web.Response:
        merchant = merchant_of(request)
        found = read_query(LIST_QUERY, request)
        if "account" in found and found["account"] not in {account.id for account in merchant.accounts}:
            raise invalid([Wrong("account", "you have no such account")])
        named = {{"from": "since", "to": "until"}.get(name, name): value for name, value in found.items()}
        query = ListQuery(**named)
        after = None if query.cursor is None else _position(query.cursor)
        try:
            reads = self._api.reads.of(merchant.id, "list")
            page = await read_whole_page(reads, merchant.id, query, after, seconds=LIST_SECONDS)
        except ReadTooLong:
            raise unavailable("too many payments have to be looked at: ask for fewer with `from` and `to`") from None
        shown = PaymentPage(
            payments=[view(payment) for payment in page.payments],
            next_cursor=None if page.next is None else _cursor(*page.next),
            summary=page.summary,
        )
        return json_reply(200, shown).response()

    async def events(self, request: web.Request) -> web.Response:
        merchant = merchant_of(request).id
        found = read_query(EVENTS_QUERY, request)
        limit, seconds = found.get("limit", DEFAULT_EVENTS), found.get("wait", 0.0)
        cursor = await self._begin(found.get("after"), merchant)
        waiters = self._api.event_waiters
        full = seconds > 0 and waiters.full(merchant)
        with nullcontext() if seconds <= 0 or full else waiters.of(merchant, cursor.place) as waiter:
            page = await self._events(merchant, cursor, limit)
            if page.events or seconds <= 0:
                return page.response()
            if waiter is None:
                raise too_many_waiting()
            if not await _news(request, waiter, seconds):
                return page.response()
        return (await self._events(merchant, cursor, limit)).response()

    async def _begin(self, after: str | None, merchant: str) -> EventsCursor:
        """The cursor that the query means. Raises Problem."""
        if after is None:
            return EventsCursor(0, begun=True)
        if after != NEWEST:
            return _events_cursor(after, merchant)
        place = await log.newest_position(self._api.database, merchant)
        return EventsCursor(max(place, (await log_floor(self._api.database, merchant)).place))

    async def _events(self, merchant: str, cursor: EventsCursor, limit: int) -> LogReply:
        """The page after this cursor. Raises Problem where events after the cursor are gone, or it is after them all.

        Such a cursor is of another log: a backup was restored, or a standby took over that lacked the last events. Its
        reader would miss what is written until the log has grown to that place.
        """
        rows = await log.read(self._api.reads.of(merchant, "events"), merchant, cursor.place, limit)
        floor = (await log_floor(self._api.database, merchant)).place
        if cursor.place < floor and not cursor.begun:
            raise Problem(
                410, "cursor_expired", "events after this cursor are gone; begin without `after`", field="after"
            )
        if not rows and cursor.place > floor and cursor.place > await log.newest_position(self._api.database, merchant):
            raise Problem(410, "cursor_expired", "this cursor is of another log; begin without `after`", field="after")
        following = cursor.after([row["place"] for row in rows], limit, floor)
        return LogReply([row["body"] for row in rows], _written_cursor(merchant, following))


class LogReply(Struct, frozen=True):
    """A page of the log: events as they were written, and the cursor after them."""

    events: list[bytes]
    following: str

    def response(self) -> web.Response:
        body = b'{"events":[%b],"next":"%b"}' % (b",".join(self.events), self.following.encode())
        return ApiReply(status=200, body=body).response()


async def _news(request: web.Request, waiter: EventWaiter, seconds: float) -> bool:
    """Wait for news, at most so many seconds, and no longer than the client. aiohttp tells nobody that it hung up."""
    ends = time.monotonic() + seconds
    while (left := ends - time.monotonic()) > 0 and request.transport is not None:
        if await set_within(waiter.news, min(left, LOOK_FOR_CLIENT_SECONDS)):
            return True
    return False


def _cursor(opened_at: datetime, payment_id: str) -> str:
    return written_cursor(f"{written_micros(opened_at)}.{payment_id}")


def _position(cursor: str) -> Position:
    match = re.fullmatch(rf"([0-9]{{1,17}})\.({PAYMENT_ID})", read_cursor(cursor), re.ASCII)
    if match is None:
        raise no_cursor("cursor")
    return read_micros(match[1]), match[2]


def _written_cursor(merchant: str, cursor: EventsCursor) -> str:
    return written_cursor(f"{merchant}.{cursor.place}" + (".begun" if cursor.begun else ""))


def _events_cursor(text: str, merchant: str) -> EventsCursor:
    match = re.fullmatch(rf"{re.escape(merchant)}\.([0-9]{{1,18}})(\.begun)?", read_cursor(text), re.ASCII)
    if match is None:
        raise no_cursor("after")
    return EventsCursor(int(match[1]), begun=match[2] is not None)
