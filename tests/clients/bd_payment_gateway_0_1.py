"""bd-payment-gateway, whose HTTP is Rust's: a session, and its state by sessionkey, val_id and tran_id.

It drops the path of a base URL.
"""

from __future__ import annotations

from decimal import Decimal

from at_the_root import at_the_root
from bd_payment_gateway.sslcommerz import SslcommerzClient
from bd_payment_gateway.sslcommerz.models import (
    Customer,
    InitiatePaymentRequest,
    Product,
    Settings,
    Urls,
    VerifyPaymentRequest,
)
from buyer import SANDBOX, SHOP, does, tell

with at_the_root(f"{SANDBOX}/sslcommerz") as address:
    settings = Settings(
        store_id="sandboxstore001",
        store_passwd="sandbox-sslcommerz-password",
        environment="custom",
        custom_base_url=address,
    )
    client = SslcommerzClient.from_settings(settings)
    opened = client.initiate_payment(
        InitiatePaymentRequest(
            total_amount=Decimal("1500.50"),
            tran_id="rust-1",
            urls=Urls(success_url=f"{SHOP}/s", fail_url=f"{SHOP}/f", cancel_url=f"{SHOP}/c"),
            customer=Customer(
                name="Rahima",
                email="rahima@shop.example",
                address_line_1="1 Road",
                city="Dhaka",
                country="Bangladesh",
                phone="01700000000",
            ),
            product=Product(name="Books", category="books"),
        )
    )
    by_session = VerifyPaymentRequest(session_key=opened.provider_reference)
    unpaid = client.verify_payment(by_session)
    paid = does("sslcommerz", "rust-1")
    told = [
        client.verify_payment(asked)
        for asked in (
            by_session,
            VerifyPaymentRequest(val_id=paid["form"]["val_id"]),
            VerifyPaymentRequest(tran_id="rust-1"),
        )
    ]
    tell(
        page=opened.redirect_url,
        transaction_id=told[0].raw["bank_tran_id"],
        statuses=[unpaid.status, *(one.status for one in told)],
        amount=told[0].amount,
    )
