"""An accountant's view of a run: sums that add up, a CSV no spreadsheet runs, a page no reference can break."""

from __future__ import annotations

import csv
import html
import io
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from schemas.report import Next, Report, ReportHeader, Row, Sum
from schemas.statements import LineOutcome
from tests.reports import gathered
from worker.reconciliation.report.amounts import short, taka
from worker.reconciliation.report.gathering import SHOWN, gather
from worker.reconciliation.report.outcome_words import NEXTS, WORDS_OF_OUTCOMES
from worker.reconciliation.report.page import report_page
from worker.reconciliation.report.table import COLUMNS, table
from worker.reconciliation.report.terminal import print_report

START = datetime(2026, 10, 31, 18, tzinfo=UTC)  # midnight in Dhaka
EVIL = "<script>alert(1)</script>"


def about(**changes: Any) -> ReportHeader:
    given: dict[str, Any] = {
        "run": "rec_1",
        "account": "shop-bkash",
        "merchant": "shop",
        "provider": "onepaybd",
        "source": "november.xlsx",
        "sha256": "9f2c" * 16,
        "since": START,
        "until": START + timedelta(days=30),
        "at": datetime(2026, 12, 1, 4, 12, tzinfo=UTC),
        "version": "0.1.0",
    }
    return ReportHeader(**(given | changes))


def row(outcome: LineOutcome = LineOutcome.MATCHED, **changes: Any) -> Row:
    given: dict[str, Any] = {
        "row": 2,
        "kind": "payment",
        "at": START + timedelta(hours=30),
        "there": Decimal("120.50"),
        "here": Decimal("120.50"),
        "status_there": "completed",
        "status_here": "completed",
        "reference": "order-1",
    }
    return Row(outcome=outcome, **(given | changes))


def one_of_each() -> list[Row]:
    absent = {"here": None, "status_here": None}
    return [
        row(fee=Decimal("1.81"), fee_expected=Decimal("1.81")),
        row(LineOutcome.MISSING_HERE, row=3, there=Decimal("10.00"), next=Next.HELD, **absent),
        row(LineOutcome.MISSING_HERE, row=4, there=Decimal("20.00"), status_here="expired", next=Next.ASKED),
        row(LineOutcome.MISSING_THERE, row=None, there=None, status_there=None, next=Next.REPORTED),
        row(LineOutcome.AMOUNT_DIFFERS, row=5, there=Decimal("100.00"), here=Decimal("90.00"), next=Next.ASKED),
        row(LineOutcome.STATUS_DIFFERS, row=6, status_there="failed", next=Next.ASKED),
        row(LineOutcome.FEE_DIFFERS, row=7, fee=Decimal("5.00"), fee_expected=Decimal("1.81"), next=Next.REPORTED),
        row(LineOutcome.DUPLICATE, row=8),
        Row(outcome=LineOutcome.UNREADABLE, row=9, why="the amount is empty", next=Next.REPORTED),
        row(row=10, kind="refund", status_there="refunded", there=Decimal("7.00")),
    ]


def of_two_days() -> list[Row]:
    return [*one_of_each(), row(row=11, at=START)]


# -- sums --------------------------------------------------------------------------------------------------------------


def test_money_adds_up_on_both_sides_and_what_is_in_question_is_told() -> None:
    report = gathered(about(), one_of_each())
    money = report.money
    assert money.there == Decimal("120.50") + 10 + 20 + 100 + Decimal("120.50")
    assert money.here == Decimal("120.50") * 4 + 90
    assert (money.refunds, money.fees, money.fees_expected) == (7, Decimal("6.81"), Decimal("3.62"))
    in_question = Decimal("10.00") + Decimal("120.50") + 10 + Decimal("120.50") + Decimal("3.19")
    assert (money.unexplained, money.unexplained_rows) == (in_question, 6)
    assert not report.explained
    assert report.rows == 10


def test_the_outcomes_add_up_to_the_sums_of_all() -> None:
    report = gathered(about(), one_of_each())
    for side in ("there", "here", "difference"):
        assert sum(getattr(one, side) for one in report.sums.values()) == getattr(report.money, side)
    assert sum(one.rows for one in report.sums.values()) == report.rows
    text = report_page(report)
    total = re.search(r"<tfoot>.*?</tfoot>", text)
    assert total is not None
    shown = [html.unescape(one) for one in re.findall(r'data-name="[^"]+">([^<]*)<', total[0])]
    money = report.money
    assert shown == ["10", taka(money.there), taka(money.here), taka(money.difference)]


