"""Every sentence of a report: the name of an outcome, its meaning, and the next step.

A dry run asks no gateway and records nothing, so its sentences say what would happen.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from schemas.report import Next
from schemas.statements import LineOutcome


class OutcomeWords(Struct, frozen=True):
    """`mark` stands beside the title, so that colour alone tells no outcome; `tone` is the name of the colour."""

    title: str
    mark: str
    tone: str
    meaning: str


WORDS_OF_OUTCOMES: Mapping[LineOutcome, OutcomeWords] = {
    LineOutcome.MISSING_HERE: OutcomeWords(
        "Missing here",
        "↓",
        "stop",
        "The gateway was paid, and here the payment is unknown or not paid. "
        "Where the payment is known the gateway is asked about it; where it is not, the money is kept as a payment of "
        "its own that waits for a person.",
    ),
    LineOutcome.MISSING_THERE: OutcomeWords(
        "Missing there",
        "↑",
        "stop",
        "The payment is completed here, and the statement, which covers its time, has no line of it. "
        "Very recent payments may be missing because they were not exported yet; they are not counted before the "
        "grace of the account has passed.",
    ),
    LineOutcome.AMOUNT_DIFFERS: OutcomeWords(
        "Amount differs",
        "≠",
        "stop",
        "The payment is known on both sides, with two different amounts. "
        "Nothing is changed by the statement: the gateway's own answer decides, and a person where that differs too.",
    ),
    LineOutcome.STATUS_DIFFERS: OutcomeWords(
        "Status differs",
        "↔",
        "stop",
        "The payment is known on both sides, and ended in two different ways, such as completed here and failed there. "
        "An older export never contradicts a newer answer of the gateway.",
    ),
    LineOutcome.FEE_DIFFERS: OutcomeWords(
        "Fee differs",
        "%",
        "hand",
        "All else agrees, and the gateway kept another fee than the rule of this account says. "
        "Where the configuration names no rule, the fee that the gateway itself answered with counts.",
    ),
    LineOutcome.UNREADABLE: OutcomeWords(
        "Unreadable",
        "?",
        "hand",
        "The row could not be read exactly, so it was not read at all, and it may stand for money. "
        "The reason names the column; the amount is never guessed.",
    ),
    LineOutcome.DUPLICATE: OutcomeWords(
        "Duplicate",
        "=",
        "quiet",
        "The same transaction, or the same reference, stands in an earlier row of this statement. "
        "It is counted once and changes nothing.",
    ),
    LineOutcome.MATCHED: OutcomeWords(
        "Matched",
        "✓",
        "good",
        "The payment is known on both sides with the same amount and the same end. Nothing is to be done.",
    ),
}
"""In the order in which they are shown: outcomes that need a person come first."""

NEXTS: Mapping[Next, tuple[str, str]] = {
    Next.NONE: ("Nothing is to be done.", "Nothing would be done."),
    Next.ASKED: (
        "The gateway is asked about the payment, and its answer decides.",
        "The gateway would be asked about the payment.",
    ),
    Next.RECORDED: (
        "This gateway cannot be asked, so the statement's row itself was recorded.",
        "This gateway cannot be asked, so the statement's row itself would be recorded.",
    ),
    Next.HELD: (
        "It was recorded as a payment of its own, held as unexpected until a shop or a person claims it.",
        "It would be recorded as a payment of its own, held as unexpected.",
    ),
    Next.REPORTED: ("It is left to you; nothing was changed.", "It is left to you."),
}


SHORT: Mapping[Next, str] = {
    Next.NONE: "",
    Next.ASKED: "gateway asked",
    Next.RECORDED: "statement recorded",
    Next.HELD: "held as unexpected",
    Next.REPORTED: "left to you",
}
"""For one row of several with different next steps."""


def what_next(step: Next, *, dry_run: bool) -> str:
    return NEXTS[step][dry_run]


def matched_first() -> list[LineOutcome]:
    """The order for sums, where most of the money comes first."""
    return [LineOutcome.MATCHED, *(outcome for outcome in WORDS_OF_OUTCOMES if outcome is not LineOutcome.MATCHED)]
