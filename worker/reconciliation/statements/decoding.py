"""A text file's bytes as lines of text, in constant memory.

The one thing to get wrong: what stands before a bad byte is given out first, and only then is the byte complained of,
so that whoever counts the rows knows in which of them it stands.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import BinaryIO

CHUNK = 1 << 16
LONGEST_LINE = 1 << 20


class DecodingError(Exception):
    """What is wrong with the text that follows the lines given out so far."""


def encoding_of(head: bytes) -> str:
    """By the mark that the file begins with. Without one it is UTF-8 or nothing that is read here."""
    return "utf-16" if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"


def decode_lines(file: BinaryIO, encoding: str) -> Iterator[str]:
    """Lines with their ends, cut at line feeds alone. Raises DecodingError."""
    rest = ""
    for text, trouble in _decode(file, encoding):
        *whole, rest = (rest + text).split("\n")
        for line in whole:
            yield line + "\n"
        if trouble is not None:
            raise trouble
        if len(rest) > LONGEST_LINE:
            raise DecodingError(f"a line is longer than {LONGEST_LINE:,} characters")
    if rest:
        yield rest


def _decode(file: BinaryIO, encoding: str) -> Iterator[tuple[str, DecodingError | None]]:
    decoder = codecs.getincrementaldecoder(encoding)("strict")
    fed = 0
    while True:
        chunk = file.read(CHUNK)
        fed += len(chunk)
        try:
            text, trouble = decoder.decode(chunk, final=not chunk), None
        except UnicodeDecodeError as error:
            # The decoder holds back the bytes of a character cut in two; they stand before the chunk in `object`.
            offset = fed - len(error.object) + error.start
            text = error.object[: error.start].decode(error.encoding, "ignore").lstrip("\ufeff")
            trouble = DecodingError(_undecodable(error, offset))
        if "\0" in text:
            text, trouble = text[: text.index("\0")], DecodingError(NUL)
        yield text, trouble
        if not chunk or trouble:
            return


NUL = "a NUL character stands in the text; the file is damaged, or is UTF-16 without the mark at its beginning"


def _undecodable(error: UnicodeDecodeError, offset: int) -> str:
    name = "UTF-16" if "16" in error.encoding else "UTF-8"
    if error.start >= len(error.object) or "end of data" in error.reason or "truncated" in error.reason:
        return f"the {name} text ends in the middle of a character, at byte offset {offset}; the file is cut off"
    byte = error.object[error.start]
    hint = "; it is perhaps Windows-1252: save the file again as CSV UTF-8" if byte >= 0x80 and name == "UTF-8" else ""
    return f"the byte 0x{byte:02X} at offset {offset} is not {name}{hint}"
