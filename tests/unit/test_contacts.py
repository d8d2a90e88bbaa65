"""Phone numbers and e-mail addresses: their spellings are one, and a hash says nothing without its key."""

from __future__ import annotations

import pytest

from worker.runtime.contacts import ContactKeys, is_contact, normalised

KEYS = ContactKeys([b"a" * 32])


@pytest.mark.parametrize(
    ("typed", "text"),
    [
        ("01712345678", "phone:8801712345678"),
        ("+8801712345678", "phone:8801712345678"),
        ("8801712345678", "phone:8801712345678"),
        ("008801712345678", "phone:8801712345678"),
        ("1712345678", "phone:8801712345678"),
        ("+880 (0)1712-345678", "phone:8801712345678"),
        (" ০১৭১২ ৩৪৫ ৬৭৮ ", "phone:8801712345678"),
        ("017.1234.5678", "phone:8801712345678"),
        ("+442079460958", "phone:442079460958"),
        ("0044 20 7946 0958", "phone:442079460958"),
        ("02-55667788", "phone:0255667788"),
        ("Karim@Shop.Example", "email:karim@shop.example"),
        ("  a+b@c.d ", "email:a+b@c.d"),
    ],
)
def test_every_spelling_of_a_contact_is_one(typed: str, text: str) -> None:
    assert normalised(typed) == text


@pytest.mark.parametrize(
    "typed", ["", " ", "order-7831", "pay_0", "12345", "1" * 16, "a@b@c", "@b", "a b@c", "+", "017x2345678", "²²²²²²²"]
)
def test_what_is_neither_is_no_contact(typed: str) -> None:
    assert not is_contact(typed)
    assert KEYS.of_typed(["shop"], typed) == []
    assert KEYS.of_customer("shop", {"phone": typed, "email": typed}) == []


def test_a_hash_depends_on_key_merchant_and_kind() -> None:
    (one,) = KEYS.of_customer("shop", {"phone": "01712345678"})
    assert len(one) == 32
    assert KEYS.of_typed(["shop"], "+8801712345678") == [one]
    assert KEYS.of_typed(["other"], "01712345678") != [one]
    assert ContactKeys([b"b" * 32]).of_typed(["shop"], "01712345678") != [one]
    assert ContactKeys([b"b" * 32, b"a" * 32]).of_typed(["shop"], "01712345678")[1] == one


def test_without_keys_nothing_is_hashed_and_only_texts_are() -> None:
    assert not ContactKeys()
    assert ContactKeys().of_customer("shop", {"phone": "01712345678"}) == []
    assert KEYS.of_customer("shop", {"phone": None, "email": 7, "name": "01712345678"}) == []
    assert len(KEYS.of_customer("shop", {"phone": "01712345678", "email": "a@b.c"})) == 2
