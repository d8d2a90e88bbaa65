"""jukto: a session, the IPN's signature, the validation, both queries, a refund. The strictest of all.

It speaks to SSLCOMMERZ's own host by TLS alone, and takes no page that lies elsewhere. So its HTTP goes through a proxy
of ours that ends the TLS; jukto itself is as it was published.
"""

from __future__ import annotations

from decimal import Decimal

import httpx
from buyer import SANDBOX, SHOP, does, tell
from jukto.payments import PaymentCustomer, PaymentReference, PaymentRequest, PaymentURLs, RefundRequest
from jukto.providers.payments.sslcommerz import SSLCommerzClient

GATEWAY, OURS = "https://sandbox.sslcommerz.com", f"{SANDBOX}/sslcommerz"


class Proxy(httpx.HTTPTransport):
    """Hands each request on to the sandbox, and writes the gateway's own address into the answers."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        url = httpx.URL(str(request.url).replace(GATEWAY, OURS))
        headers = {**request.headers, "host": url.netloc.decode()}
        answered = super().handle_request(httpx.Request(request.method, url, headers=headers, stream=request.stream))
        text = answered.read().decode()
        kind = {"Content-Type": answered.headers["Content-Type"]}
        return httpx.Response(answered.status_code, headers=kind, text=text.replace(OURS, GATEWAY))


client = SSLCommerzClient(
    "sandboxstore001", "sandbox-sslcommerz-password", http_client=httpx.Client(transport=Proxy(trust_env=False))
)
order = PaymentReference("strict-1", Decimal("1500.50"), "BDT")
opened = client.initiate(
    PaymentRequest(
        reference=order,
        customer=PaymentCustomer(
            "Rahima", "rahima@shop.example", "01700000000", "1 Road", "Dhaka", "1000", "Bangladesh"
        ),
        urls=PaymentURLs(f"{SHOP}/s", f"{SHOP}/f", f"{SHOP}/c", f"{SHOP}/ipn"),
        product_name="Books",
        product_category="books",
    )
)
unpaid = client.query_session(opened.session_id, order)
paid = does("sslcommerz", "strict-1")
notified = client.verify_notification(paid["form"], order)
(listed,) = client.query_transaction(order).attempts
session = client.query_session(opened.session_id, order)
refund = client.refund(RefundRequest(order, notified.bank_transaction_id, "refund-1", Decimal("100.00"), "returned"))
asked = client.query_refund(refund.provider_refund_id, notified.bank_transaction_id)
tell(
    page=opened.customer_action_url.replace(GATEWAY, OURS),
    transaction_id=notified.bank_transaction_id,
    statuses=[unpaid.provider_status, notified.provider_status, listed.provider_status, session.provider_status],
    ships=[unpaid.can_fulfill, notified.can_fulfill],
    refund=[refund.status.value, asked.status.value],
)
