"""The clock of the tests: it moves when it is told to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

NOON = datetime(2026, 5, 17, 6, 0, tzinfo=UTC)


class FakeClock:
    """Stands still until `advance` or `set`; it never goes back."""

    def __init__(self, now: datetime = NOON) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def advance(self, by: timedelta | float) -> datetime:
        return self.set(self.now + (by if isinstance(by, timedelta) else timedelta(seconds=by)))

    def set(self, at: datetime) -> datetime:
        assert at >= self.now, f"the clock would go back from {self.now} to {at}"
        self.now = at
        return at
