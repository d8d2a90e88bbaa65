"""GET: one payment, the list, the timeline, and the merchant's own events.

An event is sent as the bytes that were written with it, never serialised again.
"""

from __future__ import annotations

import binascii
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime, timedelta

from aiohttp import web

from consumers.providers import PROVIDERS
from schemas.payments import view
from schemas.requests import DEFAULT_EVENTS, EVENTS_QUERY, ListQuery, Wrong, list_query
from schemas.responses import PaymentPage
from schemas.shown import PAYMENT_ID
from worker.api.auth import merchant_of
from worker.api.bodies import read_query
from worker.api.context import Api
from worker.api.problems import ApiReply, Problem, invalid, json_reply, no_such_payment, unavailable
from worker.api.streaming import send_entries
from worker.postgres.events import event_log as log
from worker.postgres.reads.read_turns import ReadTooLong
from worker.postgres.reads.reading import Position, read_page, read_payment
from worker.postgres.reads.timeline import timeline_pages

LIST_QUERY = list_query(sorted(PROVIDERS))
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class PaymentReads:
    """The handlers of the API's GETs."""

    def __init__(self, api: Api) -> None:
        self._api = api

    async def payment(self, request: web.Request) -> web.Response:
        payment = await read_payment(self._api.database, merchant_of(request).id, request.match_info["payment_id"])
        if payment is None:
            raise no_such_payment()
        return json_reply(200, view(payment)).response()

    async def timeline(self, request: web.Request) -> web.StreamResponse:
        payment = await read_payment(self._api.database, merchant_of(request).id, request.match_info["payment_id"])
        if payment is None:
            raise no_such_payment()
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
            page = await read_page(self._api.reads.of(merchant.id, "list"), merchant.id, query, after)
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
        after = _place(found["after"], merchant) if "after" in found else 0
        if "after" in found and after < self._api.retained_after:
            raise Problem(
                410, "cursor_expired", "events after this cursor are gone; begin without `after`", field="after"
            )
        rows = await log.read(
            self._api.reads.of(merchant, "events"), merchant, after, found.get("limit", DEFAULT_EVENTS)
        )
        following = _events_cursor(merchant, rows[-1]["place"] if rows else after)
        bodies = b",".join(row["body"] for row in rows)
        return ApiReply(status=200, body=b'{"events":[%b],"next":"%b"}' % (bodies, following.encode())).response()


def _cursor(opened_at: datetime, payment_id: str) -> str:
    return _written(f"{(opened_at - _EPOCH) // _MICROSECOND}.{payment_id}")


def _position(cursor: str) -> Position:
    match = re.fullmatch(rf"([0-9]{{1,17}})\.({PAYMENT_ID})", _read(cursor), re.ASCII)
    if match is None:
        raise _no_cursor("cursor")
    return _EPOCH + timedelta(microseconds=int(match[1])), match[2]


def _events_cursor(merchant: str, place: int) -> str:
    return _written(f"{merchant}.{place}")


def _place(cursor: str, merchant: str) -> int:
    match = re.fullmatch(rf"{re.escape(merchant)}\.([0-9]{{1,18}})", _read(cursor), re.ASCII)
    if match is None:
        raise _no_cursor("after")
    return int(match[1])


def _written(text: str) -> str:
    return urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _read(cursor: str) -> str:
    """The text of a cursor; empty where we did not write it."""
    try:
        text = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii")
    except (binascii.Error, ValueError):
        return ""
    return text if _written(text) == cursor else ""


def _no_cursor(field: str) -> Problem:
    return invalid([Wrong(field, "is no cursor of yours")])