def test_payments_too_young_to_be_missed_have_a_line_and_stand_in_no_sum() -> None:
    report = gathered(about(), one_of_each())
    before = report.money.here
    assert "too young" not in report_page(report)
    report.young = Sum(rows=2, money=Decimal("300.00"), here=Decimal("300.00"))
    said = "2 payments with 300.00 BDT completed here within 24 hours of the statement's end"
    assert said in report_page(report)
    console = Console(file=io.StringIO(), width=300)
    print_report(console, report)
    assert said in console.file.getvalue()  # type: ignore[attr-defined]
    assert report.money.here == before


def test_a_single_day_has_no_chart_and_two_have_one() -> None:
    one = report_page(gathered(about(), [row(), row(row=3)]))
    assert "<svg" not in one
    assert "Day by day" not in one
    two = report_page(gathered(about(), [row(), row(row=3, at=START + timedelta(days=3))]))
    assert "<svg" in two
    assert "Day by day" in two


@pytest.mark.parametrize("outcome", [LineOutcome.MATCHED, LineOutcome.DUPLICATE])
def test_what_agrees_leaves_nothing_to_explain(outcome: LineOutcome) -> None:
    assert gathered(about(), [row(outcome)]).explained


@pytest.mark.parametrize(("step", "explained"), [(Next.ASKED, True), (Next.RECORDED, True), (Next.HELD, False)])
def test_money_that_is_missing_here_is_explained_once_the_payment_is_known(step: Next, explained: bool) -> None:
    assert gathered(about(), [row(LineOutcome.MISSING_HERE, next=step)]).explained is explained


def test_days_are_those_of_the_accounts_zone() -> None:
    before, after = START - timedelta(seconds=1), START
    report = gathered(about(), [row(at=before), row(at=after)])
    assert [str(day) for day in report.days] == ["2026-10-31", "2026-11-01"]


@pytest.mark.parametrize(
    ("amount", "shown"),
    [
        ("0", "0.00"),
        ("999.5", "999.50"),
        ("1000", "1,000.00"),
        ("100000", "1,00,000.00"),
        ("123456789.01", "12,34,56,789.01"),
        ("-20", "−20.00"),
        ("0.0375", "0.0375"),
    ],
)
def test_amounts_are_grouped_as_in_bangladesh(amount: str, shown: str) -> None:
    assert taka(Decimal(amount)) == shown


def test_a_charts_amounts_are_short() -> None:
    told = [short(Decimal(amount)) for amount in (950, 12_500, 320_000, 11_000_000)]
    assert told == ["950", "12.5 k", "3.2 lakh", "1.1 crore"]


# -- the CSV -----------------------------------------------------------------------------------------------------------


def read_back(path: Path) -> list[list[str]]:
    return list(csv.reader(io.StringIO(path.read_bytes().decode("utf-8-sig"), newline="")))


async def test_the_csv_has_every_row_as_it_passes(tmp_path: Path) -> None:
    async def rows() -> Any:
        for one in one_of_each():
            yield one

    path = tmp_path / "out.csv"
    with table(path) as write:
        report = await gather(about(), rows(), each=write)
    head, *lines = read_back(path)
    assert tuple(head) == COLUMNS
    assert len(lines) == report.rows == 10
    told = dict(zip(COLUMNS, lines[2], strict=True))
    assert (told["row"], told["outcome"], told["next"]) == ("4", "missing_here", "asked")
    assert (told["amount_there"], told["amount_here"], told["at"]) == ("20.00", "120.50", "2026-11-02T00:00:00Z")
    assert lines[3][0] == ""


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n"])
@pytest.mark.parametrize("field", ["reference", "transaction_id", "session_id", "why", "status_there"])
def test_no_cell_is_a_formula_for_a_spreadsheet(tmp_path: Path, start: str, field: str) -> None:
    path = tmp_path / "out.csv"
    evil = f"{start}cmd|'/c calc'!A1"
    with table(path) as write:
        write(row(**{field: evil}))
    [cells] = read_back(path)[1:]
    assert dict(zip(COLUMNS, cells, strict=True))[field] == f"'{evil}"


