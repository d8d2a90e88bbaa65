"""An answer is judged by its bytes: unread fields spoil nothing, and a spoilt field is never half taken.

No test here knows a gateway. Every fixture with an exchange is repeated with other bytes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any

import msgspec
import pytest

from consumers.ports.effects import HttpReply
from consumers.ports.openings import Opened, OpeningRefused, ReferenceUsed
from consumers.providers.kit.outgoing import json_body
from consumers.providers.kit.replies import trouble
from schemas.answers import Answer, Executed, ForeignTransaction, Inconclusive, Trouble
from schemas.wire import Number, Unreadable, read_json, read_leniently
from tests.unit.test_providers import (
    begun,
    changed,
    different_calls,
    driven,
    fixture,
    http,
    name,
    of_case,
    plain,
    provider,
)

NOISE = {
    "letters of another encoding": b'"customer": "Jos\xe9 \x96 caf\xe9"',
    "half an emoji": b'"customer": "\\ud83d"',
    "NUL": b'"customer": "\\u0000"',
    "a line break as it is": b'"customer": "a\nb"',
    "a key twice": b'"customer": 1, "customer": 2',
    "a key twice, deeper": b'"customer": [{"name": "a", "name": "b"}]',
    "a long number": b'"customer": ' + b"9" * 5000,
    "a fine number": b'"customer": 0.' + b"3" * 400,
    "no number": b'"customer": NaN',
}


def replies(path: Path) -> list[HttpReply]:
    return [step.reply.reply() for step in fixture(path).exchange or () if step.reply is not None]


def outcome(path: Path, told: list[HttpReply]) -> object:
    return driven(begun(fixture(path), provider(path)), lambda sent: told[min(sent, len(told) - 1)])[0]


def exact(reply: HttpReply) -> dict[str, Any] | None:
    """The reply's JSON object; None where it has none, or where its HTTP status alone decides."""
    try:
        read = read_json(reply.body)
    except Unreadable:
        return None
    return read if isinstance(read, dict) and trouble(reply) is None else None


JSON_EXCHANGES = [
    path for path in of_case("open", "ask", "grant") if (told := replies(path)) and all(exact(one) for one in told)
]
each = pytest.mark.parametrize("path", JSON_EXCHANGES, ids=name)


def retold(told: list[HttpReply], change: Callable[[HttpReply], HttpReply]) -> list[HttpReply]:
    return [change(one) for one in told]


def noisy(noise: bytes) -> Callable[[HttpReply], HttpReply]:
    def change(reply: HttpReply) -> HttpReply:
        inner = reply.body.strip()
        return http(reply.status, b"{" + noise + b", " + inner[1:], **reply.headers)

    return change


@each
@pytest.mark.parametrize("label", ["text/html; charset=UTF-8", "text/plain", "application/json; charset=windows-1252"])
def test_a_label_decides_nothing(path: Path, label: str) -> None:
    told = replies(path)
    labelled = retold(told, lambda one: http(one.status, one.body, **{**one.headers, "content-type": label}))
    assert outcome(path, labelled) == outcome(path, told)


@each
def test_a_mark_before_the_first_byte_decides_nothing(path: Path) -> None:
    told = replies(path)
    marked = retold(told, lambda one: http(one.status, b"\xef\xbb\xbf\r\n" + one.body, **one.headers))
    assert outcome(path, marked) == outcome(path, told)


@pytest.mark.parametrize("noise", NOISE)
@each
def test_what_is_not_read_spoils_nothing(path: Path, noise: str) -> None:
    told = replies(path)
    assert outcome(path, retold(told, noisy(NOISE[noise]))) == outcome(path, told)


@each
def test_a_page_stays_a_page_whatever_its_label_says(path: Path) -> None:
    page = [http(200, b"\n <br />\n<b>Warning</b>" + one.body, **one.headers) for one in replies(path)]
    found = outcome(path, page)
    assert isinstance(found, Inconclusive | Executed)
    last = found.then if isinstance(found, Executed) else found
    assert isinstance(last, Inconclusive)
    assert last.trouble is Trouble.UNREADABLE
    assert not isinstance(found, Executed) or found.reply == "unread"


# -- what is read ------------------------------------------------------------------------------------------------------


def spoilt(value: Any) -> Iterator[bytes]:
    """The JSON object as bytes, each time with one of its fields, at any depth, spoilt in one way."""
    for place in fields(value):
        yield written(value, place, twice=True)
        at = value
        for step in place[:-1]:
            at = at[step]
        if type(at[place[-1]]) is str:
            yield written(value, place, twice=False)


