"""A callback is read as the web reads it: over HTTP, in every shape that senders' libraries use, for every gateway.

Only a callback that was read gets a 2xx, and the query is not lost when the body is unreadable.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from hashlib import sha256
from io import BytesIO
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
from aiohttp import FormData, web
from aiohttp.test_utils import TestClient, TestServer

from consumers.account import Account
from consumers.providers import PROVIDERS
from consumers.providers.kit.callback_fields import body_fields, fields, text_or_none
from consumers.providers.kit.multipart import read_multipart
from schemas.callbacks import Callback, Claim
from schemas.wire import MAX_BODY, Unreadable
from schemas.words import Authenticity, Said, Source
from tests.unit.test_providers import FILES, provider
from worker.ingress.read_callback import MAX_HEADERS, ForgedError, make_claim, read_callback

NOON = datetime(2026, 5, 17, 10, 10, tzinfo=UTC)
NAMES = {
    "ipay": ("orderId", "session_id"),
    "payparse": ("payment_id", "session_id"),
    "onepaybd": ("paymentID", "session_id"),
    "shadhinpay": ("paymentId", "session_id"),
    "moneybag": ("transaction_id", "transaction_id"),
    "aamarpay": ("mer_txnid", "reference"),
    "bkash": ("paymentID", "session_id"),
    "sslcommerz": ("tran_id", "reference"),
    "uddoktapay": ("invoice_id", "session_id"),
    "shurjopay": ("order_id", "session_id"),
    "eps": ("MerchantTransactionId", "reference"),
    "generic": ("invoice_number", "reference"),
}
PROOFS = {"uddoktapay": {"rt-uddoktapay-api-key": "uddokta-key-1"}}
"""The headers without which a gateway's notification is refused."""

ACCOUNTS = {
    name: Account(
        id=f"shop-{name}",
        merchant="shop",
        provider=provider(next(path for path in FILES if path.parent.name == name)),
    )
    for name in PROVIDERS
}
MOST = 200


class Door:
    """The endpoints of one account, as far as bytes are read: the claim received, or the status that refuses it."""

    def __init__(self, account: Account, client: TestClient[Any, Any], heard: list[Claim]) -> None:
        self.account, self.heard, self._client = account, heard, client

    async def ipn(self, body: Any = None, query: str = "", method: str = "POST", **headers: str) -> Claim | int:
        return await self._hit(f"/ipn{query}", body, method, PROOFS.get(self.account.provider.name, {}) | headers)

    async def back(self, body: Any = None, query: str = "", method: str = "POST", **headers: str) -> Claim | int:
        return await self._hit(f"/return{query}", body, method, headers)

    async def webhook(self, body: bytes, query: str = "", **headers: str) -> Claim | int:
        return await self._hit(f"/webhook{query}", body, "POST", headers)

    async def _hit(self, path: str, body: Any, method: str, headers: dict[str, str]) -> Claim | int:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self._client.request(method, path, data=body, headers=named) as answered:
            return self.heard.pop() if answered.status == 200 else answered.status


@asynccontextmanager
async def door(name: str) -> AsyncIterator[Door]:
    account, heard = ACCOUNTS[name], list[Claim]()

    def taking(source: Source) -> Any:
        async def take(request: web.Request) -> web.Response:
            callback = await read_callback(request, source, account, NOON, payment_id="pay_1")
            try:
                heard.append(make_claim(account, callback, lenient=source is Source.RETURN))
            except ForgedError:
                return web.Response(status=401)
            except Unreadable:
                return web.Response(status=400)
            return web.Response()

        return take

    app = web.Application(client_max_size=MAX_BODY)
    for path, source in (("/ipn", Source.IPN), ("/return", Source.RETURN), ("/webhook", Source.WEBHOOK)):
        app.add_routes([web.route("*", path, taking(source))])
    async with TestClient(TestServer(app)) as client:
        yield Door(account, client, heard)


def found(name: str, claim: Claim | int) -> str | None:
    assert isinstance(claim, Claim), claim
    value: str | None = getattr(claim, NAMES[name][1])
    return value


