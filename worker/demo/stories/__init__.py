"""Every story of the demo, by what goes on in it. Those that take longest come first."""

from __future__ import annotations

from worker.demo.stories import afterwards, ends, lies, losses, repeats, surprises
from worker.demo.story import Story

STORIES: tuple[Story, ...] = (
    *lies.STORIES,
    *losses.STORIES,
    *ends.STORIES,
    *repeats.STORIES,
    *surprises.STORIES,
    *afterwards.STORIES,
)
