"""Random lines written as portals write them are read back the same; random damage always ends in an error in words."""

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from schemas.statements import Line, StatementMap, Unread
from schemas.words import Status
from tests.unit.statement_files import COLUMNS, HEADERS, ROW, read
from worker.reconciliation.report.amounts import taka
from worker.reconciliation.statements import StatementError

DHAKA = ZoneInfo("Asia/Dhaka")
WORDS = {Status.COMPLETED: "Success", Status.FAILED: "Failed"}
FORMATS = ("%d/%m/%Y %H:%M:%S", "%Y-%m-%d %H:%M:%S", "%d-%b-%Y %I:%M:%S %p", "%m/%d/%y %H:%M:%S", None)
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16")

SIGNS = st.characters(exclude_categories=("C", "Z"))
IDS = st.text(SIGNS, min_size=1, max_size=30).filter(
    lambda text: (
        text.lower() not in ("-", "--", "–", "—", "n/a", "null") and text[0] not in "=#" and "E+" not in text.upper()
    )
)
CENTS = st.integers(1, 10**11).map(lambda cents: Decimal(cents).scaleb(-2))
FEES = st.none() | st.integers(0, 10**8).map(lambda parts: Decimal(parts).scaleb(-4))
SECONDS = st.integers(0, 86_400 * 365 * 30).map(lambda more: datetime(2005, 1, 1, tzinfo=UTC) + timedelta(seconds=more))


@st.composite
def written_lines(draw: st.DrawFn) -> list[Line]:
    count = draw(st.integers(0, 8))
    return [
        Line(
            row=row,
            kind="payment",
            status=(status := draw(st.sampled_from(list(WORDS)))),
            word=WORDS[status],
            amount=draw(CENTS),
            transaction_id=draw(IDS),
            reference=draw(st.none() | IDS),
            fee=draw(FEES),
            at=draw(st.none() | SECONDS),
        )
        for row in range(2, count + 2)
    ]


def written(
    lines: list[Line], form: str | None, money: Callable[[Decimal], str], order: list[int], dialect: dict[str, str]
) -> str:
    file = io.StringIO(newline="")
    writer = csv.writer(file, **dialect)  # type: ignore[arg-type]
    headers = HEADERS.strip().split(",")
    writer.writerow(headers[place] for place in order)
    for line in lines:
        at = line.at.astimezone(DHAKA) if line.at else None
        time = (at.strftime(form) if form else at.isoformat()) if at else ""
        fee = "-" if line.fee is None else f"{line.fee}"
        cells = [time, line.transaction_id, line.reference or "", money(line.amount), fee, line.word]
        writer.writerow(cells[place] for place in order)
    return file.getvalue()


@given(
    lines=written_lines(),
    form=st.sampled_from(FORMATS),
    money=st.sampled_from([str, taka, "{:,.2f}".format, "BDT {}".format, "{} ৳".format]),
    order=st.permutations(range(6)),
    dialect=st.fixed_dictionaries(
        {"delimiter": st.sampled_from(",;\t|"), "lineterminator": st.sampled_from(["\n", "\r\n"])}
    ),
    encoding=st.sampled_from(ENCODINGS),
)
def test_lines_written_in_any_layout_are_read_back_the_same(
    lines: list[Line],
    form: str | None,
    money: Callable[[Decimal], str],
    order: list[int],
    dialect: dict[str, str],
    encoding: str,
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        content = written(lines, form, money, order, dialect).encode(encoding)
        assert read(Path(folder), content, replace(COLUMNS, date_format=form)) == lines


def read_or_refuse(content: bytes, columns: StatementMap = COLUMNS) -> list[Line | Unread] | None:
    """None where the whole file was refused; every other exception is raised."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            return read(Path(folder), content, columns)
        except StatementError:
            return None


@given(st.binary(max_size=300))
def test_random_bytes_are_lines_or_refused(content: bytes) -> None:
    read_or_refuse(content)
    read_or_refuse(HEADERS.encode() + content)


@given(st.text(st.sampled_from('"\r\n,;aT1.5-=\t\x00\x0c\u2028০'), max_size=80))
def test_random_text_below_the_headers_is_lines_or_refused(text: str) -> None:
    found = read_or_refuse((HEADERS + text).encode())
    numbers = [line.row for line in found or ()]
    assert numbers == sorted(set(numbers))


@given(
    st.lists(
        st.tuples(st.integers(0, 400), st.sampled_from(["cut", "flip", "drop", "twice"]), st.integers(0, 255)),
        max_size=4,
    ),
    st.sampled_from(ENCODINGS),
)
def test_a_damaged_statement_is_lines_or_refused(damages: list[tuple[int, str, int]], encoding: str) -> None:
    content = (HEADERS + ROW * 5).encode(encoding)
    for place, how, byte in damages:
        place %= len(content) or 1  # noqa: PLW2901
        before, after = content[:place], content[place:]
        content = {
            "cut": before,
            "flip": before + bytes([byte]) + after[1:],
            "drop": before + after[1:],
            "twice": before + after[:40] + after,
        }[how]
    read_or_refuse(content)


@given(st.text(max_size=20), st.sampled_from(["transaction_id", "amount", "fee", "at", "status"]))
def test_any_text_in_a_cell_is_a_line_or_unreadable(cell: str, key: str) -> None:
    columns = COLUMNS
    headers = (
        [str(getattr(columns, key)) if place else "Trx ID" for place in range(2)]
        if key != "transaction_id"
        else ["Trx ID"]
    )
    small = StatementMap(
        amount="Amount",
        transaction_id="Trx ID",
        **({key: headers[-1]} if key not in ("transaction_id", "amount") else {}),
        **({"completed": ("Success",)} if key == "status" else {}),
    )
    file = io.StringIO(newline="")
    names = list(dict.fromkeys(["Amount", "Trx ID", *headers]))
    values = {"Amount": "5", "Trx ID": "T1", headers[-1]: cell}
    writer = csv.writer(file, quoting=csv.QUOTE_ALL)
    writer.writerow(names)
    writer.writerow(values[name] for name in names)
    found = read_or_refuse(file.getvalue().encode("utf-8", "replace"), small)
    assert found is None or len(found) == 1
