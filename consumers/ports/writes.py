"""A write to the ledger: a change of a payment, the keys that it takes, and the result."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct
from msgspec.structs import replace

from consumers.ports.readings import Reading
from schemas.callbacks import Claim
from schemas.changes import Change
from schemas.payments import Payment, TakenKeys
from schemas.words import Status


class Keys(Struct, frozen=True, kw_only=True):
    """The keys that a payment takes by its fitting answers. A key belongs to one payment.

    `references` are looked up and never taken, because each payment has its own reference from the start. `returned`:
    all of the money went back, so the order is released, not taken.
    """

    payment_id: str
    account: str
    merchant: str
    order_ref: str | None = None
    returned: bool = False
    transactions: frozenset[str] = frozenset()
    sessions: frozenset[str] = frozenset()
    references: frozenset[str] = frozenset()

    @classmethod
    def of(
        cls,
        payment: Payment,
        *,
        order_ref: str | None = None,
        returned: bool = False,
        transactions: Iterable[str] = (),
        sessions: Iterable[str] = (),
        references: Iterable[str] = (),
    ) -> Keys:
        return cls(
            payment_id=payment.id,
            account=payment.account,
            merchant=payment.merchant,
            order_ref=order_ref,
            returned=returned,
            transactions=frozenset(transactions),
            sessions=frozenset(sessions),
            references=frozenset(references),
        )


class Write(Struct, frozen=True, kw_only=True):
    """A change of one payment, to be written if no other write came since the payment was read as `reading`.

    `keys`: all that its answers claim for it. `executes`: the order is marked as being executed by this payment.
    """

    reading: Reading
    change: Change
    claims: tuple[Claim, ...] = ()
    keys: Keys
    executes: bool = False

    @property
    def wanted(self) -> Keys:
        """The keys to take: `keys`, and for a completed attempt that came second its order as well.

        The first attempt may have released the order by now. Then this attempt keeps it from a third one.
        """
        payment, keys = self.change.payment, self.keys
        if payment.status is Status.COMPLETED and keys.order_ref is None:
            return replace(keys, order_ref=payment.order_ref)
        return keys

    def lost(self, taken_keys: TakenKeys) -> TakenKeys:
        """Those of `taken_keys` that prevent this write. The order does not, where only `wanted` added it."""
        return taken_keys if self.keys.order_ref is not None else replace(taken_keys, order=False)


class WriteResult(Struct, frozen=True, kw_only=True):
    """The result of writes, by payment id. A write in neither of the two lost its swap.

    `done`: written. `taken`: not written, because these of their keys belong to other payments.
    """

    done: frozenset[str]
    taken: Mapping[str, TakenKeys]
