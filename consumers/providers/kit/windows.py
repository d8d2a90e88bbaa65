"""Walking a gateway's list by windows of time instead of page numbers.

    outcome = yield from walk(read, since, until)     # `read` asks for one page of one window

The one thing to get wrong: page numbers. While pages are read new payments arrive, and what stood on one page stands on
the next, or the one before. A window whose first page is not full is whole, whatever order the list has and whatever
arrives elsewhere meanwhile; so a window that is full is halved until it is not. Neighbours overlap by a second on each
side, because whether a bound is part of its range is not documented, and no payment is taken twice.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from msgspec import Struct

from consumers.ports.gateway import Exchange, ListedLines, ListExchange
from consumers.providers.kit.replies import unreadable
from schemas.answers import Inconclusive
from schemas.statements import Line, Unread

FIRST = timedelta(days=1)
FINEST = timedelta(seconds=1)
OVERLAP = timedelta(seconds=1)
PAGES = 100
"""So many pages of one second's payments are read; more is a list that does not do what it was asked."""


class Listing(Struct, frozen=True, kw_only=True):
    """One payment of a list: its id there, the times that it names, and the lines that it stands for."""

    id: str
    times: tuple[datetime, ...]
    lines: tuple[Line | Unread, ...]


class ListPage(Struct, frozen=True, kw_only=True):
    """One page: `whole` where it shows that nothing of the window is on a further one."""

    listings: tuple[Listing, ...]
    whole: bool


ReadPage = Callable[[datetime, datetime, int], Exchange[ListPage | Inconclusive]]


def walk(read: ReadPage, since: datetime, until: datetime) -> ListExchange[Inconclusive | None]:
    """Yield every payment's lines once, window after window. Returns what ended it before its end, else None.

    The ids that were seen are kept: about a hundred bytes each.
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
    """One page, refused where the list shows that it did not look at the times it was asked for."""
    first, last = start - OVERLAP, end + OVERLAP
    page = yield from read(first, last, number)
    if isinstance(page, Inconclusive):
        return page
    if any(one.times and not any(first <= at <= last for at in one.times) for one in page.listings):
        return unreadable("the list shows payments of other times than it was asked for")
    return page


def _starts(since: datetime, until: datetime) -> list[datetime]:
    days = max(1, -(-(until - since) // FIRST))
    return [since + FIRST * day for day in range(days)]
