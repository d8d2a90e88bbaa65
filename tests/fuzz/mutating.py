"""Input as strangers could send it: documented input with some of its parts changed, and input that breaks parsers.

A case is a few bytes, from which each reader makes its own input: which document, which changes, where. So the engine
that draws the bytes knows nothing of the readers, and a crashing case is written down in one line. There are a million
cases, so a case must be cheap: a single draw and a few slices.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")

PIECES = (
    *(b"", b"{", b"}", b"[", b'"', b"\\", b",", b":", b"&", b"=", b"%", b";", b"<", b" ", b"\n", b"\r", b"\t", b"../"),
    *(b"\x00", b"\xff", b"\xed\xa0\x80", b"\xc0\x80", b"\xef\xbb\xbf", b"\\ud800", b"\\u0000", b"\\", b"%00", b"%ff"),
    *(b"null", b"true", b"{}", b"[]", b'""', b"0", b"-0", b"-1", b"1.5", b"NaN", b"Infinity", b"1e999999999", b"1_000"),
    *(b"0.00", b"0.001", b"1500.50", b"5.0000", b"01", b"+1", b"1e3", b"9" * 41, b"9" * 400, b"1." + b"0" * 60),
    *("১২".encode(), "٣".encode(), "é".encode(), "\u2028".encode(), "\u202e".encode(), "🙂".encode()),
    *(b"[" * 33, b"(" * 50, b"a" * 201, b"1.2.3.4,1.2.3.4", b"::1%eth0", b"t=1,v1=", b"sha256=", b"q=0.5"),
    *(b"2026-11-21T00:00:00Z", b"0001-01-01T00:00:00Z", b"9999-12-31T23:59:59-23:59", b"29 Feb 2026", b"Fri, 31 Dec "),
    *(b"PAID", b"success", b"completed", b"pay_00000000000000000000000000", b"order-7831", b"https://", b"javascript:"),
)
LARGE = (b"[" * 20_000, b'{"a":' * 5_000, b"a" * 70_000, b'"\\' * 5_000, b"," * 20_000, b"9" * 10_000, b"&a=" * 900)
STATUSES = (200, 200, 200, 200, 201, 204, 302, 400, 401, 404, 408, 409, 422, 429, 500, 503)


class Dice:
    """Draws from the bytes of a case; when they are used up, every draw is the first choice."""

    def __init__(self, case: bytes) -> None:
        self._left = iter(case)

    def below(self, many: int) -> int:
        """A number from 0 up to and without `many`."""
        drawn = next(self._left, 0)
        return (drawn if many <= 256 else drawn << 8 | next(self._left, 0)) % many

    def one_of(self, several: Sequence[T]) -> T:
        return several[self.below(len(several))]

    def changed(self, given: bytes) -> bytes:
        """The bytes after up to four changes: a piece inserted, set over others, cut out, or repeated."""
        for _ in range(self.below(5)):
            place = self.below(len(given) + 1)
            what = self.below(16)
            end = place + self.below(40)
            if what < 7:
                given = given[:place] + self._piece() + given[place:]
            elif what < 11:
                given = given[:place] + self._piece() + given[end:]
            elif what < 14:
                given = given[:place] + given[end:]
            else:
                given = given[:end] + given[place:]
        return given

    def text(self, given: str) -> str:
        """The text after up to four changes. Bytes that are not UTF-8 are lone surrogates, as aiohttp has them."""
        return self.changed(given.encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape")

    def _piece(self) -> bytes:
        nth = self.below(256)
        if nth < 2 * len(PIECES):  # of 256, so that a few are left for random bytes
            return PIECES[nth // 2]
        if nth == 255:
            return self.one_of(LARGE)
        return bytes((nth, self.below(256)))[: 1 + nth % 2]
