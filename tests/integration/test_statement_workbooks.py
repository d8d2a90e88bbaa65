"""Statements in workbooks, read by the process with limits: good workbooks, and every bad workbook made here."""

from __future__ import annotations

import base64
import io
import os
import struct
import zipfile
import zlib
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from openpyxl import Workbook

from schemas.statements import Line, StatementMap, Unread
from tests.unit.statement_files import COLUMNS, LINE, read, rows, whys
from worker.reconciliation.statements import StatementError, guess_headers, open_statement, read_lines

HEADERS = ["Date", "Trx ID", "Order ID", "Amount", "Fee", "Status"]
ROW: list[Any] = [datetime(2026, 4, 3, 10, 20, 30), "T1", "order-1", 1500.5, 22.5, "Success"]
CHILDREN = Path(f"/proc/self/task/{os.getpid()}/children")
SHEET = "xl/worksheets/sheet1.xml"


OLD_WORKBOOK = (
    "c-p&gUhu)fjZzO8(10BSGsD0CoD6J8VvIn{3F8Pb0OkMx2QgtZ2N3@s1w#sOasVTejg?_H?-_Pb9D?HeAp;Y`29|?Bl7Zn75XUeSF!<%?r7F-7"
    "IDy@e$Ov+SEs$hnm;)5yV~_;9N(f9QgGpg9xgM-?514cSi}Zp?TcFwpj8P2d?ftYYps6^5NeL{+#{e>SJ6O*xu!tdpD8mU*Dz2Zv2vN(*;8>KI"
    "m@_yf<XCtZmM{S0%{?_QwJ0&?0fPuI0+%p+{jb2l@CBAr4=9X^(^s640Vw_hRh%7*_+%y)28ITP{|Vp(-patuaF7`!!_45DSow!Ro`D(60q4q)"
    "q6!617a+qiH@`Hm1ejVw47orBGB^VZpk!cPaKh#Rk|_-QV74GQc?$rG=sznzUh+)}u#X3eG=K|jNYSneat*_OhDMMMpk_X>C^J|VL~4O`XoJZn"
    "u&L5uwiK8Y0VYZytrj2(Ww<qi)wF<R)qwUGgTZBcbtJY1klp$^aEDy$V|z^?d!75kDv@>9?H4jA0jru6pnec+X3$~OVVpG+1a{iPXhvu;a2HHU"
    "ViXA+Oaf3J{D;<G{0x5?xWFa~f(0NvCLoUys-6jpdPMluF@bm>_1zkr40cRH4BJ4$zyb#WxEMykC>RB!U=)mkQ7{Td!6+EC0Mzhhf;RI(&3{&C"
    "7lIu+uJad&|BVil3|kPykPn0<z>cXaLmrSWVyGl3{fIHJGQ!MaBvKD-ybuJ!fwmVhWHTgz-H}al`UQ3Y8Ik=%v_=8yWg$}S|3`{DX>30L4r9PQ"
)


def workbook(*sheets: list[list[Any]]) -> bytes:
    book = Workbook()
    book.remove(book.worksheets[0])
    for number, sheet in enumerate(sheets, start=1):
        page = book.create_sheet(f"Sheet {number}")
        for row in sheet:
            page.append(row)
    return saved(book)


def saved(book: Workbook) -> bytes:
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def changed(content: bytes, change: Callable[[bytes], bytes], name: str = SHEET) -> bytes:
    """The workbook with one of its files changed."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as new:
        for one in old.infolist():
            new.writestr(one.filename, change(old.read(one)) if one.filename == name else old.read(one))
    return file.getvalue()


def declaring(content: bytes, size: int, name: str = SHEET) -> bytes:
    """The workbook whose archive says that one of its files has this size."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entry = archive.getinfo(name)
    true, said = (struct.pack("<III", entry.CRC, entry.compress_size, some) for some in (entry.file_size, size))
    assert true in content
    return content.replace(true, said)


def one(folder: Path, row: list[Any], columns: StatementMap = COLUMNS) -> Line | Unread:
    (line,) = read(folder, workbook([HEADERS, row]), columns)
    return line


