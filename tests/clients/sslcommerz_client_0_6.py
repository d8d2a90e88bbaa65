"""sslcommerz-client: a session, the IPN's hash, the validation, both queries, a refund. Its enums are strict."""

from __future__ import annotations

from buyer import SANDBOX, SHOP, does, tell
from sslcommerz_client import SSLCommerzClient

ORDER = {
    "total_amount": "1500.50",
    "currency": "BDT",
    "tran_id": "client-1",
    "product_category": "books",
    "success_url": f"{SHOP}/s",
    "fail_url": f"{SHOP}/f",
    "cancel_url": f"{SHOP}/c",
    "cus_name": "Rahima",
    "cus_email": "rahima@shop.example",
    "cus_add1": "1 Road",
    "cus_city": "Dhaka",
    "cus_country": "Bangladesh",
    "cus_phone": "01700000000",
    "shipping_method": "NO",
    "num_of_item": 1,
    "product_name": "Books",
    "product_profile": "general",
}


class Client(SSLCommerzClient):
    @property
    def baseURL(self) -> str:  # noqa: N802 - the client's own name
        return f"{SANDBOX}/sslcommerz"


client = Client("sandboxstore001", "sandbox-sslcommerz-password")
opened = client.initiate_session(ORDER).response
paid = does("sslcommerz", ORDER["tran_id"])
ipn = client.validate_IPN(paid["form"])
validated = client.get_order_validation_data(ipn.response).response
listed = client.get_transaction_by_id(ORDER["tran_id"]).response
session = client.get_transaction_by_session(opened.sessionkey).response
refund = client.initiate_refund(
    {
        "bank_tran_id": validated.bank_tran_id,
        "refund_amount": "100.00",
        "refund_remarks": "returned",
        "refe_id": "r1",
    }
).response
tell(
    page=opened.GatewayPageURL,
    hash=ipn.status,
    transaction_id=validated.bank_tran_id,
    statuses=[validated.status.value, listed.element[0].status, session.status],
    amount=listed.element[0].currency_amount,
    refund=refund.status.value,
)
