"""The readers of strangers' bytes that all gateways share: JSON, money, times, requests, messages, headers.

Only the exceptions that a reader's contract names are caught; any other is a crash.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from ipaddress import ip_network
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from msgspec import Struct
from multidict import CIMultiDict

from consumers.providers.kit import timestamps
from consumers.providers.kit.callback_fields import text_or_none
from consumers.providers.kit.multipart import read_multipart
from consumers.webhook_policy import AttemptResponse, Delivered, Gone, Retry, outcome, retry_after
from schemas.callbacks import Claim, read_claim
from schemas.numbers import money, whole
from schemas.own_json import NotOurs
from schemas.request_shape import Shape, Wrong
from schemas.requests import EVENTS_QUERY, EXPECTED_PAYMENT, NEW_PAYMENT, RESOLUTION, TRACKED_PAYMENT
from schemas.statements import Line
from schemas.wire import Told, Unreadable, canonical, read_json, read_leniently
from schemas.words import Authenticity, Source
from tests.fuzz.gateways import gateways
from tests.fuzz.parser import Parser
from tests.unit.statement_files import HEADERS, ROW
from tests.unit.statement_files import read as read_statement
from worker.amqp.messages import strangers_id
from worker.api.problems import Problem
from worker.api.read import LIST_QUERY, EventsCursor, _cursor, _events_cursor, _position, _written_cursor
from worker.ingress.pages.language import preferred
from worker.ingress.polling import seconds_to_wait, since
from worker.ingress.rate_limits import RateLimits
from worker.reconciliation.statements import StatementError
from worker.requests.expected_consumer import _printable
from worker.runtime.peer_addresses import sender_key
from worker.telemetry.tracing import traceparent_of

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
A_PAYMENT = "pay_" + "7" * 26
WISH = {
    "account": "shop-ipay",
    "reference": "order-7831-a1",
    "order": "order-7831",
    "amount": "1500.50",
    "currency": "BDT",
    "description": "Order 7831",
    "return_url": "https://shop.example/thanks?a=1",
    "customer": {"name": "Rahim", "email": "r@example.com"},
    "metadata": {"cart": "9"},
    "provider_options": {"deep": [{"er": [1, 2.5, None, True]}]},
    "expires_in": 3600,
}
EXPECTED = {"merchant": "shop", "session_id": "TR-1", **WISH}
TRACKED = {name: EXPECTED[name] for name in ("account", "reference", "amount", "currency", "session_id", "metadata")}
RESOLVED = {"status": "completed", "actor": "Rahim", "reason": "seen\nin the bank", "version": 3, "evidence": "ref 1"}
MULTIPART = (
    b'--x\r\nContent-Disposition: form-data; name="transaction_id"\r\n\r\ntxn1\r\n'
    b'--x\r\nContent-Disposition: form-data; name="f"; filename="f.txt"\r\nContent-Type: text/plain\r\n\r\nno\r\n'
    b"--x\r\nContent-Disposition: form-data; name*0*=x''%ff; name*1=y\r\n\r\n2\r\n--x--\r\n"
)
QUERY = (
    "status=completed&provider=ipay&account=shop-ipay&reference=order-7831&hold=any&from=2026-11-01T00:00:00Z"
    "&to=2026-11-30T23:59:59.5%2B06:00&amount_min=10.00&amount_max=99&limit=100&cursor=abc"
)
CLAIM = Claim(
    id="c1",
    account="shop-ipay",
    provider="ipay",
    source=Source.RETURN,
    authenticity=Authenticity.UNSIGNED,
    received_at=NOON,
    payment_id=A_PAYMENT,
)


Read = Callable[[Any], None]


class Asked(Struct):
    """The part of a request that the readers of headers use."""

    headers: CIMultiDict[str]
    query: dict[str, str]
    remote: str | None


def parsers() -> list[Parser]:
    return [
        *gateways(),
        of_bytes("strict JSON", strict_json, *map(encoded, (WISH, EXPECTED, RESOLVED, [1, "2.50", None]))),
        of_bytes("lenient JSON", lenient_json, *map(encoded, (WISH, EXPECTED, [WISH, {"a": ["\ud83d", {}]}]))),
        of_bytes("multipart forms", multipart, MULTIPART),
        of_text("money", amounts, "1500.50", "0", "999999999999.99", "5.0000", "22.5075"),
        of_text("times: iso", timed(timestamps.iso), "2026-06-09T20:20:00.000Z", "2026-06-09 20:20:00.1234567-0130"),
        of_text("times: iso or Dhaka", timed(timestamps.iso_or_dhaka), "2026-02-14T15:06:35.896023"),
        of_text("times: bKash", timed(timestamps.bkash), "2025-04-23T13:22:02:876 GMT+0600"),
        of_text("times: iPay", timed(timestamps.ipay), "18 Sep 2017 12:33:39.749 BDT", "1 Jan 2026 05:00:00 BDT"),
        of_bytes("POST /v1/payments", shaped(NEW_PAYMENT), encoded(WISH)),
        of_bytes("POST /v1/payments/track", shaped(TRACKED_PAYMENT), encoded(TRACKED)),
        of_bytes("POST resolve", shaped(RESOLUTION), encoded(RESOLVED)),
        of_bytes("expected messages", shaped(EXPECTED_PAYMENT), encoded(EXPECTED)),
        of_text("names of messages", names, "m-1", "payproof.expected", "x" * 100),
        of_bytes("claims of the queue", claims, msgspec.json.encode(CLAIM)),
        of_text("GET /v1/payments", queried(LIST_QUERY), QUERY),
        of_text("GET /v1/events", queried(EVENTS_QUERY), "after=c2hvcC4x&limit=1000"),
        of_text("cursors", cursors, _cursor(NOON, A_PAYMENT), _written_cursor("shop", EventsCursor(7)), "===="),
        of_text("X-Forwarded-For", forwarded(), "203.0.113.7:4711, 10.0.0.1", "[2001:db8::1]:4711", "fe80::1%eth0"),
        of_text("Accept-Language", languages, "bn-BD,bn;q=0.9,en;q=0.8", "*", "en;q=0"),
        of_text("Prefer and since", waiting, "wait=3, a", 'wait="3"', "1779012600"),
        of_text("Retry-After of endpoints", endpoints, "120", "Thu, 31 Dec 2026 23:59:59 GMT", "-1"),
        of_bytes("statement files (text)", statements, (HEADERS + ROW).encode(), HEADERS.replace(",", "\t").encode()),
        of_bytes("traceparent of events", traces, b'{"traceparent":"00-%b-%b-01","id":"x"}' % (b"a" * 32, b"b" * 16)),
    ]


def of_bytes(name: str, read: Read, *corpus: bytes) -> Parser:
    return Parser(name, lambda dice: read(dice.changed(dice.one_of(corpus))))


def of_text(name: str, read: Read, *corpus: str) -> Parser:
    return Parser(name, lambda dice: read(dice.text(dice.one_of(corpus))))


def encoded(value: Any) -> bytes:
    return json.dumps(value).encode()


def strict_json(body: bytes) -> None:
    try:
        value = read_json(body)
    except Unreadable:
        return
    again = canonical(value)
    assert canonical(read_json(again)) == again, "a value that was read reads the same again"


def lenient_json(body: bytes) -> None:
    """Bytes that the strict reader takes, the lenient reader takes too. What is read of other bytes can be stored."""
    try:
        strictly = read_json(body)
    except Unreadable:
        strictly = None
    try:
        value = read_leniently(body)
    except Unreadable:
        assert strictly is None
        return
    if isinstance(value, Told):
        for key in value:
            read = text_or_none(value, key)
            assert read is None or (read.isprintable() and read.encode() and "\ufffd" not in read)


def multipart(body: bytes) -> None:
    with suppress(Unreadable):
        for _, value in read_multipart(body, 200):
            value.encode()


def amounts(text: str) -> None:
    for read in (money, lambda value: money(value, places=4), whole):
        try:
            found = read(text)
        except Unreadable:
            continue
        assert Decimal(text) == found, "to the digit"


def timed(read: Callable[[str], datetime]) -> Read:
    def moment(text: str) -> None:
        found = timestamps.time_or_none(read, text)
        assert found is None or (found.tzinfo is UTC and found + timedelta(days=3650))

    return moment


def shaped(shape: Shape) -> Read:
    """A body of the API is read to its end, every wrong field is reported, and the values read can be serialised."""

    def read(body: bytes) -> None:
        try:
            value = read_json(body)
        except Unreadable:
            return
        wrong: list[Wrong] = []
        found = shape.read(value, wrong)
        msgspec.json.encode(wrong)
        assert wrong or canonical(found)

    return read


def names(text: str) -> None:
    assert strangers_id(text).isprintable()
    assert _printable(text).isprintable()


def claims(body: bytes) -> None:
    """Messages in the queues are our own; still, an unreadable one must be dead-lettered and not stop a worker."""
    try:
        claim = read_claim(body)
    except NotOurs:
        return
    msgspec.json.encode(claim)


def queried(shape: Shape) -> Read:
    def read(text: str) -> None:
        wrong: list[Wrong] = []
        shape.read_query(parse_qsl(text, keep_blank_values=True), wrong)
        msgspec.json.encode([one.message for one in wrong])

    return read


def cursors(text: str) -> None:
    for read in (_position, lambda cursor: _events_cursor(cursor, "shop")):
        with suppress(Problem):
            read(text)


def forwarded() -> Read:
    limits = RateLimits([ip_network(one) for one in ("127.0.0.0/8", "::1/128", "10.0.0.0/8", "fe80::/10")])

    def read(text: str) -> None:
        for remote in ("127.0.0.1", "::1", text):
            request: Any = Asked(CIMultiDict([("X-Forwarded-For", text)]), {}, remote)
            limits.allows(request)
            address = limits.client(request)
            assert address is None or sender_key(address)

    return read


def languages(text: str) -> None:
    assert preferred(text) in ("en", "bn")


def waiting(text: str) -> None:
    request: Any = Asked(CIMultiDict([("Prefer", text)]), {"since": text}, None)
    assert 0 <= seconds_to_wait(request, 4.0) <= 4
    assert since(request, 1e9) <= 1e9


def endpoints(text: str) -> None:
    """Standard Webhooks: what an endpoint answers beside its status, which is when to retry."""
    for status in (200, 410, 429, 503):
        heard = AttemptResponse(status=status, retry_after=retry_after(text, NOON))
        assert isinstance(outcome(heard, 3, NOON, 0.5), Delivered | Retry | Gone)


def statements(content: bytes) -> None:
    """A portal's export from a stranger: every row is read or reported, or the file is refused in words."""
    with TemporaryDirectory(prefix="payproof-fuzz-") as folder, suppress(StatementError):
        for line in read_statement(Path(folder), content):
            assert line.row > 1
            assert isinstance(line, Line) or line.why


def traces(body: bytes) -> None:
    found = traceparent_of(body)
    assert found is None or isinstance(found, str)
