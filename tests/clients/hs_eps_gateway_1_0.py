"""hs-eps-gateway: a token, a payment, its status before and after, and that of an unknown one."""

from __future__ import annotations

import os

from buyer import SANDBOX, SHOP, does, tell

os.environ |= {
    "EPS_TOKEN_URL": f"{SANDBOX}/eps/v1/Auth/GetToken",
    "EPS_INIT_PAYMENT_URL": f"{SANDBOX}/eps/v1/EPSEngine/InitializeEPS",
    "EPS_VERIFY_URL": f"{SANDBOX}/eps/v1/EPSEngine/CheckMerchantTransactionStatus",
    "EPS_MERCHANT_ID": "5d4a1f8e-0000-4000-8000-000000000001",
    "EPS_STORE_ID": "5d4a1f8e-0000-4000-8000-000000000002",
    "EPS_USERNAME": "sandbox-eps-user",
    "EPS_PASSWORD": "sandbox-eps-password",
    "EPS_HASH_KEY": "sandbox-eps-hash-key",
}

from hs_eps_gateway import config
from hs_eps_gateway.client import EPSClient
from hs_eps_gateway.eps_types import PaymentPayload, ProductItem

eps = EPSClient()
payment = PaymentPayload(
    merchantId=config.MERCHANT_ID,
    storeId=config.STORE_ID,
    CustomerOrderId="order-7831",
    merchantTransactionId="eps-client-1",
    totalAmount=1500.5,
    successUrl=f"{SHOP}/s",
    failUrl=f"{SHOP}/f",
    cancelUrl=f"{SHOP}/c",
    customerName="Rahima",
    customerEmail="rahima@shop.example",
    customerAddress="1 Road",
    customerCity="Dhaka",
    customerState="Dhaka",
    customerPostcode="1000",
    customerCountry="BD",
    customerPhone="01700000000",
    productName="Books",
)
book = ProductItem(
    ProductName="Books", NoOfItem="1", ProductProfile="general", ProductCategory="books", ProductPrice="1500.50"
)
opened = eps.init_payment(payment, [book])
unpaid = eps.get_transaction_status("eps-client-1")
does("eps", "eps-client-1")
paid = eps.get_transaction_status("eps-client-1")
unknown = eps.get_transaction_status("nobody-s-one")
tell(
    page=opened.RedirectURL,
    transaction_id=paid.EPSTransactionId,
    statuses=[unpaid.status, paid.status, unknown.status],
    amount=paid.paid_amount,
)
