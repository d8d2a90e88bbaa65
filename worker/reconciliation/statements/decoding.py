"""A text file's bytes as lines of text, in constant memory.

The lines before a bad byte are yielded before the error. So a caller that counts rows knows the row of the bad byte.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import BinaryIO

CHUNK = 1 << 16
LONGEST_LINE = 1 << 20


class DecodingError(Exception):
    """Why the text after the lines given out so far cannot be read."""


def encoding_of(head: bytes) -> str:
    """The encoding by the file's byte order mark: UTF-16, or else UTF-8."""
    return "utf-16" if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"


def decode_lines(file: BinaryIO, encoding: str) -> Iterator[str]:
    """Yield the lines with their ends, cut at line feeds alone.

    Raises DecodingError, after the lines before it, at a bad byte, a NUL or a line over LONGEST_LINE.
    """
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
            # `object` is the chunk, after the bytes of a cut character that the decoder had held back.
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
