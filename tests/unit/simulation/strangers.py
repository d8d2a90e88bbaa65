"""What strangers can send: made-up ids, ids of other payments, guessed references, replays, and floods.

None of it is true, so none of it may change how a payment ends, in any order.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from random import Random

from consumers.account import Account
from schemas.callbacks import Callback
from schemas.words import Said, Source
from tests.unit.simulation.journal import Heard
from tests.unit.simulation.senders import SESSION_NAMES, invented, replayed
from tests.unit.simulation.truth import Truth
from tests.unit.simulation.workers import System

BY_REFERENCE = {
    "shadhinpay": "merchantTxnId",
    "ipay": "referenceId",
    "payparse": "order_ref",
    "moneybag": "order_id",
    "sslcommerz": "tran_id",
    "aamarpay": "mer_txnid",
    "eps": "MerchantTransactionId",
    "generic": "invoice_number",
}
TRANSACTIONS = {"sslcommerz": "bank_tran_id", "aamarpay": "pg_txnid", "eps": "EPSTransactionId", "generic": "trx_id"}
WORDS = (Said.SUCCESS, Said.FAILURE, Said.CANCEL, None)


class Strangers:
    """They see references and other payments' ids, never a payment's own path unless they are its buyer."""

    def __init__(self, system: System, seed: int) -> None:
        self.system = system
        self.flooded: set[str] = set()
        self._seen: list[Truth] = []
        self._random = Random(f"{seed}/strangers")

    def bother(self, account: Account, truth: Truth, _: Random) -> None:
        draw = self._random
        self._seen.append(truth)
        chance = draw.random()
        at = self.system.clock.now + timedelta(seconds=draw.choice([60, 3600, 86400 * 3]) * draw.random())
        if chance < 0.03:
            self._sends(account, truth, at, self._others_ids(account, truth), own=draw.random() < 0.5)
        elif chance < 0.06:
            self._sends(account, truth, at, self._made_up(account, truth, 0), own=draw.random() < 0.5)
        elif chance < 0.08:
            query = self._by_reference(account, truth)
            self._sends(account, truth, at, query, own=False, body=b'{"order_id": "another", "status": "success"}')
        elif chance < 0.09:
            self._floods(account, truth, at)
        elif chance < 0.11:
            self._just_before(account, truth)

    def borrows(self, account: Account, truth: Truth, paid: Truth, at: datetime) -> None:
        """The buyer of one order comes back on its own path with the paid invoice of another."""
        query = {SESSION_NAMES[account.provider.name]: paid.session_id or "none"}
        callback = invented(account, at, query, payment_id=truth.payment_id, said=Said.SUCCESS)
        self._at(at, callback, truth, own=True, said=Said.SUCCESS)

    def replay(self, truth: Truth, hook: Callback, sent: datetime) -> None:
        """A signed body that a stranger saw, sent again and again with a query of the stranger's own."""
        other = self._random.choice(self._seen or [truth])
        query = {
            "order_id": other.reference,
            "merchantTxnId": other.reference,
            "transaction_id": "T-made-up",
            "event_id": "1",
        }
        for minutes in (0.01, 3, 700):
            at = sent + timedelta(minutes=minutes)
            again = replayed(hook, at, query)
            self._at(at, again, truth, own=False)

    def _by_reference(self, account: Account, truth: Truth) -> dict[str, str]:
        name = BY_REFERENCE.get(account.provider.name)
        return {name: truth.reference} if name else {}

    def _others_ids(self, account: Account, truth: Truth) -> dict[str, str]:
        """An id of another payment of the account, beside the reference of this payment."""
        others = [one for one in self._seen[-200:] if one.account == account.id and one is not truth]
        if not others:
            return self._by_reference(account, truth)
        other = self._random.choice(others)
        if account.provider.name == "moneybag":
            return {"transaction_id": f"T-{other.payment_id[4:]}", "order_id": truth.reference}
        name = SESSION_NAMES.get(account.provider.name)
        if name is None:
            return self._by_reference(account, truth) | {
                TRANSACTIONS[account.provider.name]: f"T-{other.payment_id[4:]}"
            }
        return self._by_reference(account, truth) | {name: other.session_id or "none"}

    def _made_up(self, account: Account, truth: Truth, number: int) -> dict[str, str]:
        if account.provider.name == "moneybag":
            return {"transaction_id": f"T-made-up-{number}", "order_id": truth.reference}
        name = SESSION_NAMES.get(account.provider.name, "paymentID")
        return self._by_reference(account, truth) or {name: f"S-made-up-{number}"}

    def _just_before(self, account: Account, truth: Truth) -> None:
        """A dozen requests by the reference in the hour in which the buyer returns."""
        for number in range(12):
            at = self.system.clock.now + timedelta(seconds=2 + number * 3 * self._random.random())
            self._sends(account, truth, at, self._by_reference(account, truth), own=False)

    def _floods(self, account: Account, truth: Truth, at: datetime) -> None:
        self.flooded.add(truth.payment_id)
        own = self._random.random() < 0.3
        for number in range(120):
            seconds = number / 10 if number < 80 else (number - 80) * 144
            self._sends(account, truth, at + timedelta(seconds=seconds), self._made_up(account, truth, number), own=own)

    def _sends(
        self, account: Account, truth: Truth, at: datetime, query: dict[str, str], *, own: bool, body: bytes = b""
    ) -> None:
        said = self._random.choice(WORDS)
        own = own and truth.session_id is not None  # a checkout that was never made has no path
        path_word = said if own else None
        if said is not None and not own:
            query = query | {"status": said}
        callback = invented(account, at, query, payment_id=truth.payment_id if own else None, said=path_word, body=body)
        self._at(at, callback, truth, own=own, said=said)

    def _at(self, at: datetime, callback: Callback, truth: Truth, *, own: bool, said: Said | None = None) -> None:
        about = Heard(
            payment_id=truth.payment_id,
            at=at,
            source=Source.RETURN,
            said=said,
            transaction=None,
            signed=False,
            own=own,
            hostile=True,
            acknowledged=False,
        )

        def hits() -> None:
            self.system.call_back(callback, about)

        self.system.agenda.at(at, hits)
