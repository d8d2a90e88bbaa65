"""bkash-pgw-tokenized: grant, refresh, a payment with its Execute, the query, the search, a refund."""

from __future__ import annotations

import asyncio

from bkash_pgw_tokenized import Bkash
from buyer import SANDBOX, SHOP, does, tell

bkash = Bkash(
    {
        "app_key": "sandbox-bkash-app-key",
        "app_secret": "sandbox-bkash-app-secret",
        "username": "sandbox-bkash-user",
        "password": "sandbox-bkash-password",
        "base_url": f"{SANDBOX}/bkash/v1.2.0-beta",
    }
)


async def pays() -> None:
    granted = await bkash.grant_token()
    token = (await bkash.refresh_token(granted["refresh_token"]))["id_token"]
    created = await bkash.create_payment(
        token,
        mode="0011",
        payer_reference="01770618575",
        callback_url=f"{SHOP}/b",
        amount="1500.50",
        currency="BDT",
        intent="sale",
        merchant_invoice_number="tokenized-1",
    )
    payment_id = created["paymentID"]
    unpaid = await bkash.payment_status(token, payment_id)
    does("bkash", "tokenized-1")
    executed = await bkash.execute_payment(token, payment_id)
    trx_id = executed["trxID"]
    asked = await bkash.payment_status(token, payment_id)
    found = await bkash.search_transaction(token, trx_id)
    refund = await bkash.refund(
        token, payment_id=payment_id, trx_id=trx_id, amount="500.50", sku="book", reason="returned"
    )
    left = await bkash.search_transaction(token, trx_id)
    tell(
        page=created["bkashURL"],
        transaction_id=asked["trxID"],
        statuses=[one["transactionStatus"] for one in (unpaid, executed, asked, found, refund)],
        amount=asked["amount"],
        refundable=left["maxRefundableAmount"],
    )


asyncio.run(pays())
