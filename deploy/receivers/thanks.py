"""The page that the buyer comes back to: it shows what Payproof verified, and ships nothing. WSGI."""

import base64
import hmac
import os
import re
from urllib.parse import parse_qsl
from wsgiref.simple_server import make_server

KEY = base64.b64decode(os.environ["PAYPROOF_WEBHOOK_SECRET"].removeprefix("whsec_"))
if len(KEY) < 24:  # anyone can sign with an empty key
    raise SystemExit("PAYPROOF_WEBHOOK_SECRET is no whsec_ secret")
WORDS = {"completed": "Paid. Thank you!", "held": "Your payment needs a look. We will write to you.",
         "refunded": "Your money is on its way back.", "failed": "Not paid. Please try again.",
         "cancelled": "Not paid. Please try again.", "expired": "Not paid in time. Please try again."}  # fmt: skip


def verified_status(query, reference):
    """The status of the buyer's own attempt; None where Payproof did not write it, or wrote it about another."""
    names = ("payment_id", "reference", "status")
    text = ".".join(["payproof-return", *(query.get(name, "") for name in names)])
    expected = hmac.new(KEY, text.encode(), "sha256").hexdigest()
    right = hmac.compare_digest(expected.encode(), query.get("signature", "").encode())
    right = right and re.fullmatch("pay_[0-9a-z]{26}", query["payment_id"])  # no other place for its dots
    return query["status"] if right and query["reference"] == reference else None


def application(environ, start_response):
    reference = environ["PATH_INFO"].removeprefix("/thanks/")  # in your shop: that of the buyer's session
    status = verified_status(dict(parse_qsl(environ["QUERY_STRING"])), reference)
    start_response("200 OK", [("Content-Type", "text/html; charset=utf-8")])
    return [f"<!doctype html><title>Thanks</title><p>{WORDS.get(status, 'We are checking.')}".encode()]


if __name__ == "__main__":
    make_server("127.0.0.1", int(os.environ.get("PORT", "9001")), application).serve_forever()