def test_a_workbook_is_read_with_real_dates_and_numbers(tmp_path: Path) -> None:
    assert one(tmp_path, ROW) == LINE
    assert one(tmp_path, ["03/04/2026 10:20:30", "T1", "order-1", "BDT 1,500.50", "22.50", " success "]) == replace(
        LINE, word="success"
    )


def test_rows_and_columns_are_counted_from_the_corner_of_the_sheet(tmp_path: Path) -> None:
    book = Workbook()
    page = book.worksheets[0]
    page["C1"] = None
    for place, (header, value) in enumerate(zip(HEADERS, ROW, strict=True), start=3):
        page.cell(5, place, header)
        page.cell(7, place, value)
    page["D9"] = "T2"
    lines = read(tmp_path, saved(book))
    assert lines[0] == replace(LINE, row=7)
    assert whys(lines) == {9: "the amount is empty"}


def test_the_name_of_the_file_decides_nothing(tmp_path: Path) -> None:
    path = tmp_path / "statement.csv"
    path.write_bytes(workbook([HEADERS, ROW]))
    assert open_statement(path).form == "XLSX"


def test_whole_numbers_are_ids_as_long_as_they_are_exact(tmp_path: Path) -> None:
    line = one(tmp_path, [None, 712345678901234, 42, 1500, None, "Success"])
    assert isinstance(line, Line)
    assert (line.transaction_id, line.reference, line.amount, line.fee, line.at) == (
        "712345678901234",
        "42",
        Decimal(1500),
        None,
        None,
    )


@pytest.mark.parametrize(
    ("place", "cell", "why"),
    [
        (1, 1234567890123456, 'the transaction id (Trx ID) "1.23457E+15" was shortened to a number by a spreadsheet'),
        (
            1,
            date(2026, 5, 6),
            'the transaction id (Trx ID) "2026-05-06T00:00:00" was taken for a date by a spreadsheet',
        ),
        (1, "=A1", 'the transaction id (Trx ID) "=" is a formula without its value'),
        (3, 1500.125, 'the amount "1500.125" has more than 2 decimals'),
        (3, 0.1 + 1e-9, 'the amount "0.100000001" has more than 2 decimals'),
        (3, 1e-7, 'the amount "0.0000001" has more than 2 decimals'),
        (3, 1e16, 'the amount "1.00000E+16" was shortened by a spreadsheet'),
        (3, "=1500+0.5", 'the amount "=" is a formula without its value'),
        (3, "১৫০০", 'the amount "১৫০০" has Bengali digits'),
        (3, True, 'the amount "TRUE" is no amount'),
        (3, datetime(2026, 1, 2), 'the amount "2026-01-02T00:00:00" is no amount'),
        (3, -5, "the amount is negative"),
        (3, 0, "the amount is zero"),
        (3, None, "the amount is empty"),
        (4, "=B2*0.015", 'the fee "=" is a formula without its value'),
        (0, 46115.43, 'the time (Date) "46115.43" is not a time written as %d/%m/%Y %H:%M:%S'),
        (0, date(1950, 1, 1), 'the time (Date) "1950-01-01T00:00:00" is no time of our age'),
        (5, "=F1", 'the status "=" is in no list of the map'),
    ],
)
def test_a_cell_that_is_not_exact_makes_its_row_unreadable(tmp_path: Path, place: int, cell: object, why: str) -> None:
    line = one(tmp_path, [*ROW[:place], cell, *ROW[place + 1 :]])
    assert isinstance(line, Unread)
    assert line.why.startswith(why)
    assert line.row == 2


