"""Phone numbers and e-mail addresses of buyers as keyed hashes, by which payments are found and nothing is revealed.

A hash is the HMAC-SHA256, under a key that only the configuration knows, of the merchant, the kind and the normalised
text. Whoever reads the database learns no number from it: without the key the numbers of a country cannot be tried, and
the same buyer has other hashes at another merchant.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

COUNTRY = "880"
_MOBILE = 10
"""How many digits a mobile number of Bangladesh has behind its country's code or its 0."""
_SEPARATORS = re.compile(r"[\s().\-‐-―]+")
_PHONE = re.compile(r"\+?[0-9]{6,15}")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")


class ContactKeys:
    """Hashes with the first of the keys, and finds with all of them. It is false without keys: nothing is hashed."""

    def __init__(self, keys: Sequence[bytes] = ()) -> None:
        self._keys = tuple(keys)

    def __bool__(self) -> bool:
        return bool(self._keys)

    def of_customer(self, merchant: str, customer: Mapping[str, Any]) -> list[bytes]:
        """The hashes to store for a merchant's buyer; none without keys. `customer` is that of the shop's request."""
        texts = {normalised(text) for name in ("phone", "email") if isinstance(text := customer.get(name), str)}
        return [_hash(self._keys[0], merchant, text) for text in sorted(filter(None, texts))] if self else []

    def of_typed(self, merchants: Iterable[str], typed: str) -> list[bytes]:
        """The hashes that a payment may have that was opened for this phone number or address at these merchants."""
        text = normalised(typed)
        return [] if text is None else [_hash(key, one, text) for one in merchants for key in self._keys]


def is_contact(typed: str) -> bool:
    """Whether it may be a phone number or an e-mail address."""
    return normalised(typed) is not None


def is_personal(typed: str) -> bool:
    """Whether it is an e-mail address, a mobile number of Bangladesh or a number with a country's code.

    It does not belong in the address of a page. Other digits may be the number of an order.
    """
    text = normalised(typed)
    if text is None or text.startswith("email:"):
        return text is not None
    mobile = text.startswith(f"phone:{COUNTRY}1") and len(text) == len(f"phone:{COUNTRY}") + _MOBILE
    return mobile or typed.strip().startswith("+")


def normalised(text: str) -> str | None:
    """`email:` or `phone:` and the text in the form that all its spellings share; None where it is neither.

    A number of Bangladesh may begin with +880, 00880, 880, 0 or 1. An address has no capitals.
    """
    text = text.strip()
    if _EMAIL.fullmatch(text):
        return f"email:{text.casefold()}"
    digits = _SEPARATORS.sub("", "".join(str(int(sign)) if sign.isdecimal() else sign for sign in text))
    if not _PHONE.fullmatch(digits):
        return None
    number = digits.removeprefix("+").removeprefix("00")
    national = number.removeprefix(COUNTRY).removeprefix("0")
    if len(national) == _MOBILE and national.startswith("1"):
        return f"phone:{COUNTRY}{national}"
    return f"phone:{number}"


def _hash(key: bytes, merchant: str, text: str) -> bytes:
    return hmac.digest(key, f"{merchant}\n{text}".encode(), "sha256")
