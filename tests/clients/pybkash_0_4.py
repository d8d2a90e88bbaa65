"""pybkash, which sends amounts as numbers: a payment with its Execute, the query, the search, a refund."""

from __future__ import annotations

from buyer import SANDBOX, SHOP, does, tell
from pybkash import Client, Token

token = Token(
    "sandbox-bkash-user", "sandbox-bkash-password", "sandbox-bkash-app-key", "sandbox-bkash-app-secret", sandbox=True
)
token.base_url = f"{SANDBOX}/bkash/v1.2.0-beta"
with Client(token) as bkash:
    created = bkash.create_payment(f"{SHOP}/b", "01770618575", 1500.5, invoice_number="pybkash-1")
    unpaid = bkash.query_payment(created.payment_id)
    does("bkash", "pybkash-1")
    executed = bkash.execute_payment(created.payment_id)
    asked = bkash.query_payment(created.payment_id)
    found = bkash.search_trx(executed.trx_id)
    refund = bkash.execute_refund(created.payment_id, executed.trx_id, 500.5)
    refunded = bkash.search_trx(refund.refund_trx_id)
tell(
    page=created.bkash_url,
    transaction_id=executed.trx_id,
    statuses=[one.status for one in (unpaid, executed, asked, found, refund, refunded)],
    verified=[one.verification_status for one in (unpaid, asked)],
    amount=asked.amount,
)
