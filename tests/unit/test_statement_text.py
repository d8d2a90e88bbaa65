"""Statements in text: the rows of valid files, and for wrong files the problem and its row."""

from __future__ import annotations

import codecs
import tracemalloc
from pathlib import Path

import pytest
from msgspec.structs import replace

from schemas.statements import Line
from tests.unit.statement_files import COLUMNS, HEADERS, LINE, ROW, read, rows, whys
from worker.reconciliation.statements import StatementError, open_statement, read_lines


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_the_delimiter_and_the_encoding_are_found(tmp_path: Path, delimiter: str, encoding: str) -> None:
    assert read(tmp_path, (HEADERS + ROW).replace(",", delimiter).encode(encoding)) == [LINE]


def test_utf_16_of_either_order_is_read(tmp_path: Path) -> None:
    text = HEADERS + ROW.replace("order-1", "অর্ডার-১")
    for mark, encoding in ((codecs.BOM_UTF16_BE, "utf-16-be"), (codecs.BOM_UTF16_LE, "utf-16-le")):
        assert read(tmp_path, mark + text.encode(encoding)) == [replace(LINE, reference="অর্ডার-১")]


def test_titles_may_stand_above_the_headers(tmp_path: Path) -> None:
    titles = 'Statement of May\r\n\r\n"Account: shop; all, amounts in BDT"\r\nPeriod;1 May;31 May\r\n'
    assert read(tmp_path, titles + HEADERS + ROW) == [replace(LINE, row=6)]


def test_headers_are_found_in_the_first_thirty_rows_and_no_further(tmp_path: Path) -> None:
    assert rows(read(tmp_path, "title\n" * 29 + HEADERS + ROW)) == [31]
    with pytest.raises(StatementError, match="none of the first 30 rows of the file has the mapped headers"):
        read(tmp_path, "title\n" * 30 + HEADERS + ROW)


def test_a_missing_header_is_named_with_what_comes_near_it(tmp_path: Path) -> None:
    with pytest.raises(
        StatementError, match=r'row 1 of the text cut at commas lacks "Order ID"; did you mean "orderid"'
    ):
        read(tmp_path, HEADERS.replace("Order ID", "OrderID") + ROW)


def test_a_mapped_header_that_stands_twice_is_named_with_its_columns(tmp_path: Path) -> None:
    with pytest.raises(StatementError, match='row 1: the header "Amount" stands in the columns D and G'):
        read(tmp_path, HEADERS.strip() + ", AMOUNT \r\n" + ROW)


def test_an_unmapped_header_may_stand_twice(tmp_path: Path) -> None:
    text = HEADERS.strip() + ",Note,Note\r\n" + ROW.strip() + ",a,b\r\n"
    assert read(tmp_path, text) == [LINE]


def test_headers_under_two_delimiters_are_no_statement(tmp_path: Path) -> None:
    with pytest.raises(StatementError, match="row 2 of the text cut at commas and row 1 of the text cut at semicolons"):
        read(tmp_path, HEADERS.replace(",", ";") + HEADERS + ROW)


def test_a_row_number_is_the_one_a_spreadsheet_shows(tmp_path: Path) -> None:
    quoted = ROW.replace("order-1", '"order-1"').replace("Success", '"Succ\r\ness"')
    text = HEADERS + ROW + "\r\n" + ROW + ",,,,,\r\n" + quoted + ROW
    lines = read(tmp_path, text)
    assert rows(lines) == [2, 4, 7]
    assert whys(lines) == {6: 'the status "Succ\r\ness" is in no list of the map'}


def test_totals_and_footers_are_unreadable_and_never_dropped(tmp_path: Path) -> None:
    lines = read(tmp_path, HEADERS + ROW + "Total,,,1500.50,22.5,\r\nEnd of report\r\n ,,,,, \r\n")
    assert whys(lines) == {
        3: "no transaction id, session id or reference",
        4: "has 1 cell, and the headers are 6",
    }


def test_a_row_of_more_cells_is_unreadable_unless_they_are_empty(tmp_path: Path) -> None:
    lines = read(tmp_path, HEADERS + ROW.replace("1500.50", "1,500.50") + ROW.strip() + ",,\r\n")
    assert whys(lines) == {2: "has 7 cells, and the headers are 6"}
    assert rows(lines) == [3]


def test_a_row_of_fewer_cells_is_unreadable(tmp_path: Path) -> None:
    assert whys(read(tmp_path, HEADERS + "03/04/2026 10:20:30,T1,order-1,15")) == {
        2: "has 4 cells, and the headers are 6"
    }