def test_a_formula_with_its_value_is_that_value_and_an_error_is_an_error(tmp_path: Path) -> None:
    content = workbook([HEADERS, [*ROW[:3], "=1000+500.5", "=1/0", "Success"], ROW])
    valued = changed(content, lambda xml: xml.replace(b"<f>1000+500.5</f><v />", b"<f>1000+500.5</f><v>1500.5</v>"))
    failed = changed(valued, lambda xml: xml.replace(b"><f>1/0</f><v />", b' t="e"><f>1/0</f><v>#DIV/0!</v>'))
    assert whys(read(tmp_path, valued)) == {2: 'the fee "=" is a formula without its value'}
    assert whys(read(tmp_path, failed)) == {2: 'the fee "#DIV/0!" is an error of the spreadsheet'}
    mended = changed(valued, lambda xml: xml.replace(b"<f>1/0</f><v />", b"<f>1/0</f><v>22.5</v>"))
    assert read(tmp_path, mended) == [LINE, replace(LINE, row=3)]


def test_merged_cells_hold_their_value_in_the_first_row_alone(tmp_path: Path) -> None:
    book = Workbook()
    page = book.worksheets[0]
    for row in (HEADERS, ROW, [*ROW[:1], "T2", *ROW[2:]]):
        page.append(row)
    page.merge_cells("D2:D3")
    lines = read(tmp_path, saved(book))
    assert rows(lines) == [2]
    assert whys(lines) == {3: "the amount is empty"}


def test_totals_are_unreadable_and_empty_rows_are_unused(tmp_path: Path) -> None:
    lines = read(tmp_path, workbook([HEADERS, ROW, [], ["Total", None, None, 1500.5], ROW]))
    assert rows(lines) == [2, 5]
    assert whys(lines) == {4: "no transaction id, session id or reference"}


def test_a_note_beside_the_columns_harms_nobody(tmp_path: Path) -> None:
    assert one(tmp_path, [*ROW, "seen by Rina"]) == LINE


def test_the_only_sheet_with_the_headers_is_taken(tmp_path: Path) -> None:
    assert read(tmp_path, workbook([["Summary"], ["Total", 5]], [["May"], HEADERS, ROW], [])) == [replace(LINE, row=3)]


def test_two_sheets_with_the_headers_are_named(tmp_path: Path) -> None:
    with pytest.raises(StatementError, match='row 1 of the sheet "Sheet 1" and row 2 of the sheet "Sheet 3"'):
        read(tmp_path, workbook([HEADERS, ROW], [], [[], HEADERS, ROW]))


def test_hidden_sheets_are_not_read(tmp_path: Path) -> None:
    book = Workbook()
    for page in (book.worksheets[0], book.create_sheet("old")):
        page.append(HEADERS)
        page.append(ROW)
    book["old"].sheet_state = "hidden"
    assert read(tmp_path, saved(book)) == [LINE]


def test_no_sheet_with_the_headers_is_told(tmp_path: Path) -> None:
    with pytest.raises(StatementError, match=r'row 1 of the sheet "Sheet 2" lacks "Trx ID".*, "Fee"'):
        read(tmp_path, workbook([["x"]], [["Date", "Order ID", "Amount", "Status"]]))
    with pytest.raises(StatementError, match='none of the first 30 rows of the sheet "Sheet 1" has'):
        read(tmp_path, workbook([["x"]]))


def test_duplicated_headers_are_named(tmp_path: Path) -> None:
    with pytest.raises(StatementError, match='row 1: the header "Fee" stands in the columns E and G'):
        read(tmp_path, workbook([[*HEADERS, "fee"], [*ROW, 1]]))


