"""A claim as it is published: with its callback whole, or with a digest where a budget of bytes has nothing left.

This is done before a claim is published. So queues, spool, dead letters and archive hold the same.
"""

from __future__ import annotations

from hashlib import sha256

from msgspec import Struct
from msgspec.structs import replace

from consumers.early_claims import is_signed, names
from schemas.callbacks import Callback, Claim, Omission, Omitted
from worker.ingress.byte_budgets import ADDRESS, PAYMENT, SIGNED, ByteBudget, ByteBudgets

FEW_HEADERS = frozenset({"content-type", "content-length", "user-agent"})
LONGEST_VALUE = 200
SHORT_QUERY = 512


class BoundedClaims(Struct, frozen=True):
    """Bounds what claims carry, by these budgets."""

    budgets: ByteBudgets

    def bounded(self, claim: Claim, payment_id: str | None, sender: str | None) -> Claim:
        """The claim, whose callback is a digest if there is no room.

        `payment_id`: the payment that it is about. A stranger may name it with ever other ids beside it, and must not
        get a budget for each of them. So only where it is unknown, the claim's strongest id stands for it. `sender`:
        the address that is counted, or None.
        """
        if claim.callback is None:
            return claim
        because = self._no_room(claim, claim.callback, payment_id, sender)
        return claim if because is None else with_digest(claim, because)

    def _no_room(self, claim: Claim, callback: Callback, payment_id: str | None, sender: str | None) -> Omission | None:
        if self.budgets.archive_full:
            return Omission.ARCHIVE
        named = payment_id or claim.payment_id or next((name for name in names(claim) if name is not None), "")
        payment = f"{claim.account} {named}"
        wanted: list[tuple[ByteBudget, str]] = [(SIGNED, payment)]
        if not is_signed(claim):
            wanted = [(PAYMENT, payment), (self.budgets.installation, "")]
            wanted += [(ADDRESS, sender)] if sender is not None else []
        spent = self.budgets.take(wanted, _size(callback))
        return Omission(spent.name) if spent is not None else None


def with_digest(claim: Claim, because: Omission) -> Claim:
    """The claim with the digest of its callback: size and SHA-256 of the body, a few headers, a short query."""
    callback = claim.callback
    if callback is None:
        return claim
    query = sum(len(name) + len(value) for name, value in callback.query)
    omitted = Omitted(
        because=because,
        body_bytes=len(callback.body),
        body_sha256=sha256(callback.body).hexdigest(),
        query_characters=query,
    )
    few = tuple((name, value[:LONGEST_VALUE]) for name, value in callback.headers if name in FEW_HEADERS)[:4]
    kept = callback.query if query <= SHORT_QUERY else ()
    return replace(claim, callback=replace(callback, body=b"", headers=few, query=kept, omitted=omitted))


def _size(callback: Callback) -> int:
    """About what the callback takes in a queue and in the archive, before JSON and base64."""
    pairs = (*callback.query, *callback.headers)
    return len(callback.body) + sum(len(name) + len(value) for name, value in pairs)
