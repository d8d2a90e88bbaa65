"""How long a gateway takes for its answers: at once, unless the control API set a pace.

Most answers of real gateways come soon and some take seconds, so times are drawn evenly in proportion: as many from 0.2
to 1 s as from 1 to 5 s.
"""

from __future__ import annotations

from worker.playground.sandbox.state import State

SHORTEST = 0.001


def set_pace(state: State, provider: str, least: float, most: float) -> None:
    state.set(f"pace {provider}", f"{least!r} {most!r}")


def drawn_pace(state: State, provider: str) -> float:
    """The seconds that the next call takes."""
    pace = state.setting(f"pace {provider}")
    if pace is None:
        return 0.0
    least, most = map(float, pace.split())
    start = max(least, SHORTEST)
    return least if most <= start else start * (most / start) ** state.draw(provider, "pace").random()
