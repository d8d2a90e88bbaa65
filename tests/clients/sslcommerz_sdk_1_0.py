"""sslcommerz-sdk: a session, the IPN with its hash and validation, both queries."""

from __future__ import annotations

from buyer import SANDBOX, SHOP, does, tell
from sslcommerz_sdk.services import PayloadSchema
from sslcommerz_sdk.store import SslcommerzStore

store = SslcommerzStore("sandboxstore001", "sandbox-sslcommerz-password", base_url=f"{SANDBOX}/sslcommerz")
opened = store.create_session(
    total_amount="1500.50",
    currency="BDT",
    tran_id="sdk-1",
    product_category="books",
    success_url=f"{SHOP}/s",
    fail_url=f"{SHOP}/f",
    cancel_url=f"{SHOP}/c",
    cus_name="Rahima",
    cus_email="rahima@shop.example",
    cus_add1="1 Road",
    cus_city="Dhaka",
    cus_country="Bangladesh",
    cus_phone="01700000000",
    shipping_method="NO",
    num_of_item=1,
    product_name="Books",
    product_profile="general",
)
open_list = store.query_transaction_by_tran_id("sdk-1")
paid = does("sslcommerz", "sdk-1")
validated = store.validate_ipn_payload(PayloadSchema().load(paid["form"]))
listed = store.query_transaction_by_tran_id("sdk-1")
session = store.query_transaction_by_sessionkey(opened["sessionkey"])
unknown = store.query_transaction_by_tran_id("nobody-s")
tell(
    page=opened["GatewayPageURL"],
    hash=validated is not None,
    transaction_id=validated["bank_tran_id"],
    statuses=[
        open_list["element"][0]["status"],
        validated["status"],
        listed["element"][0]["status"],
        session["status"],
        unknown["element"][0]["status"],
    ],
    amount=validated["currency_amount"],
)
