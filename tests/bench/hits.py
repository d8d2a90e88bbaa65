"""The callback of payment n as it comes over HTTP: a signed webhook, or a buyer's browser that returns.

A signature is valid for five minutes, and making it takes longer than many a server takes to answer. So the sender
makes all requests before the clock runs.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator
from typing import Literal, assert_never

from tests.bench.numbered import account_of, body, event_id, gateway_of, payment_id, session_id, transaction_id
from worker.playground.sandbox.sandbox_config import CREDENTIALS
from worker.playground.sandbox.shadhinpay_webhooks import headers as shadhinpay_headers

Kind = Literal["webhooks", "returns", "mixed"]
"""Webhooks only, buyers' returns only, or for each payment what its gateway does."""


def numbers(kind: Kind, first: int, count: int) -> list[int]:
    """The first `count` payments, from number `first`, that have a request of this kind."""
    return list(_numbers(kind, first, count))


def hit(kind: Kind, n: int, at: int) -> bytes:
    """The whole request about payment n, signed at Unix time `at` where it is a webhook."""
    match kind:
        case "webhooks":
            return _webhook(n, at)
        case "returns":
            return _return(n)
        case "mixed":
            return _webhook(n, at) if body(n) else _return(n)
        case _:
            assert_never(kind)


def _numbers(kind: Kind, first: int, count: int) -> Iterator[int]:
    while count > 0:
        if kind != "webhooks" or body(first):
            yield first
            count -= 1
        first += 1


def _webhook(n: int, at: int) -> bytes:
    said, secret = body(n), CREDENTIALS[gateway_of(n)]["webhook_secret"]
    if gateway_of(n) == "shadhinpay":
        signed = shadhinpay_headers(said, event_id(n), at=at, attempt=1, secret=secret)
    else:
        digest = hmac.new(secret.encode(), b"%d." % at + said, hashlib.sha256).hexdigest()
        signed = {"X-Webhook-Signature": f"sha256={digest}", "X-Webhook-Timestamp": str(at)}
    headers = {
        "User-Agent": "gateway/1.0",
        "Accept": "*/*",
        "Content-Type": "application/json",
        "Content-Length": str(len(said)),
    }
    return _head("POST", f"/webhooks/{account_of(n)}", headers | signed) + said


def _return(n: int) -> bytes:
    headers = {
        "User-Agent": "Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0 Mobile",
        "Accept": "text/html,application/xhtml+xml,*/*;q=0.8",
        "Accept-Language": "bn-BD,bn;q=0.9,en;q=0.8",
        "Accept-Encoding": "gzip, deflate, br",
    }
    brought = f"transaction_id={transaction_id(n)}" if gateway_of(n) == "moneybag" else f"orderId={session_id(n)}"
    return _head("GET", f"/return/{account_of(n)}/{payment_id(n)}/success?{brought}", headers)


def _head(method: str, path: str, headers: dict[str, str]) -> bytes:
    lines = [
        f"{method} {path} HTTP/1.1",
        "Host: pay.shop.example",
        *(f"{key}: {value}" for key, value in headers.items()),
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()
