"""Bodies of strangers and mistaken shops: each is refused with the wrong field, and none is a 500."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from consumers.ports.openings import Customer
from schemas.request_shape import Shape
from schemas.requests import NEW_PAYMENT
from schemas.wire import Unreadable, read_json
from schemas.words import Status
from tests.integration.shops import ORDER, TRACKED, Shops

WRONG: list[tuple[str, Any]] = [
    *(("account", value) for value in (None, 1, "", "A", "x" * 41, ["shop-one"], {}, "shop-one\n")),
    *(("reference", value) for value in (None, 1, "", "a b", "a/b", "x" * 51, "ক", "a\n", ["a"])),
    *(("amount", value) for value in (None, 1500.5, 1500, True, [], {}, "", "0", "0.00", "-1", "+1", "1.001")),
    *(("amount", value) for value in ("NaN", "Infinity", "1e3", "1,500", "1_000", "১২", "٣", " 1", "1 ", "01", "1.")),
    *(("amount", value) for value in ("9" * 13, "9" * 41, ".5", "0x10", "１", "1\n")),
    *(("currency", value) for value in (None, "USD", "bdt", "", 1)),
    *(("description", value) for value in (None, 1, "", "   ", "x" * 256, "a\nb", "a\x07b", "a\x85b", [])),
    *(
        ("return_url", value)
        for value in (None, 1, "", "shop.example", "/thanks", "ftp://shop.example", "javascript:1")
    ),
    *(("return_url", value) for value in ("https://", "https://u:p@shop.example/", "https://u@shop.example/")),
    *(("return_url", value) for value in ("https://shop.example/ a", "https://shop.example/\r\nX: y", "https:///x")),
    *(("return_url", value) for value in ("https://[::1", "https://shop.example:x/", "https://shop.example\\@evil/")),
    *(("return_url", value) for value in ("https://shop.example/" + "x" * 2000, "https://shop.example/ধন্যবাদ")),
    ("failure_url", "mailto:a@b"),
    ("cancel_url", None),
    *(("order", value) for value in (None, 1, "", "x" * 101, "a\tb")),
    *(("expires_in", value) for value in (None, "600", 0, -1, 600.5, True, 10**12, 2_592_001, [])),
    *(("method", value) for value in (None, 1, "", "x" * 51)),
    *(("customer", value) for value in (None, "Rahim", [], 1)),
    *(("metadata", value) for value in (None, [], "a", {"a": 1}, {"a": None}, {"": "x"}, {"a" * 41: "x"})),
    *(("metadata", value) for value in ({"a": "x" * 501}, {str(n): "x" for n in range(51)}, {"a": {"b": "c"}})),
    *(("metadata", value) for value in ({"a\nb": "x"}, {"a": "x\x1b"})),
    *(("provider_options", value) for value in (None, [], "a", {"a": "x" * 8200})),
]


@pytest.mark.parametrize(("field", "value"), WRONG, ids=lambda value: repr(value)[:30])
async def test_a_wrong_field_is_named(shops: Shops, field: str, value: Any) -> None:
    got = await shops.open(**{field: value})
    assert got.problem == (422, "invalid_request", field)
    assert got.body["errors"] == [{"field": field, "message": got.body["errors"][0]["message"]}]
    assert not shops.checkout.openings


@pytest.mark.parametrize("field", ["account", "reference", "amount", "currency", "description", "return_url"])
async def test_a_missing_field_is_named(shops: Shops, field: str) -> None:
    got = await shops.post("/v1/payments", {name: value for name, value in ORDER.items() if name != field})
    assert got.problem == (422, "invalid_request", field)


async def test_every_wrong_field_is_named_at_once(shops: Shops) -> None:
    body = {"reference": "a b", "amount": 5, "Amount": "5", "customer": {"email": 1, "fax": "x"}, "currency": "BDT"}
    got = await shops.post("/v1/payments", body)
    assert got.status == 422
    fields = [error["field"] for error in got.body["errors"]]
    assert got.body["field"] == fields[0]
    assert sorted(fields) == sorted(
        ["Amount", "account", "reference", "amount", "description", "return_url", "customer.email", "customer.fax"]
    )


@pytest.mark.parametrize("field", ["amuont", "", "x" * 500, "ক", "a.b", "__proto__"])
async def test_an_unknown_field_is_named(shops: Shops, field: str) -> None:
    for path, body in (("/v1/payments", ORDER), ("/v1/payments/track", TRACKED)):
        got = await shops.post(path, {**body, field: "x"})
        assert (got.status, got.body["errors"][0]["field"]) == (422, field[:100])
        assert got.body.get("field", "") == field[:100]


@pytest.mark.parametrize("name", Customer.__struct_fields__)
async def test_each_field_of_the_customer_is_text(shops: Shops, name: str) -> None:
    for value in (1, None, "x" * 256, "a\nb", ["a"]):
        assert (await shops.open(customer={name: value})).problem == (422, "invalid_request", f"customer.{name}")
    got = await shops.open(customer={name: "রহিম করিম"})
    assert got.status == 201


def test_the_customer_of_a_request_is_the_customer_of_a_gateway() -> None:
    (customer,) = [one.kind for one in NEW_PAYMENT.fields if one.name == "customer"]
    assert isinstance(customer, Shape)
    assert tuple(one.name for one in customer.fields) == Customer.__struct_fields__


@pytest.mark.parametrize(
    ("where", "escape", "field"),
    [
        ('"description": "a%sb"', r"\u0000", "description"),
        ('"reference": "%s"', r"\ud800", "reference"),
        ('"customer": {"name": "%s"}', r"\udfff", "customer.name"),
        ('"metadata": {"k": "%s"}', r"\u0000", "metadata.k"),
        ('"metadata": {"%s": "k"}', r"\u0000", "metadata"),
        ('"provider_options": {"a": ["x", "%s"]}', r"\u0000", "provider_options.a[1]"),
    ],
)
async def test_text_that_no_database_holds_is_named(shops: Shops, where: str, escape: str, field: str) -> None:
    others = {name: value for name, value in ORDER.items() if f'"{name}"' not in where}
    body = json.dumps(others)[:-1] + ", " + where % escape + "}"
    assert (await shops.send(body.encode())).problem == (422, "invalid_request", field)


UNREADABLE = {
    "nothing": b"",
    "half": b'{"account": ',
    "two values": b"{} {}",
    "a form": b"account=shop-one",
    "NaN": b'{"amount": NaN}',
    "Infinity": b'{"amount": -Infinity}',
    "a key twice": b'{"amount": "1", "amount": "2"}',
    "a nested key twice": b'{"metadata": {"a": "1", "a": "2"}}',
    "bad UTF-8": b'{"account": "\xff"}',
    "a byte order mark": b"\xef\xbb\xbf{}",
    "UTF-16": '{"account": "x"}'.encode("utf-16"),
    "deep nesting": b"[" * 30_000,
    "deep closed nesting": b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
    "a huge number": b'{"expires_in": ' + b"9" * 60_000 + b"}",
    "a huge exponent": b'{"expires_in": 1e' + b"9" * 50 + b"}",
    "quotes without an end": b'["' + b'\\"' * 32_000,
    "a control character": b'{"account": "a\x01"}',
}


@pytest.mark.parametrize("body", UNREADABLE.values(), ids=UNREADABLE)
@pytest.mark.parametrize("path", ["/v1/payments", "/v1/payments/track"])
async def test_what_is_no_sound_json_is_a_400(shops: Shops, path: str, body: bytes) -> None:
    assert (await shops.send(body, path)).problem == (400, "unreadable_body", None)


@pytest.mark.alone
def test_quotes_without_an_end_are_read_once() -> None:
    started = time.perf_counter()
    with pytest.raises(Unreadable):
        read_json(UNREADABLE["quotes without an end"])
    assert time.perf_counter() - started < 1, "the time grows with the square of the length"


@pytest.mark.parametrize("body", [b"[]", b"null", b"1", b'"x"', b"true"])
async def test_json_that_is_no_object_is_a_422(shops: Shops, body: bytes) -> None:
    for key in ({}, {"Idempotency-Key": "k"}):
        assert (await shops.send(body, **key)).problem == (422, "invalid_request", None)


async def test_numbers_too_long_for_anything_are_refused_and_others_are_read_exactly(shops: Shops) -> None:
    assert (await shops.send(b'{"expires_in": 1e400}')).problem[0] == 422
    options = b'{"n": 1e400, "m": 123456789012345678901234567890.5}'
    got = await shops.send(json.dumps(ORDER).encode()[:-1] + b', "provider_options": ' + options + b"}")
    assert got.status == 201
    assert shops.checkout.openings[0][1].options == {"n": "1e400", "m": "123456789012345678901234567890.5"}


async def test_a_body_has_at_most_64_kib(shops: Shops) -> None:
    exact = json.dumps(ORDER).encode()
    exact += b" " * (64 * 1024 - len(exact))
    assert (await shops.send(exact)).status == 201
    assert (await shops.send(exact + b" ")).problem == (413, "too_large", None)


async def test_a_body_of_unknown_length_has_at_most_64_kib_too(shops: Shops) -> None:
    async def parts() -> Any:
        for _ in range(65):
            yield b" " * 1024
        yield b"{}"

    got = await shops.call("POST", "/v1/payments", data=parts())
    assert got.problem == (413, "too_large", None)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "x"])
async def test_an_encoded_body_is_not_read(shops: Shops, encoding: str) -> None:
    got = await shops.send(b"\x1f\x8b\x00 broken", **{"Content-Encoding": encoding})
    assert got.problem == (415, "unsupported_encoding", None)
    got = await shops.call("GET", "/v1/payments", headers={"Content-Encoding": encoding})
    assert got.problem == (415, "unsupported_encoding", None)
    got = await shops.call("POST", "/v1/payments", shop=None, headers={"Content-Encoding": encoding}, data=b"x")
    assert got.problem == (401, "unauthorized", None)


@pytest.mark.parametrize("amount", ["1", "1.5", "1.50", "0.01", "999999999999.99", "10.5000"])
async def test_amounts_are_taken_as_decimals_and_shown_with_two(shops: Shops, amount: str) -> None:
    payment = await shops.opened(amount=amount)
    assert payment["amount"] == {"1": "1.00", "1.5": "1.50", "10.5000": "10.50"}.get(amount, amount)


async def test_bangla_with_its_joiners_is_text(shops: Shops) -> None:
    words = "র‍্যাব, ক্‌ষ ও শাড়ি"
    payment = await shops.opened(description=words, order=words, metadata={"নাম": words})
    assert (payment["description"], payment["order"], payment["metadata"]) == (words, words, {"নাম": words})


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost:3000/x",
        "https://shop.example",
        "HTTPS://Shop.Example/?a=b&c[]=%E0%A6%95#/done",
        "https://[::1]:8443/x",
    ],
)
async def test_a_shops_own_urls_are_taken(shops: Shops, url: str) -> None:
    assert (await shops.opened(return_url=url, failure_url=url, cancel_url=url))["payment_id"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("session_id", value) for value in (None, 1, "", "a b", "x" * 201, "কী", "a\n")),
        ("return_url", "x"),
        ("description", 1),
        ("expires_in", "60"),
        ("amount", 5),
        ("customer", {}),
        ("provider_options", {}),
        ("method", "card"),
    ],
    ids=repr,
)
async def test_a_wrong_field_of_a_tracked_payment_is_named(shops: Shops, field: str, value: Any) -> None:
    got = await shops.post("/v1/payments/track", {**TRACKED, field: value})
    assert got.problem == (422, "invalid_request", field)


async def test_a_reference_that_the_gateway_could_not_be_asked_by_is_not_tracked(shops: Shops) -> None:
    got = await shops.post("/v1/payments/track", {**TRACKED, "account": "shop-ipay", "reference": ".."})
    assert got.problem == (422, "invalid_request", "reference")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("status", value) for value in (None, "paid", 1, "COMPLETED")),
        *(("actor", value) for value in (None, "", " ", 1, "x" * 101, "a\nb")),
        *(("reason", value) for value in (None, "", " \n", 1, "x" * 501, "a\x07")),
        *(("evidence", value) for value in (None, 1, {}, "x" * 4001, "a\x07")),
        *(("transaction_id", value) for value in (None, "", 1, "a b", "x" * 201)),
        *(("version", value) for value in (None, "1", -1, 1.5, True, 2**31)),
        ("amount", "5.00"),
    ],
    ids=repr,
)
async def test_a_wrong_field_of_a_resolution_is_named(shops: Shops, field: str, value: Any) -> None:
    payment = await shops.opened()
    wish = {"status": Status.COMPLETED.value, "actor": "rahim", "reason": "seen"}
    got = await shops.post(f"/v1/payments/{payment['payment_id']}/resolve", {**wish, field: value})
    assert got.problem == (422, "invalid_request", field)
