"""Random lines in workbooks are read back the same; random damage to a workbook always ends in an error in words."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from openpyxl import Workbook

from schemas.statements import Line
from tests.unit.statement_files import COLUMNS, HEADERS, read
from tests.unit.test_statement_round_trips import DHAKA, read_or_refuse, written_lines

# Each example starts processes, so only a few run.
FEW = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def workbook(lines: list[Line], *, numbers: bool) -> bytes:
    book = Workbook()
    page = book.worksheets[0]
    page.append(["Statement of May"])
    page.append(HEADERS.strip().split(","))
    for line in lines:
        at = line.at.astimezone(DHAKA).replace(tzinfo=None) if line.at else None
        amount = float(line.amount) if numbers else str(line.amount)
        fee = line.fee if line.fee is None or not numbers else float(line.fee)
        page.append([at, line.transaction_id, line.reference, amount, None if fee is None else fee, line.word])
        for place in (2, 3):
            page.cell(page.max_row, place).data_type = "s"
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


@FEW
@given(written_lines(), st.booleans())
def test_lines_written_as_a_workbook_are_read_back_the_same(lines: list[Line], numbers: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        found = read(Path(folder), workbook(lines, numbers=numbers), COLUMNS)
    assert found == [replace(line, row=line.row + 1) for line in lines]


WHOLE = workbook([], numbers=True)


@FEW
@given(st.lists(st.tuples(st.integers(4, len(WHOLE) - 1), st.binary(min_size=0, max_size=6)), min_size=1, max_size=4))
def test_a_damaged_workbook_is_lines_or_refused(damages: list[tuple[int, bytes]]) -> None:
    content = bytearray(WHOLE)
    for place, other in damages:
        content[place : place + 3] = other
    read_or_refuse(bytes(content))


@FEW
@given(st.sampled_from([b"PK\x03\x04", b"PK\x05\x06", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"]), st.binary(max_size=2000))
def test_random_bytes_behind_the_mark_of_a_workbook_are_refused(mark: bytes, content: bytes) -> None:
    assert read_or_refuse(mark + content) is None
