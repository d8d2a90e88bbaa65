"""What a process remembers, to find what a failover lost: for how long, and of which server."""

from __future__ import annotations

from datetime import UTC, datetime

from worker.config.shapes import DAY
from worker.failover import CLAIMS_WAIT
from worker.postgres.witness import KEPT_SECONDS, SeenEvent, Witness

SINCE = datetime(2026, 1, 1, tzinfo=UTC)


class Ticking:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def event(nth: int) -> SeenEvent:
    return SeenEvent(id=f"pay.{nth}", type="payment.completed", merchant="shop", account="shop-ipay")


def test_what_another_server_had_is_told_until_it_was_looked_for() -> None:
    seen = Witness()
    seen.saw([event(1)], None)
    seen.saw([event(2)], SINCE)
    assert seen.events.before(SINCE) == [event(1)]
    assert seen.events.before(None) == [event(2)]
    seen.events.forget(seen.events.before(SINCE))
    assert seen.events.before(SINCE) == []
    assert seen.events.before(None) == [event(2)]


def test_what_is_seen_while_others_are_looked_for_is_looked_for_next() -> None:
    """As of an event whose commit on the server before is confirmed late, or of a third server."""
    seen = Witness()
    seen.saw([event(1)], None)
    looked_for = seen.events.before(SINCE)
    seen.saw([event(1), event(2)], None)
    seen.saw([event(3)], SINCE.replace(year=2027))
    seen.events.forget(looked_for)
    assert seen.events.before(SINCE) == [event(1), event(2), event(3)]


def test_a_quiet_shop_does_not_miss_what_retention_has_deleted() -> None:
    ticking = Ticking()
    seen = Witness(ticking)
    seen.saw([event(1)], None)
    ticking.now = KEPT_SECONDS
    seen.saw([event(2)], None)
    assert seen.events.before(SINCE) == [event(1), event(2)]
    ticking.now += 1
    assert seen.events.before(SINCE) == [event(2)]


def test_an_item_is_kept_for_longer_than_it_is_waited_for_and_shorter_than_any_retention() -> None:
    assert CLAIMS_WAIT.total_seconds() < KEPT_SECONDS < 30 * DAY
