"""Whether an account's keys and passwords work, by the cheapest call that proves it. Nothing is opened.

A gateway's file may have a `prove` of its own. Any other gateway is asked about a payment that does not exist: where
its words for that differ from those for a refused key, they prove the key.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from consumers.checks.candidates import question_about
from consumers.ports.effects import Exchange
from consumers.ports.gateway import NOBODYS_PAYMENT, Proof
from consumers.providers.kit.replies import UNDOCUMENTED_404
from schemas.answers import Expected, ForeignTransaction, Inconclusive, Question, Trouble

_WORKS = Proof(verdict="works", words="it accepts the key")


def prove_credentials(provider: Any) -> Exchange[Proof | Inconclusive]:
    """Prove the credentials of one account's Provider. Inconclusive where the gateway is in trouble or cannot be read.

    A 401 or 403 is Inconclusive, with the trouble `key_refused`: a refused token ends the exchange in the same way.
    """
    if hasattr(provider, "prove"):
        proof: Proof | Inconclusive = yield from provider.prove()
        return proof
    capabilities = provider.capabilities
    if not capabilities.asked_by:
        return Proof(verdict="unknown", words="no call of this gateway proves the key without opening a payment")
    question = Question() if capabilities.candidates is None else question_about(NOBODYS_PAYMENT, capabilities)
    expected = Expected(
        payment_id=NOBODYS_PAYMENT,
        reference=NOBODYS_PAYMENT,
        session_id=NOBODYS_PAYMENT,
        amount=Decimal("10.00"),
        currency="BDT",
    )
    outcome = yield from provider.ask(question, expected)
    match outcome:
        case ForeignTransaction() | Inconclusive(trouble=Trouble.NOT_FOUND):
            return _WORKS
        case Inconclusive(detail=detail) if detail == UNDOCUMENTED_404:
            # The made-up payment is unknown there, in undocumented words. A refused key would have come first.
            return _WORKS
        case Inconclusive():
            return outcome
        case _:
            return _WORKS
