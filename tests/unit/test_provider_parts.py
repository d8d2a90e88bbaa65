"""The parts that the gateways' files share: times, pointers, and how their values are read and written."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import msgspec
import pytest

from consumers.providers.kit import timestamps
from consumers.providers.kit.outgoing import endpoint, json_body, number, segment
from consumers.providers.kit.pointers import is_pointer, value_at
from consumers.providers.kit.reply_fields import web_address
from consumers.providers.payparse import StatusCheck
from schemas.wire import Unreadable, read_json


@pytest.mark.parametrize(
    ("read", "text", "wanted"),
    [
        (timestamps.iso, "2026-06-09T20:20:00.000Z", datetime(2026, 6, 9, 20, 20, tzinfo=UTC)),
        (timestamps.iso, "2026-06-09T20:20:00Z", datetime(2026, 6, 9, 20, 20, tzinfo=UTC)),
        (timestamps.iso, "2026-06-09 20:20:00.1234567-0130", datetime(2026, 6, 9, 21, 50, 0, 123456, tzinfo=UTC)),
        (timestamps.iso_or_dhaka, "2026-02-14T15:06:35.896023", datetime(2026, 2, 14, 9, 6, 35, 896023, tzinfo=UTC)),
        (timestamps.iso_or_dhaka, "2026-04-13T03:50:29.6+06:00", datetime(2026, 4, 12, 21, 50, 29, 600000, tzinfo=UTC)),
        (timestamps.iso_or_dhaka, "2025-05-19T15:00:00Z", datetime(2025, 5, 19, 15, tzinfo=UTC)),
        (timestamps.bkash, "2025-04-23T13:22:02:876 GMT+0600", datetime(2025, 4, 23, 7, 22, 2, 876000, tzinfo=UTC)),
        (timestamps.bkash, "2025-04-23T13:22:02:000 GMT+0000", datetime(2025, 4, 23, 13, 22, 2, tzinfo=UTC)),
        (timestamps.ipay, "18 Sep 2017 12:33:39.749 BDT", datetime(2017, 9, 18, 6, 33, 39, 749000, tzinfo=UTC)),
        (timestamps.ipay, "1 Jan 2026 05:00:00 BDT", datetime(2025, 12, 31, 23, tzinfo=UTC)),
    ],
)
def test_a_time_is_read_into_utc(read, text, wanted):
    found = read(text)
    assert found == wanted
    assert found.tzinfo is UTC


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (timestamps.iso, "2026-06-09T20:20:00"),  # naive where a zone is documented
        (timestamps.iso, "20260609T202000Z"),
        (timestamps.iso, "2026-06-09"),
        (timestamps.iso, "2026-13-09T20:20:00Z"),
        (timestamps.iso, "2026-06-09T20:20:00+99:00"),
        (timestamps.iso, "0001-01-01T00:00:00+06:00"),
        (timestamps.iso, "0001-01-01T00:00:00Z"),
        (timestamps.iso, "9999-12-31T23:59:59.999Z"),  # an end to which no grace could be added
        (timestamps.iso, "২০২৬-06-09T20:20:00Z"),
        (timestamps.iso, "2026-06-09T20:20:00Z\n"),
        (timestamps.iso_or_dhaka, "0001-01-01T00:00:00"),
        (timestamps.bkash, "2025-04-23T13:22:02 GMT+0600"),
        (timestamps.bkash, "2025-04-31T13:22:02:876 GMT+0600"),
        (timestamps.ipay, "18 Sept 2017 12:33:39.749 BDT"),
        (timestamps.ipay, "18 Foo 2017 12:33:39.749 BDT"),
        (timestamps.ipay, "18 Sep 2017 12:33:39.749 GMT"),
    ],
)
def test_a_time_nobody_can_read_is_unreadable_and_never_guessed(read, text):
    with pytest.raises(Unreadable):
        read(text)
    assert timestamps.time_or_none(read, text) is None


def test_a_time_that_is_absent_is_not_known():
    assert timestamps.time_or_none(timestamps.iso, None) is None


RFC_6901 = {"foo": ["bar", "baz"], "": 0, "a/b": 1, "m~n": 8, "~1": 9, "none": None}


@pytest.mark.parametrize(
    ("pointer", "wanted"),
    [
        ("", RFC_6901),
        ("/foo", ["bar", "baz"]),
        ("/foo/0", "bar"),
        ("/", 0),
        ("/a~1b", 1),
        ("/m~0n", 8),
        ("/~01", 9),
        ("/none", None),
        ("/none/deeper", None),
        ("/foo/2", None),
        ("/foo/-", None),
        ("/foo/00", None),
        ("/foo/bar", None),
        ("/absent", None),
    ],
)
def test_a_pointer_finds_its_place(pointer, wanted):
    assert is_pointer(pointer)
    assert value_at(RFC_6901, pointer) == wanted


@pytest.mark.parametrize("text", ["foo", "/a~2", "/~", "data/status"])
def test_what_is_no_pointer_is_told(text):
    assert not is_pointer(text)


TABLE = {"path": "/s/{session_id}", "status": "/status", "completed": ["paid"]}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"path": "s/{session_id}"}, "begins with /"),
        ({"path": "/s"}, "holds"),
        ({"path": "/s/{payment_id}"}, "nothing else in braces"),
        ({"status": "status"}, "JSON pointer"),
        ({"amount": "amount"}, "amount is no JSON pointer"),
        ({"completed": []}, "at least one word"),
        ({"failed": ["paid"]}, "share paid"),
        ({"method": "PUT"}, "method"),
        ({"paid": ["paid"]}, "unknown field"),
        ({"not_found": {"http": 404, "at": "error", "words": ["GONE"]}}, "at is no JSON pointer"),
        ({"not_found": {"http": 404, "at": "/error", "words": []}}, "words needs at least one word"),
        ({"not_found": {"http": 401, "at": "/error", "words": ["GONE"]}}, "http is 2xx or 4xx"),
        ({"not_found": {"http": 500, "at": "/error", "words": ["GONE"]}}, "http is 2xx or 4xx"),
        ({"not_found": {"at": "/error", "words": ["GONE"]}}, "http"),
    ],
)
def test_a_status_check_that_cannot_work_is_a_configuration_error(change, words):
    msgspec.convert(TABLE, StatusCheck)
    with pytest.raises(msgspec.ValidationError, match=words):
        msgspec.convert(TABLE | change, StatusCheck)


@pytest.mark.parametrize(
    ("amount", "digits"),
    [
        ("120", "120"),
        ("120.00", "120"),
        ("1500.50", "1500.50"),
        ("0.1", "0.10"),
        ("1E+3", "1000"),
        ("500000", "500000"),
    ],
)
def test_an_amount_is_written_digit_for_digit(amount, digits):
    assert json_body({"amount": number(Decimal(amount))}) == f'{{"amount":{digits}}}'.encode()


def test_numbers_that_were_read_are_written_as_they_were():
    body = b'{"a":1.10,"b":[12345678901234567890.5,{"c":1e5}],"d":"1.10","e":null,"f":true}'
    assert json_body(read_json(body)) == body


@pytest.mark.parametrize(
    ("value", "wanted"),
    [("a b/c", "a%20b%2Fc"), ("..", "%2E%2E"), (".", "%2E"), ("a.b", "a.b"), ("{x}?&#%", "%7Bx%7D%3F%26%23%25")],
)
def test_a_value_stays_in_its_segment(value, wanted):
    assert segment(value) == wanted


def test_a_base_url_may_end_in_a_slash():
    assert endpoint("https://a.example/b/", "/c") == endpoint("https://a.example/b", "/c") == "https://a.example/b/c"


@pytest.mark.parametrize(
    "address",
    [
        "javascript:alert(1)",
        "//a.example",
        "https://",
        "https:///x",
        "https://a.example/\n",
        "https://[",
        "https://a b",
        5,
    ],
)
def test_a_buyer_is_sent_to_web_addresses_only(address):
    with pytest.raises(Unreadable):
        web_address(address)


@pytest.mark.parametrize(
    ("told", "address"),
    [
        ("/paynow.php?track=1", "https://pay.example/paynow.php?track=1"),
        ("paynow.php?track=1", "https://pay.example/paynow.php?track=1"),
        ("https://other.example/x", "https://other.example/x"),
    ],
)
def test_a_path_alone_belongs_to_the_host_that_was_called(told, address):
    assert web_address(told, beside="https://pay.example/jsonpost.php") == address


@pytest.mark.parametrize("told", ["//[x", "http://[::1", "https://[fe80::%/", None, ["/paynow.php"]])
def test_an_address_whose_host_cannot_be_read_is_unreadable(told):
    with pytest.raises(Unreadable):
        web_address(told, beside="https://pay.example/jsonpost.php")