def forms(field: str) -> dict[str, bytes]:
    """One form, as all kinds of senders write it."""
    return {
        "plain": f"{field}=id-1".encode(),
        "a stray & at the end": f"{field}=id-1&".encode(),
        "stray & everywhere": f"&&{field}=id-1&&a=1&".encode(),
        "a key without =": f"flag&{field}=id-1&other".encode(),
        "a letter of Windows-1252, as it is": b"customer=Jos\xe9&" + f"{field}=id-1".encode(),
        "a letter of Windows-1252, by percent": f"customer=Jos%E9%96&{field}=id-1".encode(),
        "NUL in another field": f"a=%00&{field}=id-1".encode(),
        "half an emoji in another field": f"a=%ED%A0%BD&{field}=id-1".encode(),
        "a broken percent sign": f"a=100%&{field}=id-1".encode(),
        "a mark first": b"\xef\xbb\xbf" + f"{field}=id-1".encode(),
        "a line break last": f"{field}=id-1\r\n".encode(),
        "another field twice": f"a=1&a=2&{field}=id-1".encode(),
        "in another case": f"{field.upper()}=id-1".encode(),
    }


def documents(field: str) -> dict[str, bytes]:
    """One JSON object, as all kinds of senders write it."""
    told = json.dumps({field: "id-1"})[1:].encode()
    return {
        "plain": b"{" + told,
        "a mark first": b"\xef\xbb\xbf{" + told,
        "a letter of Windows-1252": b'{"customer": "Jos\xe9", ' + told,
        "half an emoji": b'{"customer": "\\ud83d", ' + told,
        "NUL": b'{"customer": "\\u0000", ' + told,
        "a line break as it is": b'{"customer": "a\nb", ' + told,
        "a key twice": b'{"customer": 1, "customer": 2, ' + told,
        "a long number": b'{"customer": ' + b"9" * 4000 + b", " + told,
        "no number": b'{"customer": NaN, ' + told,
    }


LABELS = [
    "application/x-www-form-urlencoded",
    "application/json",
    "text/plain",
    "multipart/form-data",
    "application/octet-stream",
]
gateways = pytest.mark.parametrize("name", PROVIDERS)


@gateways
async def test_a_form_is_read_in_every_shape_and_under_every_label(name: str) -> None:
    async with door(name) as at:
        for what, body in (forms(NAMES[name][0]) | documents(NAMES[name][0])).items():
            for label in LABELS:
                assert found(name, await at.ipn(body, Content_Type=label)) == "id-1", (what, label)
            assert found(name, await at.back(body, Content_Type=LABELS[0])) == "id-1", what


@gateways
async def test_a_body_by_get_is_read_like_one_by_post(name: str) -> None:
    async with door(name) as at:
        body = f"{NAMES[name][0]}=id-1".encode()
        for method in ("GET", "POST"):
            assert found(name, await at.ipn(body, method=method)) == "id-1"
            assert found(name, await at.ipn(query=f"?{body.decode()}", method=method)) == "id-1"


# -- multipart ---------------------------------------------------------------------------------------------------------


def curl(field: str) -> bytes:
    """The body that PHP's cURL sends for an array, byte for byte."""
    line = "--------------------------d74496d66958873e"
    parts = {"amount": "1500.50", "customer": "José", field: "id-1", "note": "a\r\nb"}
    told = "".join(f'{line}\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n' for k, v in parts.items())
    return f"{told}{line}--\r\n".encode("windows-1252")


@gateways
async def test_multipart_is_read_and_its_files_are_ignored(name: str) -> None:
    field = NAMES[name][0]
    async with door(name) as at:
        assert found(name, await at.ipn(curl(field), Content_Type="multipart/form-data; boundary=x")) == "id-1"
        form = FormData(default_to_multipart=True)
        form.add_field("scan", BytesIO(b"\x89PNG\r\n\x00"), filename="scan.png", content_type="image/png")
        form.add_field("customer", "José")
        form.add_field(field, "id-1")
        assert found(name, await at.ipn(form)) == "id-1"
        assert found(name, await at.back(curl(field))) == "id-1"
        alone = FormData(default_to_multipart=True)
        alone.add_field(field, BytesIO(b"id-1"), filename="id.txt", content_type="text/plain")
        assert await at.ipn(alone) == 400, "a file is no field"


def part(name: str, value: str, more: str = "") -> str:
    return f'--b\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n{value}\r\n'