def test_the_row_as_it_stands_is_kept_cut_and_harmless(tmp_path: Path) -> None:
    (line,) = read(tmp_path, HEADERS + ROW.replace("1500.50", "\x1b[2Jx" + "y" * 500))
    assert line.text.startswith("03/04/2026 10:20:30 | T1 | order-1 |  [2Jxyyy")  # type: ignore[union-attr]
    assert len(line.text) <= 300  # type: ignore[union-attr]


def test_a_cell_of_endless_text_is_unreadable(tmp_path: Path) -> None:
    text = HEADERS.strip() + ",Note\r\n" + ROW.strip() + "," + "n" * 10_001 + "\r\n"
    assert whys(read(tmp_path, text)) == {2: "has a cell of more than 10,000 characters"}


def test_windows_1252_is_told_with_its_row_and_byte(tmp_path: Path) -> None:
    good = (HEADERS + ROW).encode()
    bad = ROW.replace("order-1", "caf\u00e9").encode("cp1252")
    offset = len(good) + bad.index(0xE9)
    with pytest.raises(
        StatementError, match=f"row 3: the byte 0xE9 at offset {offset} is not UTF-8; it is perhaps Windows"
    ):
        read(tmp_path, good + bad)


def test_a_bad_byte_far_down_is_told_with_its_row_after_the_rows_above_it(tmp_path: Path) -> None:
    good = (HEADERS + ROW * 5000).encode("utf-8-sig")
    path = tmp_path / "statement.csv"
    path.write_bytes(good + b"03/04/2026 10:20:30,T\xff")
    seen: list[object] = []
    with pytest.raises(StatementError, match=f"row 5002: the byte 0xFF at offset {len(good) + 21} is not UTF-8"):
        seen.extend(read_lines(open_statement(path), COLUMNS))
    assert len(seen) == 5000


def test_a_file_cut_off_in_a_character_is_told(tmp_path: Path) -> None:
    text = HEADERS + ROW.replace("order-1", "অ")
    cut = text.encode()[: (HEADERS + "03/04/2026 10:20:30,T1,").encode().__len__() + 2]
    with pytest.raises(StatementError, match=r"row 2: the UTF-8 text ends in the middle of a character, .* cut off"):
        read(tmp_path, cut)
    with pytest.raises(StatementError, match="row 2: the UTF-16 text ends in the middle of a character"):
        read(tmp_path, (HEADERS + ROW).encode("utf-16")[:-1])


@pytest.mark.parametrize("content", [b"T\x001", "T1".encode("utf-16-le")])
def test_nul_characters_are_told_with_their_row(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(StatementError, match="row 3: a NUL character"):
        read(tmp_path, (HEADERS + ROW).encode() + ROW.encode().replace(b"T1", content))


def test_a_quote_never_closed_is_told_by_the_row_it_was_opened_in(tmp_path: Path) -> None:
    with pytest.raises(StatementError, match="row 4: a quote opened in this row is never closed"):
        read(tmp_path, HEADERS + ROW * 2 + ROW.replace("order-1", '"order-1') + ROW * 3)


def test_a_quote_closed_lines_below_in_the_middle_of_a_cell_ends_the_reading(tmp_path: Path) -> None:
    text = HEADERS + ROW.replace("order-1", '"order-1') + ROW + ROW.replace("order-1", '"order-1"')
    with pytest.raises(StatementError, match="row 2: a quote opened in this row is closed lines below"):
        read(tmp_path, text)


def test_quotes_that_do_not_pair_within_a_line_spoil_that_row_alone(tmp_path: Path) -> None:
    lines = read(tmp_path, HEADERS + ROW.replace("order-1", '"order" 1') + ROW)
    assert whys(lines) == {2: "its quotes do not pair"}
    assert rows(lines) == [3]


def test_a_quote_that_swallows_too_much_is_told(tmp_path: Path) -> None:
    with pytest.raises(StatementError, match="row 3: a cell holds more than 131,072 characters"):
        read(tmp_path, HEADERS + ROW + ROW.replace("order-1", '"order-1') + ROW * 4000)


def test_a_line_without_end_is_not_read_into_memory(tmp_path: Path) -> None:
    with pytest.raises(StatementError, match="row 3: a line is longer than 1,048,576 characters"):
        read(tmp_path, (HEADERS + ROW).encode() + b"x" * (3 << 20))


def test_old_line_ends_are_told(tmp_path: Path) -> None:
    with pytest.raises(StatementError, match="row 1: a carriage return stands in the middle of a line"):
        read(tmp_path, (HEADERS + ROW).replace("\r\n", "\r"))


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "the file is empty"),
        (b"\xef\xbb\xbf \r\n", "the file is empty"),
        (b"%PDF-1.7 ...", "the file is a PDF; export the statement as CSV or XLSX"),
        (b"\x1f\x8b\x08", "compressed by gzip"),
        (b"<html><table><tr><td>Amount", "the file is a web page, whatever it is named"),
        ("\ufeff\n<!DOCTYPE html>".encode("utf-16"), "the file is a web page"),
        (b'<?xml version="1.0"?><Workbook>', "the file is an XML document"),
        (b"\x89PNG\r\n", "the file is a picture"),
    ],
)
def test_what_is_no_statement_is_told_by_its_bytes(tmp_path: Path, content: bytes, why: str) -> None:
    with pytest.raises(StatementError, match=why):
        read(tmp_path, content)


