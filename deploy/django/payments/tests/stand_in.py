"""A Payproof that answers over HTTP what a test wrote, and payments as Payproof tells them."""

import json
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

from django.test import TestCase

from payments.models import Order

ACCOUNT = "shop-payparse"
SECRET = "whsec_" + "QUJD" * 8


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer()

    def do_POST(self):
        self.answer()

    def answer(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        status, headers, body = next(
            told for method, within, *told in self.server.answers if method == self.command and within in self.path
        )
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *_):
        pass


class PayproofTest(TestCase):
    def setUp(self):
        server = HTTPServer(("127.0.0.1", 0), Handler)
        server.answers = []
        self.payproof = server
        thread = Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        mine = {"PAYPROOF_URL": f"http://127.0.0.1:{server.server_port}", "PAYPROOF_ACCOUNT": ACCOUNT}
        mine |= {"PAYPROOF_WEBHOOK_SECRET": SECRET, "ADMINS": [("", "admin@shop.example")]}
        self.enterContext(self.settings(**mine))

    def answers(self, method, within, body, *, status=200, headers=None):
        """From now on to requests of this method with these words in their path or query."""
        self.payproof.answers.insert(0, (method, within, status, headers or {}, body))


def listed(*payments, cursor=None):
    return {"payments": list(payments), "next_cursor": cursor}


def ordered(name, attempts=1):
    """An order with attempts `<name>-1`, `<name>-2` and so on."""
    order = Order.objects.create(name=name, total="1500.50")
    for number in range(1, attempts + 1):
        reference = f"{name}-{number}"
        request = {"reference": reference, "order": name, "account": ACCOUNT, "amount": "1500.50", "currency": "BDT"}
        order.attempts.create(reference=reference, request=request)
    order.refresh_from_db()
    return order


def payment(name, number=1, version=2, status="completed", **more):
    return {
        "payment_id": f"pay_{name}_{number}",
        "order": name,
        "reference": f"{name}-{number}",
        "account": ACCOUNT,
        "version": version,
        "status": status,
        "hold": None,
        "risk": None,
        "amount": "1500.50",
        "currency": "BDT",
        "transaction_id": None,
        "refunded_amount": "0.00",
        "late": False,
        "checkout_url": None,
        "expires_at": None,
    } | more
