"""The words of `payproof trigger`, and which of the demo's stories plays each at which account.

The stories are played and judged in whole by `payproof demo`, so each end here is one that the rules of money give. A
gateway without a story for a word cannot bring that end about: iPay tells no refund, for example.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from msgspec.structs import replace

from consumers.account import Account
from worker.playground.demo.stories import STORIES
from worker.playground.demo.story import Story

HELD = "held:"
Plays = Callable[[Story], bool]


def _ends(status: str, *, by: str) -> Plays:
    """Whether a story of this name or script ends so, and is held for nothing."""
    return lambda story: by in (story.name, story.script) and _end(story) == (status, None)


def _end(story: Story) -> tuple[str, str | None]:
    return story.expects.status, story.expects.hold


_PLAYS: Mapping[str, Plays] = MappingProxyType(
    {
        "completed": _ends("completed", by="Success"),
        "failed": _ends("failed", by="Failure"),
        "cancelled": _ends("cancelled", by="Cancel"),
        "expired": _ends("expired", by="Abandoned checkout"),
        "late": lambda story: story.script == "paid_after_expiry" and story.expects.late and not story.expects.hold,
        "doubled": _ends("completed", by="callback_doubled"),
        "refunded": _ends("refunded", by="refunded_in_full"),
        "partially_refunded": _ends("completed", by="refunded_in_part"),
    }
)
_HOLDS = tuple(dict.fromkeys(story.expects.hold for story in STORIES if story.expects.hold))
WORDS = (*_PLAYS, *(f"{HELD}{hold}" for hold in _HOLDS))


def story_of(word: str, account: Account) -> Story | None:
    """The shortest story that ends as the word says, at this account; None where its gateway has none.

    A story that ends held is one that does so as its first change, if there is one.
    """
    blind = not account.provider.capabilities.asked_by
    found = [
        story
        for story in STORIES
        if story.gateway.provider == account.provider.name
        and (story.gateway.account.endswith("-blind")) == blind
        and _plays(word, story)
    ]
    if not found:
        return None
    best = min(found, key=lambda story: (len(story.expects.told), story.lasts))
    return replace(best, gateway=replace(best.gateway, account=account.id))


def accounts_for(word: str, accounts: Sequence[Account]) -> list[str]:
    """The ids of those accounts that have a story for the word."""
    return [account.id for account in accounts if story_of(word, account) is not None]


def _plays(word: str, story: Story) -> bool:
    if word.startswith(HELD):
        return story.expects.hold == word.removeprefix(HELD)
    return _PLAYS[word](story)
