"""shurjopay-plugin: the official one: token with its 12-hour clock, a payment, its verification."""

from __future__ import annotations

import tempfile

from buyer import SANDBOX, SHOP, does, tell
from shurjopay_plugin.models import PaymentRequestModel, ShurjoPayConfigModel
from shurjopay_plugin.shurjopay_plugin import ShurjopayPlugin

plugin = ShurjopayPlugin(
    ShurjoPayConfigModel(
        SP_USERNAME="sandbox-shurjopay",
        SP_PASSWORD="sandbox-shurjopay-password",
        SP_ENDPOINT=f"{SANDBOX}/shurjopay/",
        SP_RETURN=f"{SHOP}/r",
        SP_CANCEL=f"{SHOP}/c",
        SP_PREFIX="SPSBX",
        SP_LOGDIR=tempfile.mkdtemp() + "/plugin.log",
    )
)
opened = plugin.make_payment(
    PaymentRequestModel(
        amount=1500.5,
        order_id="plugin-1",
        currency="BDT",
        customer_name="Rahima",
        customer_address="1 Road",
        customer_phone="01700000000",
        customer_city="Dhaka",
        customer_post_code="1000",
    )
)
paid = does("shurjopay", "plugin-1")
verified = plugin.verify_payment(opened.sp_order_id)
tell(
    page=opened.checkout_url,
    transaction_id=verified.bank_trx_id,
    statuses=[str(verified.shurjopay_code)],
    amount=verified.amount,
)
