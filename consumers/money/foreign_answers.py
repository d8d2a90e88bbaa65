"""Answers that are about another payment, and so are no Fact about the one that was asked about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from consumers.ports.ledger import Ledger, Sight
from consumers.ports.reply import Reply
from schemas.answers import Answer, ForeignTransaction


async def others_left_alone(ledger: Ledger, sights: Mapping[str, Sight], replies: Sequence[Reply]) -> list[Reply]:
    """The replies. An answer about a claim's id that echoes another payment's reference becomes a ForeignTransaction.

    A gateway's file takes an answer with another reference for foreign by itself. Those that come here differ from
    ours in case or outer blanks alone, and only a look at the account's payments tells whose they are.
    """
    names = {id(reply): name for reply in replies if (name := _other_reference(sights, reply)) is not None}
    others = await ledger.referenced(set(names.values())) if names else frozenset()
    return [
        replace(reply, outcome=ForeignTransaction(why="other_payment")) if names.get(id(reply)) in others else reply
        for reply in replies
    ]


def _other_reference(sights: Mapping[str, Sight], reply: Reply) -> tuple[str, str] | None:
    """The account, and the reference that is not ours, of an answer about an id that a claim gave us."""
    answer, sight = reply.outcome, sights.get(reply.payment_id)
    if reply.question.transaction_id is None or sight is None or not isinstance(answer, Answer):
        return None
    if answer.reference is None or answer.reference == sight.case.payment.reference:
        return None
    return sight.case.payment.account, answer.reference