def test_quotes_commas_and_lines_of_a_reference_stay_in_its_cell(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    with table(path) as write:
        write(row(reference='a,"b"\r\nc'))
        write(row())
    assert [cells[COLUMNS.index("reference")] for cells in read_back(path)[1:]] == ['a,"b"\r\nc', "order-1"]


# -- the page ----------------------------------------------------------------------------------------------------------


class Tags(HTMLParser):
    """Which elements a document has, and that each is closed."""

    VOID = ("meta", "link", "br", "line")

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.found.append(tag)
        assert not [name for name, _ in attrs if name == "style" or name.startswith("on")], "the policy forbids it"
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        self.found.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def tags(text: str) -> list[str]:
    parser = Tags()
    parser.feed(text)
    parser.close()
    assert parser.open == []
    return parser.found


def everything_evil() -> Report:
    rows = [
        row(
            LineOutcome.MISSING_HERE,
            reference=EVIL,
            transaction_id=f'">{EVIL}',
            session_id=EVIL,
            payment_id=EVIL,
            why=EVIL,
            status_there=EVIL,
            status_here=EVIL,
        )
    ]
    words = {"account": EVIL, "merchant": EVIL, "provider": EVIL, "source": EVIL, "run": EVIL, "stopped": EVIL}
    return gathered(about(**words, version=EVIL, sha256=EVIL), rows)


def test_no_text_of_a_statement_becomes_part_of_the_page() -> None:
    text = report_page(everything_evil())
    found = tags(text)
    assert "script" not in found
    assert text.count(html.escape(EVIL)) >= 10


def test_the_page_asks_for_nothing_and_allows_itself_nothing_but_its_style() -> None:
    text = report_page(gathered(about(), one_of_each()))
    found = tags(text)
    assert not {"script", "img", "iframe", "form", "input", "object", "a"} & set(found)
    assert re.search(
        r"""Content-Security-Policy" content="default-src &#x27;none&#x27;; style-src &#x27;sha256-""", text
    )
    assert "http://" not in text
    assert "https://" not in text


def test_the_page_tells_money_first_then_rows_then_what_the_words_mean() -> None:
    text = report_page(gathered(about(), of_two_days()))
    places = [text.index(f"<h2>{head}") for head in ("Money", "Outcomes", "Day by day", "What is not", "What the")]
    assert places == sorted(places)
    for outcome, words in WORDS_OF_OUTCOMES.items():
        assert words.meaning in text
        assert f"({outcome})" in text
    assert "1 to 30 Nov 2026" in text
    assert "9f2c" * 16 in text


def test_every_bar_of_the_chart_stands_in_the_table_beside_it() -> None:
    text = report_page(gathered(about(), of_two_days()))
    assert text.count('role="img"') == text.count("aria-label") - 1
    for amount in re.findall(r"<title>2 Nov: ([^<]+)</title>", text):
        assert f'<td class="n">{amount}</td>' in text


def test_a_group_of_a_hundred_thousand_rows_is_cut_and_says_so() -> None:
    text = report_page(gathered(about(), [row(LineOutcome.UNREADABLE, row=number) for number in range(2, 5_002)]))
    assert f"The first {SHOWN} are shown; the CSV has all." in text
    assert text.count("order-1") == SHOWN


def test_a_statement_without_rows_is_a_page_too() -> None:
    text = report_page(gathered(about(since=None, until=None), []))
    tags(text)
    assert "Nothing: every row matched." in text


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"dry_run": True}, "Nothing was changed, and nobody was asked."),
        ({"seen_before": True}, "Nothing new."),
        ({"stopped": "51 of 60 lines differ"}, "51 of 60 lines differ."),
        ({"finished": False}, "run the same statement again"),
    ],
)
def test_what_a_reader_has_to_know_of_the_run_is_told_everywhere(changes: dict[str, Any], words: str) -> None:
    report = gathered(about(**changes), one_of_each())
    assert words in report_page(report)
    assert words in printed(report)


def test_every_outcome_and_every_step_has_its_words() -> None:
    assert set(WORDS_OF_OUTCOMES) == set(LineOutcome)
    assert set(NEXTS) == set(Next)


# -- the terminal ------------------------------------------------------------------------------------------------------


def printed(report: Report) -> str:
    file = io.StringIO()
    print_report(Console(file=file, highlight=False, width=100), report)
    return file.getvalue()


def test_the_terminal_tells_each_outcome_its_money_and_the_first_rows() -> None:
    told = printed(gathered(about(), one_of_each()))
    assert "shop-bkash, 1 to 30 Nov 2026: 264.19 BDT in 6 of 10 rows are not yet explained." in told
    assert "2 rows, 30.00 BDT. 1 of them: The gateway is asked about the payment" in told
    assert "row 3  order-1  10.00 BDT" in told
    assert "no row  order-1  120.50 BDT" in told


def test_a_terminal_gets_no_codes_from_a_statement() -> None:
    told = printed(gathered(about(), [row(LineOutcome.UNREADABLE, reference="\x1b[2Jgone\x07", why="a\rb")]))
    assert "\x1b" not in told
    assert "\x07" not in told
    assert "\r" not in told
