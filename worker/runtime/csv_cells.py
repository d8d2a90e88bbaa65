"""CSV that a spreadsheet opens as what it is: UTF-8 with a byte order mark, times in UTC, and no text that it runs.

A spreadsheet that opens a file would run a text that looks like a formula. So a text cell that begins with `=`, `+`,
`-`, `@`, a tab or a line break gets an apostrophe before it. A program that reads the file has to remove it.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal

import msgspec

BYTE_ORDER_MARK = "\ufeff"
"""Says UTF-8 to spreadsheets that would guess."""
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def harmless(text: str | None) -> str:
    """The text so that no spreadsheet takes it for a formula. None becomes empty."""
    if not text:
        return ""
    return f"'{text}" if text.startswith(_FORMULA) else text


def csv_text(columns: Sequence[str], records: Iterable[Mapping[str, object]]) -> str:
    """The whole file: a line with the columns, and a line for each record. A column that a record lacks is empty."""
    return csv_head(columns) + csv_lines(columns, records)


def csv_head(columns: Sequence[str]) -> str:
    """How the file begins."""
    return BYTE_ORDER_MARK + _lines([columns])


def csv_lines(columns: Sequence[str], records: Iterable[Mapping[str, object]]) -> str:
    """Lines of the file, for one that is written piece by piece."""
    return _lines([_cell(record.get(name)) for name in columns] for record in records)


def _lines(rows: Iterable[Sequence[str]]) -> str:
    file = io.StringIO(newline="")
    csv.writer(file).writerows(rows)
    return file.getvalue()


def _cell(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case int() | float() | Decimal():
            return str(value)
        case datetime():
            return utc_text(value)
        case str():
            return harmless(str(value))
    return harmless(msgspec.json.encode(value).decode())


def utc_text(at: datetime) -> str:
    """The time in UTC, as RFC 3339 has it."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")