def test_multipart_keeps_order_and_doubles_and_replaces_letters() -> None:
    body = part("a", "1") + part("b", "x\r\ny") + part("a", "2") + part("f", "no", '; filename="f.txt"')
    told = read_multipart(
        body.encode() + b"--b\r\ncontent-disposition: form-data; name=c\r\n\r\n\xe9\r\n--b--\r\n", MOST
    )
    assert told == [("a", "1"), ("b", "x\r\ny"), ("a", "2"), ("c", "\ufffd")]


def test_a_part_without_a_name_is_no_field() -> None:
    nameless = "--b\r\nContent-Disposition: form-data\r\n\r\n1\r\n--b\r\nContent-Type: text/plain\r\n\r\n2\r\n"
    assert read_multipart((nameless + part("a", "1") + "--b--").encode(), MOST) == [("a", "1")]


def test_a_part_whose_name_stands_in_pieces_is_no_field() -> None:
    odd = "--b\r\nContent-Disposition: form-data; name*0*=x''%ff; name*a=1; name*=z'y'%ff\r\n\r\n1\r\n"
    assert read_multipart((odd + part("a", "1") + "--b--").encode(), MOST) == [("a", "1")]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--\r\n",
        b"--" + b"b" * 71 + b"\r\n",
        part("a", "1").encode() * (MOST + 1) + b"--b--",
        b"--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n\r\n1\r\n--c--\r\n--b--\r\n",
        b"--b\r\nContent-Type:\r\n message/rfc822\r\n\r\n" * 900,
        b"--b\r\nContent-Disposition: form-data" + b';"' * 30_000 + b"\r\n\r\n1\r\n--b--",
        b"--b\r\nContent-Disposition: form-data;\r\n" + b" a=b;\r\n" * 8_000 + b"\r\n1\r\n--b--",
    ],
)
def test_what_is_no_multipart_form_of_plain_fields_is_unreadable(body: bytes) -> None:
    with pytest.raises(Unreadable):
        read_multipart(body, MOST)


# -- what stands in which place ----------------------------------------------------------------------------------------


def sent(body: bytes = b"", query: tuple[tuple[str, str], ...] = ()) -> Callback:
    return Callback(source=Source.IPN, account="a", method="POST", query=query, headers=(), body=body, received_at=NOON)


@pytest.mark.parametrize(
    ("query", "body", "told"),
    [
        ("q", {"id": "b"}, "b"),
        ("q", {"id": {"b": "1"}}, {"b": "1"}),
        ("q", {"id": ["b"]}, ["b"]),
        ("q", {"id": "b" * 200}, "b" * 200),
        ("q", {"id": "b" * 201}, "q"),
        ("q", {"id": ""}, "q"),
        ("q", {"id": "b\n"}, "q"),
        ("q", {"id": True}, "q"),
        ("q", {}, "q"),
        (None, {"id": "b" * 201}, "b" * 201),
        (None, {"id": True}, True),
    ],
)
def test_the_bodys_field_wins_over_the_querys_where_it_could_be_an_id(query: Any, body: Any, told: Any) -> None:
    callback = sent(json.dumps(body).encode(), (("ID", query),) if query else ())
    assert fields(callback, "id")["id"] == told


@pytest.mark.parametrize(
    ("values", "read"),
    [
        (("1",), "1"),
        (("b" * 200,), "b" * 200),
        (("b" * 201, "2"), "2"),
        (("", "2"), "2"),
        (("b\n", "2"), "2"),
        ((1, None, "2"), "2"),
        (("",), None),
    ],
)
def test_the_first_field_that_is_plain_text_of_a_sound_length_is_read(values: Any, read: str | None) -> None:
    names = [f"name{number}" for number in range(len(values))]
    assert text_or_none(dict(zip(names, values, strict=True)), *names) == read


def test_an_empty_field_is_a_field_where_the_gateway_knows_it_and_else_says_nothing() -> None:
    empty = sent(b"orderId=&note=")
    assert body_fields(empty, "orderid") == {"orderId": "", "note": ""}
    assert body_fields(sent(b"a=&b=1")) == {"b": "1"}
    with pytest.raises(Unreadable):
        body_fields(empty)


def test_a_form_has_as_many_fields_as_a_gateway_could_send() -> None:
    most = [b"id=1", *(b"f%d=" % number for number in range(MOST - 1))]
    parts = [part("id", "1"), *(part(f"f{number}", "") for number in range(MOST - 1))]
    for body in (b"&".join(most), ("".join(parts) + "--b--").encode()):
        assert len(body_fields(sent(body), "id")) == MOST


