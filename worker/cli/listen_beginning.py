"""Where `payproof listen` begins, and whether the log is still the one that its last run read.

An address may get another log: a new database, or an older backup. Where that log is longer than the kept place, no
answer says so. So a position holds the last event of a page that was read, which the log must still have there.
"""

from __future__ import annotations

from collections.abc import Callable

from schemas.requests import NEWEST
from worker.api.cursors import read_cursor
from worker.cli.command_errors import WrongUsage
from worker.cli.event_feed import EventFeed, EventsGone, NoCursor
from worker.cli.listen_state import ListenState, Position

BEGINNING = "beginning"


async def position_to_begin(
    asked: str | None, state: ListenState, reader: str, newest: str, feed: EventFeed, say: Callable[[str], None]
) -> Position:
    """The asked or the kept place, or behind the newest event. Raises CommandFailed where no events can be read there.

    Where the log is another, it is said with `say`, and the place is its beginning.
    """
    kept = state.position(reader)
    if asked is not None:
        position = Position({NEWEST: newest, BEGINNING: ""}.get(asked, asked))
    else:
        position = kept or Position(newest)
    try:
        if asked is None and await _is_of_another_log(position, newest, feed):
            say("the log is another than the last run read, so it is sent from its beginning")
            return Position("")
        if position.cursor not in ("", newest):
            await feed.read(position.cursor, wait=False, most=1)
    except NoCursor as wrong:
        if asked is not None:
            raise WrongUsage(f"--from: {wrong}; without it, with newest or beginning it works") from None
        raise WrongUsage(f"the place kept in {state.path} {wrong}; --from newest or beginning replaces it") from None
    return position


async def _is_of_another_log(kept: Position, newest: str, feed: EventFeed) -> bool:
    if place_of(kept.cursor)[1] > place_of(newest)[1]:
        return True
    if kept.seen is None:
        return False
    try:
        page = await feed.read(kept.seen.after or None, wait=False, most=kept.seen.events)
    except EventsGone:  # retention took them, which any log meets
        return False
    return not page.events or page.events[-1].id != kept.seen.last


def place_of(cursor: str) -> tuple[str, int]:
    """The merchant of a cursor of the log, and its place; 0 at the beginning."""
    merchant, _, rest = read_cursor(cursor).partition(".")
    place = rest.partition(".")[0]
    return merchant, int(place) if place.isdecimal() else 0