def fields(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield (*path, key)
            yield from fields(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from fields(item, (*path, index))


def written(value: Any, place: tuple[Any, ...], *, twice: bool) -> bytes:
    match value:
        case Number():
            return str(value).encode()
        case dict():
            parts = []
            for key, item in value.items():
                inner = written(item, place[1:] if place[:1] == (key,) else (), twice=twice)
                here = place == (key,)
                if here and not twice:
                    inner = inner[:-1] + b'\xe9"'
                parts += [json.dumps(key).encode() + b": " + inner] * (2 if here and twice else 1)
            return b"{" + b", ".join(parts) + b"}"
        case list():
            inners = [
                written(item, place[1:] if place[:1] == (index,) else (), twice=twice)
                for index, item in enumerate(value)
            ]
            return b"[" + b", ".join(inners) + b"]"
    return json.dumps(value).encode()


@each
def test_what_is_read_and_spoilt_is_never_half_taken(path: Path) -> None:
    """Either the field decides nothing, and the outcome is the same, or nothing is concluded.

    A reference that the gateway called a duplicate stays a duplicate where its list cannot be read.
    """
    told = replies(path)
    before = outcome(path, told)
    if isinstance(before, Inconclusive):
        return
    aside = ("method", "fee", "paid_at", "expires_at", "seconds")
    concluded = 0
    for at, one in enumerate(told):
        for body in spoilt(exact(one)):
            found = outcome(path, [*told[:at], http(one.status, body, **one.headers), *told[at + 1 :]])
            assert "\ufffd" not in repr(found) or isinstance(found, OpeningRefused)
            if not same(found, before, aside):
                assert isinstance(found, Inconclusive | OpeningRefused | ReferenceUsed | Executed), found
                concluded += 1
    assert concluded or not isinstance(before, Answer | Opened | ForeignTransaction), "some field is read"


def same(found: object, before: object, aside: tuple[str, ...]) -> bool:
    one, other = plain(found), plain(before)
    for told in (one, other):
        for key in (*aside, "message", "detail"):
            told.pop(key, None)
            for inner in (told.get("then", {}), *told.get("others", ())):
                inner.pop(key, None)
    return bool(one == other)


@each
def test_no_word_that_is_spoilt_makes_a_payment_paid(path: Path) -> None:
    told = replies(path)
    if not isinstance(outcome(path, told), Answer) or outcome(path, told).status is None:  # type: ignore[attr-defined]
        return
    before: Any = outcome(path, told)
    for at, one in enumerate(told):
        for body in spoilt(exact(one)):
            found = outcome(path, [*told[:at], http(one.status, body, **one.headers), *told[at + 1 :]])
            assert not isinstance(found, Answer) or found.status is before.status


@each
def test_no_word_of_another_json_type_makes_a_payment_paid(path: Path) -> None:
    """A status, a code or a flag in a list or an object never counts as the missing word.

    Money of another type is reported as unreadable, and holds the payment. A row whose reference is no text is not
    ours.
    """
    asked, told = fixture(path).ask, replies(path)
    before = answer_of(outcome(path, told))
    if asked is None or is_paid(before):
        return
    for at, one in enumerate(told):
        body = exact(one)
        for place in fields(body):
            old = reduce(getitem, place, body)
            if isinstance(old, dict | list) or old == asked.expected.reference:
                continue
            for new in ([old], {"code": old}):
                other = http(one.status, json_body(changed(body, place, new)), **one.headers)
                found = answer_of(outcome(path, [*told[:at], other, *told[at + 1 :]]))
                assert not is_paid(found) or found.unreadable, place


def answer_of(found: object) -> Any:
    return found.then if isinstance(found, Executed) else found


def is_paid(found: object) -> bool:
    return isinstance(found, Answer) and found.status is not None and found.status.paid


# -- not found ---------------------------------------------------------------------------------------------------------

NOBODYS = [
    b"default backend - 404",
    b"404 page not found",
    b"",
    b'{"message":"Not Found"}',
    b'{"detail":"Not Found"}',
    b'{"message":"no Route matched with those values"}',
    b'{"error":"not_found"}',
    b'{"success":false,"message":"Not Found"}',
    b"[]",
]


@pytest.mark.parametrize("body", NOBODYS)
@pytest.mark.parametrize("path", [path for path in different_calls() if fixture(path).ask is not None], ids=name)
def test_a_404_of_somebody_on_the_way_says_nothing_of_a_payment(path: Path, body: bytes) -> None:
    found, sent = driven(begun(fixture(path), provider(path)), lambda _: http(404, body))
    assert isinstance(found, Inconclusive)
    assert not sent or found.trouble in (Trouble.UNREADABLE, Trouble.UNDOCUMENTED)  # the latter of EPS


# -- when to come again ------------------------------------------------------------------------------------------------

DATES = {
    "Sun, 06 Nov 1994 08:49:37 GMT": 60.0,
    "Sunday, 06-Nov-94 08:49:37 GMT": 60.0,
    "Sun Nov  6 08:49:37 1994": 60.0,
    "Sun, 06 Nov 1994 08:48:37 GMT": 0.0,
    "Sun, 06 Nov 1994 08:00:00 GMT": 0.0,
    "Thu, 31 Dec 2099 23:59:59 GMT": 86_400.0,
    "soon": None,
    "-5": None,
    "": None,
}


@pytest.mark.parametrize("text", DATES)
@pytest.mark.parametrize("status", [429, 503])
def test_a_gateway_may_say_by_a_date_when_to_come_again(text: str, status: int) -> None:
    said = http(status, b"", **{"retry-after": text, "date": "Sun, 06 Nov 1994 08:48:37 GMT"})
    found = trouble(said)
    assert found is not None
    assert found.retry_after == DATES[text]


# -- the reader itself -------------------------------------------------------------------------------------------------


def test_a_spoilt_value_is_not_absent() -> None:
    read = read_leniently(b'{"a": 1, "a": 1, "b": ["\\ud800", {"c": "\xff"}], "d": "fine"}')
    assert read["d"] == "fine"
    assert read.get("nothing") is None
    for touched in (lambda: read["a"], lambda: read.get("a"), lambda: read["b"][1].get("c")):
        with pytest.raises(Unreadable):
            touched()


@pytest.mark.parametrize(
    "body", [b"", b"{", b'{"a": }', b"[" * 40, b'{"a":' * 40 + b"1" + b"}" * 40, b"\x00", b"{'a': 1}"]
)
def test_what_is_no_json_is_unreadable(body: bytes) -> None:
    with pytest.raises(Unreadable):
        read_leniently(body)


def test_what_is_told_is_what_is_written() -> None:
    body = b'{"amount": 1500.50, "list": [1, null, true, "x"], "in": {"a": "b"}}'
    assert msgspec.json.encode(read_leniently(body)["in"]) == b'{"a":"b"}'
    assert read_leniently(body) == read_json(body)