# -- what cannot be read -----------------------------------------------------------------------------------------------

UNREADABLE = {
    "broken JSON": b'{"paymentID": ',
    "a list": b"[1, 2]",
    "deep nesting": b'{"a":' * 5000 + b"1" + b"}" * 5000,
    "bytes": b"\x00\x01\xfe",
    "a word": b"hello",
    "somebody else's form": b"utm_source=mail&amount=5",
    "a page": b"<html>hello</html>",
    "too many fields": b"&".join(b"f%d=1" % number for number in range(MOST + 1)),
    "half a multipart": b"--b\r\nContent-Disposition: form-da",
    "spoilt fields": b"paymentID=%FF&status=%FF&orderId=%FF&payment_id=%FF&transaction_id=%FF"
    b"&order_id=%FF&MerchantTransactionId=%FF&invoice_number=%FF",
}


FORM = "the body is neither JSON nor a form that this gateway would send"
PARTS = "no multipart form of plain fields"


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (UNREADABLE["a list"], "the body is no JSON object"),
        (UNREADABLE["a page"], FORM),
        (UNREADABLE["somebody else's form"], FORM),
        (b"id=1&" + UNREADABLE["too many fields"], "the body is a form of too many fields"),
        (UNREADABLE["half a multipart"], FORM),
        (part("id", "1").encode() * (MOST + 1) + b"--b--", PARTS),
    ],
)
def test_whoever_sent_what_cannot_be_read_is_told_why(body: bytes, why: str) -> None:
    with pytest.raises(Unreadable) as caught:
        fields(sent(body), "id")
    assert str(caught.value) == why


@gateways
@pytest.mark.parametrize("what", UNREADABLE)
async def test_query_and_path_are_heard_whatever_the_body_is(name: str, what: str) -> None:
    async with door(name) as at:
        for hit in (at.ipn, at.back):
            claim = await hit(UNREADABLE[what], f"?{NAMES[name][0]}=id-1&status=success")
            assert found(name, claim) == "id-1"
            assert isinstance(claim, Claim)
            assert claim.said in (None, Said.SUCCESS)


@pytest.mark.parametrize("what", UNREADABLE)
async def test_the_word_that_the_buyer_approved_survives_any_body(what: str) -> None:
    async with door("onepaybd") as at:
        claim = await at.back(UNREADABLE[what], "?paymentID=TR1&status=success&signature=zMQ5cPs4Yi")
        assert isinstance(claim, Claim)
        assert (claim.session_id, claim.said) == ("TR1", Said.SUCCESS)


@gateways
@pytest.mark.parametrize("what", [what for what in UNREADABLE if what != "spoilt fields"])
async def test_a_body_of_which_nothing_was_read_is_refused_and_a_return_has_its_page(name: str, what: str) -> None:
    async with door(name) as at:
        assert await at.ipn(UNREADABLE[what]) == 400
        assert await at.ipn(UNREADABLE[what], "?utm_source=mail") == 400
        claim = await at.back(UNREADABLE[what])
        assert isinstance(claim, Claim)
        assert claim.note == "the body could not be read"
        assert isinstance(await at.ipn(b""), Claim), "nothing is not unreadable"


# -- fields that are read and spoilt -----------------------------------------------------------------------------------


@gateways
async def test_a_field_that_is_read_and_spoilt_is_absent_and_never_half_an_id(name: str) -> None:
    field = NAMES[name][0]
    spoilt = [
        f"{field}=a&{field}=b".encode(),
        f"{field}=a&{field.upper()}=b".encode(),
        f"{field}=a%FFb".encode(),
        f"{field}=a".encode() + b"\xff",
        f"{field}=a%EF%BF%BDb".encode(),
        f"{field}=a%00b".encode(),
        json.dumps({field: "a\ud83d"}).encode(),
        json.dumps({field: "a\x00"}).encode(),
        b'{"' + field.encode() + b'": "a", "' + field.encode() + b'": "b"}',
        b'{"' + field.encode() + b'": "a\xe9"}',
        (part(field, "a") + part(field, "b") + "--b--").encode(),
    ]
    async with door(name) as at:
        for body in spoilt:
            assert found(name, await at.ipn(body)) is None, body
            assert found(name, await at.ipn(body, f"?{field}=id-1")) == "id-1", body
        for query in (f"?{field}=a&{field}=b", f"?{field}=a%FF", f"?{field}=a%ED%A0%80", f"?{field}=a%00"):
            assert found(name, await at.back(query=query, method="GET")) is None, query


