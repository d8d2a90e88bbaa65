"""Read a gateway's list by windows of time instead of page numbers.

    outcome = yield from walk(read, since, until)     # `read` asks for one page of one window

By page numbers payments would be missed: while pages are read new payments arrive, and a payment moves from one page to
another. A window whose first page is not full is complete, whatever the list's order. So a window whose page is full is
halved until it is not. Neighbouring windows overlap by a second on each side, because it is not documented whether the
bounds are included. A payment that is seen twice is yielded once.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from msgspec import Struct

from consumers.ports.effects import Exchange
from consumers.ports.gateway import ListedLines, ListExchange
from consumers.providers.kit.replies import unreadable
from schemas.answers import Inconclusive
from schemas.statements import Line, Unread

FIRST = timedelta(days=1)
FINEST = timedelta(seconds=1)
OVERLAP = timedelta(seconds=1)
PAGES = 100
"""How many pages are read of a window of one second. A longer list does not do as it was asked."""


class Listing(Struct, frozen=True, kw_only=True):
    """One payment of a list: its id in the list, its times, and its lines of a statement."""

    id: str
    times: tuple[datetime, ...]
    lines: tuple[Line | Unread, ...]


class ListPage(Struct, frozen=True, kw_only=True):
    """One page of a window. `whole`: it proves that the window has no further page."""

    listings: tuple[Listing, ...]
    whole: bool


ReadPage = Callable[[datetime, datetime, int], Exchange[ListPage | Inconclusive]]


def walk(read: ReadPage, since: datetime, until: datetime) -> ListExchange[Inconclusive | None]:
    """Yield every payment's lines once, window by window. Returns the Inconclusive that ended it early, else None.

    `read` returns a page of a window by its number, from 0. The ids of all payments seen are kept in memory, about a
    hundred bytes each.
    """
    windows = [(start, min(start + FIRST, until)) for start in _starts(since, until)][::-1]
    seen: set[str] = set()
    while windows:
        start, end = windows.pop()
        page = yield from _page(read, start, end, 0)
        if isinstance(page, ListPage) and not page.whole and end - start > FINEST:
            middle = start + (end - start) / 2
            windows += [(middle, end), (start, middle)]
            continue
        for number in range(1, PAGES + 1):
            if isinstance(page, Inconclusive):
                return page
            new = [one for one in page.listings if one.id not in seen]
            seen.update(one.id for one in new)
            if new:
                yield ListedLines(lines=tuple(line for one in new for line in one.lines))
            if page.whole or not new:
                break
            page = yield from _page(read, start, end, number)
        else:
            return unreadable(f"the list has no end: more than {PAGES} pages for one second")
    return None


def _page(read: ReadPage, start: datetime, end: datetime, number: int) -> ListExchange[ListPage | Inconclusive]:
    """Read one page. Inconclusive where the list shows payments of other times than it was asked for.

    It may choose by a time that it writes without the fraction of its second, so a window begins with a whole second.
    """
    first, last = (start - OVERLAP).replace(microsecond=0), end + OVERLAP
    page = yield from read(first, last, number)
    if isinstance(page, Inconclusive):
        return page
    if any(one.times and not any(first <= at <= last for at in one.times) for one in page.listings):
        return unreadable("the list shows payments of other times than it was asked for")
    return page


def _starts(since: datetime, until: datetime) -> list[datetime]:
    days = max(1, -(-(until - since) // FIRST))
    return [since + FIRST * day for day in range(days)]
