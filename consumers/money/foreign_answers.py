"""Answers that are about another payment, and so are no Fact about the one that was asked about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from consumers.ports.ledger import Ledger, Reading
from consumers.ports.reply import Reply
from schemas.answers import Answer, ForeignTransaction


async def attribute_replies(ledger: Ledger, readings: Mapping[str, Reading], replies: Sequence[Reply]) -> list[Reply]:
    """The replies. An answer about a claim's id that echoes another payment's reference becomes a ForeignTransaction.

    A gateway's file takes an answer with another reference for foreign by itself. Those that come here differ from
    ours in case or outer blanks alone, and only a look at the account's payments tells whose they are.
    """
    names = {id(reply): name for reply in replies if (name := _foreign_reference(readings, reply)) is not None}
    others = await ledger.referenced(set(names.values())) if names else frozenset()
    return [
        replace(reply, outcome=ForeignTransaction(why="other_payment")) if names.get(id(reply)) in others else reply
        for reply in replies
    ]


def _foreign_reference(readings: Mapping[str, Reading], reply: Reply) -> tuple[str, str] | None:
    """The account, and the reference that is not ours, of an answer about an id that a claim gave us."""
    answer, reading = reply.outcome, readings.get(reply.payment_id)
    if reply.question.transaction_id is None or reading is None or not isinstance(answer, Answer):
        return None
    if answer.reference is None or answer.reference == reading.case.payment.reference:
        return None
    return reading.case.payment.account, answer.reference