def test_a_file_that_is_not_there_or_is_a_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(StatementError, match="there is no such file"):
        open_statement(tmp_path / "may.csv")
    with pytest.raises(StatementError, match="it is no file"):
        open_statement(tmp_path)


def kinds(tmp_path: Path, line: str, **changes: object) -> tuple[list[object], list[str]]:
    text = "Trx ID,Amount,Type,Status,Currency\n" + line + "\n"
    columns = replace(COLUMNS, reference=None, at=None, date_format=None, fee=None, kind="Type", **changes)
    lines = read(tmp_path, text, columns)
    return [(one.kind, one.status.value, str(one.amount)) for one in lines if isinstance(one, Line)], list(
        whys(lines).values()
    )


def test_a_refund_is_told_by_its_kind_or_by_its_sign(tmp_path: Path) -> None:
    words = {"refunds": ("Refund",)}
    refund = ([("refund", "refunded", "5.00")], [])
    assert kinds(tmp_path, "T,5,REFUND,Success,", **words) == refund
    assert kinds(tmp_path, "T,-5,REFUND,Success,", signed_amounts=True, **words) == refund
    assert kinds(tmp_path, "T,-5,Payment,Success,", signed_amounts=True, **words) == refund
    assert kinds(tmp_path, "T,5,Payment,Success,", signed_amounts=True, **words) == (
        [("payment", "completed", "5.00")],
        [],
    )


def test_money_that_goes_the_wrong_way_is_unreadable(tmp_path: Path) -> None:
    words = {"refunds": ("Refund",), "payments": ("Payment",)}
    assert kinds(tmp_path, "T,-5,Refund,Success,", **words)[1] == [
        "the amount is negative, and the map does not say signed_amounts"
    ]
    assert kinds(tmp_path, "T,-5,Payment,Success,", signed_amounts=True, **words)[1] == [
        'the amount of the payment "payment" is negative'
    ]
    assert kinds(tmp_path, "T,5,Settlement,Success,", **words)[1] == [
        'the kind (Type) "settlement" is in neither list of the map'
    ]
    assert kinds(tmp_path, "T,5,Refund,Failed,", **words)[1] == [
        'a refund whose status is "Failed": nothing says that money went back'
    ]
    assert kinds(tmp_path, "T,0.00,Payment,Success,", **words)[1] == ["the amount is zero"]
    assert kinds(tmp_path, "T,-,Payment,Success,", **words)[1] == ["the amount is empty"]


def test_another_currency_than_taka_is_unreadable(tmp_path: Path) -> None:
    words = {"refunds": ("Refund",), "currency": "Currency"}
    assert kinds(tmp_path, "T,5,,Success, bdt", **words)[0]
    assert kinds(tmp_path, "T,5,,Success,USD", **words)[1] == ['the currency is "USD" and not BDT']


def test_status_words_are_compared_without_case_and_outer_spaces(tmp_path: Path) -> None:
    assert kinds(tmp_path, "T,5,,  SUCCESS ,", refunds=("R",))[0] == [("payment", "completed", "5.00")]
    assert kinds(tmp_path, "T,5,,failed,", refunds=("R",))[0] == [("payment", "failed", "5.00")]
    assert kinds(tmp_path, "T,5,,,", refunds=("R",))[1] == ["the status is empty"]


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "statement.csv"
    path.write_text(HEADERS + ROW * 30_000, newline="")
    tracemalloc.start()
    try:
        count = sum(1 for _ in read_lines(open_statement(path), COLUMNS))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert count == 30_000
    assert peak < 2 << 20 < path.stat().st_size * 2
