"""Answers that turn out to be about another payment, and so are no Facts about the payment that was asked about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from consumers.ports.ledger import Ledger
from consumers.ports.readings import Reading
from consumers.ports.reply import Reply
from schemas.answers import Answer, ForeignTransaction


async def attribute_replies(ledger: Ledger, readings: Mapping[str, Reading], replies: Sequence[Reply]) -> list[Reply]:
    """Returns the replies. A candidate's answer that echoes another payment's reference becomes a ForeignTransaction.

    A gateway's file does that by itself for a reference that is clearly another's. A reference that comes here differs
    from ours only in case or outer blanks, so the account's other payments have to be looked up.
    """
    names = {id(reply): name for reply in replies if (name := _foreign_reference(readings, reply)) is not None}
    others = await ledger.referenced(set(names.values())) if names else frozenset()
    return [
        replace(reply, outcome=ForeignTransaction(why="other_payment")) if names.get(id(reply)) in others else reply
        for reply in replies
    ]


def _foreign_reference(readings: Mapping[str, Reading], reply: Reply) -> tuple[str, str] | None:
    """The account and the reference of an answer that was asked for by a candidate and echoes another reference."""
    answer, reading = reply.outcome, readings.get(reply.payment_id)
    if reply.question.candidate is None or reading is None or not isinstance(answer, Answer):
        return None
    if answer.reference is None or answer.reference == reading.case.payment.reference:
        return None
    return reading.case.payment.account, answer.reference
