"""The list of Payments as CSV, to its end: read along the list a few payments at a time, and sent as it is read."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from time import monotonic

from aiohttp import web
from msgspec.structs import asdict, replace

from schemas.shown import PaymentView, view
from worker.console.csv_sending import send_csv
from worker.console.layout import missing
from worker.console.pages.payments_page import EXPORT_SECONDS, MOST_EXPORTED, Asked, asked_of, cursor_of
from worker.console.payment_parts import address_with
from worker.console.visit import Visit
from worker.postgres.reads.reading import Position, read_part
from worker.runtime.csv_cells import csv_head, csv_lines, harmless

AT_ONCE = 100


async def download_payments(visit: Visit) -> web.StreamResponse:
    """The whole list as CSV, from the position `after` on. A list that is cut says so in its last line."""
    asked = asked_of(visit)
    if asked is None or asked.wrong:
        return missing(visit)
    return await send_csv(visit, "payments.csv", _csv_of(visit, asked))


async def _csv_of(visit: Visit, asked: Asked) -> AsyncGenerator[str, None]:
    """Read along the list, a few payments at a time: no statement is long, and no connection is held in between."""
    columns, query, after, sent = PaymentView.__struct_fields__, replace(asked.query, limit=AT_ONCE), asked.after, 0
    until, piece = monotonic() + EXPORT_SECONDS, csv_head(PaymentView.__struct_fields__)
    while True:
        part = await read_part(visit.database, asked.merchant.id, query, after)
        yield piece + csv_lines(columns, (asdict(view(one)) for one in part.payments))
        piece, after, sent = "", part.next, sent + len(part.payments)
        if after is None:
            return
        if sent >= MOST_EXPORTED or monotonic() > until:
            yield csv_lines(("cut",), [{"cut": _cut(visit, asked, sent, after)}])
            return


def _cut(visit: Visit, asked: Asked, sent: int, after: Position) -> str:
    """The last line of a CSV that does not have all: that it is cut, and the address of what follows."""
    path = address_with("/payments.csv", {**asked.given, "after": cursor_of(after)})
    address = str(visit.request.url.origin().with_path("")) + path
    return harmless(visit.say("payments.csv_cut", count=f"{sent:,}", address=address))
