"""Cases of the token bucket's one rule, for the Python that has it and for the SQL that repeats it."""

from __future__ import annotations

from msgspec import Struct

BURST_SECONDS = 2.0


class Refill(Struct, frozen=True):
    """With `rate` tokens a second, at most `BURST_SECONDS` of them: the value of `tokens` after `seconds`."""

    what: str
    rate: float
    tokens: float
    seconds: float
    become: float


REFILLS = (
    Refill("no time brings nothing", 5.0, 3.0, 0.0, 3.0),
    Refill("time brings its rate", 5.0, 3.0, 1.0, 8.0),
    Refill("and parts of a token", 0.5, 0.25, 1.0, 0.75),
    Refill("nothing is saved up beyond the burst", 5.0, 3.0, 86_400.0, 10.0),
    Refill("a full bucket stays full", 5.0, 10.0, 1.0, 10.0),
    Refill("a slow bucket holds one token", 0.1, 0.0, 86_400.0, 1.0),
    Refill("what is owed is paid first", 5.0, -7.0, 1.0, -2.0),
    Refill("a clock that was set back takes nothing away", 5.0, 3.0, -60.0, 3.0),
    Refill("more than a smaller burst holds is lost", 1.0, 9.0, 0.0, 2.0),
)
