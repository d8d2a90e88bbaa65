"""Statements of the hot path are planned once for a connection, not each time that they are asked.

The one thing to get wrong: an array as a parameter. Postgres keeps a plan only where one made for any value costs as
little as one made for these; of an array that it sees it knows how short it is, so it would plan anew each time, and
for a payment that comes alone that takes longer than the statement itself. A plan that is kept is as old as the last
ANALYZE, which a table that begins to fill gets within a minute or two.
"""

from __future__ import annotations


def planned_once(nth: int) -> str:
    """The nth parameter as an array of texts whose length the planner does not see."""
    return f"ARRAY(SELECT unnest(${nth}::text[]))"
