"""Every story of the demo: the ordinary ends, each script in the order of their table, then cases without a script.

A script that fits a gateway has a story there, so that its end is known.
"""

from __future__ import annotations

from worker.playground.demo.stories import (
    decisions,
    ends,
    gateway_answers,
    lies,
    lost_callbacks,
    money,
    newer,
    repeats,
    subscribed,
    surprises,
)
from worker.playground.demo.story import Story
from worker.playground.sandbox.scripts import BY_NAME

_PLACES = {name: place for place, name in enumerate(BY_NAME)}
_SCRIPTED = (*lost_callbacks.STORIES, *money.STORIES, *gateway_answers.STORIES, *newer.SCRIPTED)

STORIES: tuple[Story, ...] = (
    *ends.STORIES,
    *sorted(_SCRIPTED, key=lambda story: _PLACES[story.script or ""]),
    *repeats.STORIES,
    *lies.STORIES,
    *surprises.STORIES,
    *decisions.STORIES,
    *newer.STORIES,
    *subscribed.STORIES,
)