def test_a_workbook_cut_off_anywhere_is_told_and_nothing_of_it_is_read(tmp_path: Path) -> None:
    content = workbook([HEADERS, ROW])
    for length in (4, 30, 600, len(content) // 2, len(content) - 1):
        with pytest.raises(StatementError, match="cut off or damaged"):
            read(tmp_path, content[:length])


def test_a_workbook_damaged_inside_is_told(tmp_path: Path) -> None:
    content = workbook([HEADERS, ROW])
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        start = archive.getinfo(SHEET).header_offset + 30 + len(SHEET)
    with pytest.raises(StatementError, match="damaged"):
        read(tmp_path, content[:start] + b"\xff" * 40 + content[start + 40 :])
    with pytest.raises(StatementError, match="damaged"):
        read(tmp_path, changed(content, lambda xml: xml[: len(xml) // 2]))


def test_a_declared_size_of_two_gigabytes_is_refused_unread(tmp_path: Path) -> None:
    with pytest.raises(
        StatementError, match=r"declares 2,147,\d{3},\d{3} bytes of content; at most 1,073,741,824 are read"
    ):
        read(tmp_path, declaring(workbook([HEADERS, ROW]), 2 << 30))


def test_a_bomb_is_refused_by_how_much_it_unpacks(tmp_path: Path) -> None:
    bomb = changed(
        workbook([HEADERS, ROW]), lambda xml: xml.replace(b"</sheetData>", b"<row></row>" * (3 << 20) + b"</sheetData>")
    )
    assert len(bomb) < 1 << 20
    with pytest.raises(StatementError, match=r"unpacks [\d,]+ bytes into [\d,]+, as no statement does"):
        read(tmp_path, bomb)
    with pytest.raises(StatementError, match=f"declares 5,000 bytes for '{SHEET}' and holds more"):
        read(tmp_path, declaring(bomb, 5000))


def test_a_sheet_of_two_cells_far_apart_kills_only_its_reader(tmp_path: Path) -> None:
    far = b'<row r="1048576"><c r="XFD1048576"><v>1</v></c></row></sheetData>'
    with pytest.raises(StatementError, match="takes more memory or time than a statement may, or is damaged"):
        read(tmp_path, changed(workbook([HEADERS, ROW]), lambda xml: xml.replace(b"</sheetData>", far)))


def test_a_password_is_told(tmp_path: Path) -> None:
    ole = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(1024) + "EncryptedPackage".encode("utf-16-le") + bytes(1024)
    with pytest.raises(StatementError, match="is protected by a password; save it without one"):
        read(tmp_path, ole)


def test_an_old_workbook_that_is_damaged_is_told(tmp_path: Path) -> None:
    with pytest.raises(StatementError, match="damaged"):
        read(tmp_path, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"x" * 3000)


def test_an_old_workbook_is_read(tmp_path: Path) -> None:
    """Of Excel 97: three rows, packed; the library that writes such files is no longer maintained."""
    line = Line(row=3, kind="payment", status=LINE.status, word=None, amount=Decimal("1500.50"), transaction_id="T1")
    lines = read(
        tmp_path,
        zlib.decompress(base64.b85decode(OLD_WORKBOOK)),
        StatementMap(amount="Amount", transaction_id="Trx ID"),
    )
    assert lines == [line]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("may.csv", "is a zip archive of 1 files and no workbook; unpack it first"),
        ("xl/workbook.bin", "is a binary workbook"),
        ("content.xml", "is an OpenDocument file"),
        ("word/document.xml", "is a Word document"),
    ],
)
def test_an_archive_that_is_no_workbook_is_told(tmp_path: Path, name: str, why: str) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(name, "Amount,Trx ID")
    with pytest.raises(StatementError, match=why):
        read(tmp_path, file.getvalue())


def test_a_guess_looks_at_the_sheet_with_headers(tmp_path: Path) -> None:
    path = tmp_path / "statement.xlsx"
    path.write_bytes(workbook([["Summary of", "May"]], [["May"], HEADERS, ROW]))
    seen = guess_headers(open_statement(path))
    assert (seen.table, seen.row, seen.headers) == ('the sheet "Sheet 2"', 2, tuple(HEADERS))
    assert seen.rows == ((3, ("2026-04-03T10:20:30", "T1", "order-1", "1500.5", "22.5", "Success")),)


def test_who_stops_reading_in_the_middle_leaves_no_process_behind(tmp_path: Path) -> None:
    path = tmp_path / "statement.xlsx"
    path.write_bytes(workbook([HEADERS, *([ROW] * 20_000)]))
    before = set(CHILDREN.read_text().split())  # servers shared with other tests
    lines = read_lines(open_statement(path), COLUMNS)
    assert next(lines) == LINE
    (process,) = set(CHILDREN.read_text().split()) - before
    lines.close()  # type: ignore[attr-defined]
    assert process not in CHILDREN.read_text().split()
