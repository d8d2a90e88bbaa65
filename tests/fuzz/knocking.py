"""Requests as bytes at the public endpoints, including those that a client library would never send.

The service may close a connection after bytes that are not HTTP. Only a new connection that brings no answer to its
request is a crash.
"""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import Self

from consumers.providers import PROVIDERS
from tests.fuzz.mutating import Dice

ANSWER_SECONDS = 20.0
ACCOUNTS = (*(f"shop-{name}" for name in PROVIDERS), "nobody")
DOORS = (
    "GET /return/{account}/{payment}?status=success&paymentID=TR0011&order_id=order-1",
    "POST /return/{account}/{payment}/success",
    "GET /return/{account}/{payment}/cancel?transaction_id=T1",
    "GET /return/{account}?orderId=o-1&session_id=S1",
    "GET /return/{account}/{payment}/wait?since=1779012600&lang=bn",
    "POST /webhooks/{account}",
    "GET /ipn/{account}/{payment}?status=PAID",
    "POST /ipn/{account}/{payment}",
    "GET /ipn/{account}?mer_txnid=order-1&pay_status=Successful",
    "POST /ipn/{account}",
    "GET /v1/payments/{payment}",
    "GET /schemas/payment-1.json",
)
HEADERS = (
    "X-Forwarded-For: 203.0.113.7, 127.0.0.1",
    "X-ShadhinPay-Signature: t=1779012600,v1=0123456789abcdef",
    "X-Webhook-Signature: sha256=0123456789abcdef",
    "X-Webhook-Timestamp: 1779012600",
    "Accept-Language: bn-BD,bn;q=0.9,en;q=0.8",
    "Prefer: wait=1",
    "Authorization: Bearer nobody",
    "Content-Type: application/x-www-form-urlencoded",
    "Content-Type: text/plain; charset=UTF-8",
    "Content-Type: multipart/form-data; boundary=xYx",
    "X-Amz-Sns-Message-Type: Notification",
    "RT-UddoktaPay-API-Key: 0123456789abcdef",
    "Content-Encoding: gzip",
    "Idempotency-Key: k",
    "If-None-Match: *",
    "traceparent: 00-0123456789abcdef0123456789abcdef-0123456789abcdef-01",
)
BODIES = (
    b"",
    b'{"event":"payment.success","data":{"transaction_id":"T1","order_id":"o-1"}}',
    b"status=PAID&id=1",
    b"tran_id=o-1&status=VALID&val_id=1&bank_tran_id=T1&verify_sign=0123456789abcdef&verify_key=tran_id,status",
    b"mer_txnid=o-1&pg_txnid=T1&pay_status=Successful&status_code=2",
    b'--xYx\r\nContent-Disposition: form-data; name="invoice_id"\r\n\r\nINV-1\r\n--xYx--\r\n',
    (
        b'{"Type":"Notification","MessageId":"1","TopicArn":"arn:aws:sns:ap-southeast-1:123456789012:bpt_1","Message":"{}",'
        b'"Timestamp":"2026-11-21T00:00:00.000Z","SignatureVersion":"1","Signature":"AAAA",'
        b'"SigningCertURL":"https://sns.ap-southeast-1.amazonaws.com/SimpleNotificationService-1.pem"}'
    ),
    b"[]",
)


class Knocking:
    """One kept connection, opened again when the service closes it, as it may after bytes that are not HTTP."""

    def __init__(self, url: str) -> None:
        host, _, port = url.removeprefix("http://").partition(":")
        self._address = (host, int(port))
        self._socket: socket.socket | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def knock(self, dice: Dice, payment_id: str) -> None:
        """Send one request. Raises when no answer comes, or a status of 500 and more."""
        line = dice.one_of(DOORS).format(account=dice.one_of(ACCOUNTS), payment=payment_id)
        method, _, target = line.partition(" ")
        # Spaces and line ends would end the request line. aiohttp refuses such requests, so only a few of them are
        # sent.
        target = dice.changed(target.encode()) if dice.below(2) else target.encode()
        body = dice.changed(dice.one_of(BODIES)) if method == "POST" else b""
        headers = [dice.changed(dice.one_of(HEADERS).encode()) for _ in range(dice.below(4))]
        length = b"Content-Length: %d" % len(body)
        head = b"\r\n".join([b"%b %b HTTP/1.1" % (method.encode(), target), b"Host: fuzz", length, *headers])
        status = self._answer(head + b"\r\n\r\n" + body)
        assert status < 500, f"answered {status}"

    def _answer(self, request: bytes) -> int:
        """The status of the answer.

        A kept connection may have been closed meanwhile; then a new connection is tried.
        """
        if self._socket is not None and (status := self._sent(self._socket, request)) is not None:
            return status
        self._close()
        self._socket = socket.create_connection(self._address, ANSWER_SECONDS)
        status = self._sent(self._socket, request)
        assert status is not None, "closed without an answer"
        return status

    def _sent(self, connection: socket.socket, request: bytes) -> int | None:
        with suppress(ConnectionError):
            connection.sendall(request)
        with suppress(ConnectionError):
            return self._read(connection)
        return None

    def _read(self, connection: socket.socket) -> int | None:
        answer = b""
        while b"\r\n\r\n" not in answer:
            more = connection.recv(65_536)
            if not more:
                return None
            answer += more
        head, _, rest = answer.partition(b"\r\n\r\n")
        status = int(head[9:12])
        names = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line)
        left = int(names.get(b"content-length", b"0")) - len(rest)
        if left < 0 or names.get(b"connection") == b"close" or b"transfer-encoding" in names or status >= 400:
            self._close()  # the next bytes may be the rest of the refused request
            return status
        while left > 0 and (more := connection.recv(65_536)):
            left -= len(more)
        return status

    def _close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
