"""The mapping that is proposed for a file: from known words alone, with reasons, and with all undecided columns."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from schemas.statements import StatementMap
from tests.unit.statement_files import HEADERS, ROW, read, rows
from worker.reconciliation.statements import StatementError, as_toml, guess_headers, open_statement, propose

ROWS = [
    ["03/04/2026 10:20 AM", "T1", "order-1", "1,500.50", "22.5", "Success", "Payment"],
    ["23/04/2026 10:20 AM", "T2", "order-2", "200.00", "3", "FAILED", "Payment"],
    ["23/04/2026 10:25 PM", "T3", "order-1", "200.00", "", "success", "Refund"],
]
TITLES = ["Date & Time", "Trx_ID", "Merchant Invoice No.", "Amount (BDT)", "Service Charge", "Status", "Type"]


def test_columns_are_known_by_their_headers_and_their_cells() -> None:
    proposal = propose(TITLES, ROWS)
    assert proposal.map == StatementMap(
        amount="Amount (BDT)",
        transaction_id="Trx_ID",
        reference="Merchant Invoice No.",
        at="Date & Time",
        fee="Service Charge",
        status="Status",
        kind="Type",
        date_format="%d/%m/%Y %I:%M %p",
        completed=("success",),
        failed=("FAILED",),
        refunds=("Refund",),
        payments=("Payment",),
    )
    assert proposal.unclear == ()
    assert proposal.reasons["amount"] == "column D, by its header; 3 of 3 cells are amounts"


def test_bangla_headers_and_words_are_known() -> None:
    proposal = propose(
        ["তারিখ", "লেনদেন আইডি", "পরিমাণ", "ফি", "অবস্থা"], [["২০২৬-০৪-০৩ ১০:২০:০০", "T1", "৳ 1,50,000", "22", "সফল"]]
    )
    assert proposal.map == StatementMap(
        amount="পরিমাণ", transaction_id="লেনদেন আইডি", at="তারিখ", fee="ফি", status="অবস্থা", completed=("সফল",)
    )


def test_days_that_may_be_months_are_said_to_be_unclear() -> None:
    proposal = propose(["Date", "Trx ID", "Amount"], [["03/04/2026", "T1", "5"], ["12/04/2026", "T2", "5"]])
    assert proposal.values["date_format"] == "%d/%m/%Y"
    assert any("do not tell whether it is %d/%m/%Y or %m/%d/%Y" in one for one in proposal.unclear)
    certain = propose(["Date", "Trx ID", "Amount"], [["03/04/2026", "T1", "5"], ["04/13/2026", "T2", "5"]])
    assert certain.values["date_format"] == "%m/%d/%Y"
    assert not any("date_format" in one for one in certain.unclear)


@pytest.mark.parametrize(
    ("cell", "form"),
    [
        ("2026-04-13 10:20:30", None),
        ("13-Apr-2026 10:20:30 PM", "%d-%b-%Y %I:%M:%S %p"),
        ("13 April 2026, 10:20 PM", "%d %B %Y, %I:%M %p"),
        ("Apr 13, 2026", "%b %d, %Y"),
        ("13.04.2026 22:20", "%d.%m.%Y %H:%M"),
        ("2026/04/13 22:20:01", "%Y/%m/%d %H:%M:%S"),
        ("10:20:30 PM 13/04/2026", "%I:%M:%S %p %d/%m/%Y"),
    ],
)
def test_dates_are_told_by_trying(cell: str, form: str | None) -> None:
    assert propose(["Date", "Trx ID", "Amount"], [[cell, "T1", "5"]]).values.get("date_format") == form


def test_what_could_not_be_told_is_listed() -> None:
    proposal = propose(
        ["Date", "Created At", "Trx ID", "Amount", "Amount", "Status", "Wallet\n"],
        [["soon", "", "T1", "5", "6", "Mystery", "x"]],
    )
    assert proposal.map is None
    unclear = "\n".join(proposal.unclear)
    for said in (
        'the header "Amount" stands above more than one column',
        '"Created At" in column B might be meant as at too',
        'no cell of "Date" is a time in a form that is known, such as "soon"',
        'status: what "Mystery" means is not known',
        '"Wallet" in column G is not known, and is left out',
        "no column was recognised as amount",
        "no column was recognised as status; every row would be money that arrived",
    ):
        assert said in unclear


def test_negative_amounts_propose_signed_amounts() -> None:
    proposal = propose(["Trx ID", "Amount"], [["T1", "5"], ["T2", "-5"]])
    assert proposal.map is not None
    assert proposal.map.signed_amounts


def test_the_proposal_is_toml_whatever_the_headers_hold() -> None:
    proposal = propose(['Trx "ID"', "Amount", "Sta\ntus", 'x"\n[evil]'], [["T1", "5", "Success\x7f", ""]])
    table = tomllib.loads(as_toml(proposal))["merchants"]["accounts"]["statement"]
    assert table["transaction_id"] == 'Trx "ID"'
    assert table["status"] == "Sta\ntus"
    assert table["completed"] == ["Success\x7f"]


def test_what_is_proposed_reads_the_file_it_was_proposed_for(tmp_path: Path) -> None:
    text = "Statement; of May\n" + HEADERS + ROW * 3
    path = tmp_path / "statement"
    path.write_text(text, newline="")
    seen = guess_headers(open_statement(path))
    proposal = propose(seen.headers, [cells for _, cells in seen.rows])
    assert (seen.row, [row for row, _ in seen.rows]) == (2, [3, 4, 5])
    assert proposal.map is not None
    assert rows(read(tmp_path, text, proposal.map)) == [3, 4, 5]


def test_a_file_without_known_headers_is_told(tmp_path: Path) -> None:
    path = tmp_path / "statement"
    path.write_text("a,b,c\n1,2,3\n")
    with pytest.raises(StatementError, match="no row of the first 30 holds headers that are known"):
        guess_headers(open_statement(path))