# -- at /webhooks ------------------------------------------------------------------------------------------------------


def signed(name: str, body: bytes) -> dict[str, str]:
    stamp = str(int(NOON.timestamp()))
    secret = ACCOUNTS[name].provider.webhook_secret.reveal().encode()  # type: ignore[attr-defined]
    if name == "moneybag":
        digest = hmac.new(secret, f"{stamp}.".encode() + body, sha256).hexdigest()
        return {"X_Webhook_Signature": f"sha256={digest}", "X_Webhook_Timestamp": stamp}
    digest = hmac.new(secret, f"t={stamp}.".encode() + body, sha256).hexdigest()
    return {"X_ShadhinPay_Signature": f"t={stamp},v1={digest}"}


BODIES = {
    "moneybag": b'{"event_type": "payment.failed", "data": {"transaction_id": "txn1", "order_id": "ours"}}',
    "shadhinpay": b'{"eventType": "payment.failed", "payload": {"paymentId": "PAY_1", "status": "FAILED"}}',
}
signing = pytest.mark.parametrize("name", BODIES)


@signing
async def test_only_what_the_signature_covers_is_heard(name: str) -> None:
    """A stranger who replays a signed body can choose the query and every other header."""
    async with door(name) as at:
        body = BODIES[name]
        plain = await at.webhook(body, **signed(name, body))
        assert isinstance(plain, Claim)
        assert plain.event_id == sha256(body).hexdigest()
        query = "".join(
            f"{sep}{key}={quote('chosen')}"
            for sep, key in zip(
                "?&&&&&&&",
                ("transaction_id", "order_id", "paymentId", "merchantTxnId", "event_id", "eventId", "id", "status"),
                strict=True,
            )
        )
        headers = {
            "X_Webhook_Event_Id": "chosen",
            "X_Webhook_Event_Type": "payment.success",
            "X_ShadhinPay_Event_Id": "chosen",
        }
        again = await at.webhook(body, query, **signed(name, body), **headers)
        assert isinstance(again, Claim)
        for field in ("session_id", "reference", "transaction_id", "said", "event_id", "event_type", "authenticity"):
            assert getattr(again, field) == getattr(plain, field), field


@signing
async def test_of_headers_without_end_the_shortest_are_stored_and_the_signature_holds(name: str) -> None:
    async with door(name) as at:
        body, right = BODIES[name], signed(name, BODIES[name])
        short = {f"X_Proxy_{number}": "1" for number in range(30)}
        endless = {f"X_{number}": "a" * 8000 for number in range(80)}
        claim = await at.webhook(body, **endless, **right, **short)
        assert isinstance(claim, Claim)
        assert claim.authenticity is Authenticity.SIGNED
        assert claim.callback is not None
        for header, value in {**right, **short}.items():
            assert claim.callback.header(header.replace("_", "-").lower()) == value
        assert len(msgspec.json.encode(claim)) < MAX_HEADERS + 4096
        whole = await at.webhook(body, X_Long="a" * 8000, **right)
        assert isinstance(whole, Claim)
        assert whole.callback is not None
        assert whole.callback.header("x-long") == "a" * 8000


@signing
async def test_a_signed_body_is_read_as_leniently_and_names_its_own_event(name: str) -> None:
    body = BODIES[name].replace(b"{", b'{"customer": "Jos\xe9", "event_id": "e-1", "eventId": "e-1", ', 1)
    async with door(name) as at:
        claim = await at.webhook(body, **signed(name, body))
        assert isinstance(claim, Claim)
        assert claim.event_id == "e-1"
        assert claim.said is Said.FAILURE


@signing
@pytest.mark.parametrize("what", [what for what in UNREADABLE if what != "spoilt fields"])
async def test_a_signed_body_that_cannot_be_read_is_refused_whatever_the_query_says(name: str, what: str) -> None:
    async with door(name) as at:
        query = "?transaction_id=chosen&paymentId=chosen&status=success"
        assert await at.webhook(UNREADABLE[what], query, **signed(name, UNREADABLE[what])) == 400
