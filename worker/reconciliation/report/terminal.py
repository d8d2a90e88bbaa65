"""A run's summary on the terminal: a line for each outcome, its first few rows where it is not matched, and the sums.

A statement's text may hold the codes that move a cursor. So everything that a stranger wrote is printed by
`print_line`, which lets none through.
"""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from schemas.report import Report, Row
from schemas.statements import LineOutcome
from worker.reconciliation.report.amounts import taka
from worker.reconciliation.report.outcome_words import WORDS_OF_OUTCOMES
from worker.reconciliation.report.told import difference, headline, period, remarks, steps, too_young
from worker.terminal_text import print_line, printable_line

FEW = 3
_STYLES = {"good": "green", "hand": "yellow", "stop": "red", "quiet": "dim"}


def print_report(console: Console, report: Report, *, few: int = FEW) -> None:
    """Print the whole summary, with at most `few` rows of each outcome that needs a person."""
    about = report.about
    console.print(
        Text.assemble(
            (about.account, "bold"), f", {period(about)}: ", headline(report), style="" if report.explained else "bold"
        ),
        soft_wrap=True,
    )
    console.print()
    shown = [outcome for outcome in WORDS_OF_OUTCOMES if outcome in report.sums]
    width = max((len(WORDS_OF_OUTCOMES[outcome].title) + 2 for outcome in shown), default=0)
    for outcome in shown:
        words, sum_ = WORDS_OF_OUTCOMES[outcome], report.sums[outcome]
        head = Text(f"{words.mark} {words.title}", style=_STYLES[words.tone])
        said = f"{sum_.rows:,} {_rows(sum_.rows)}, {taka(sum_.money)} BDT. {' '.join(steps(report, outcome))}"
        print_line(console, head, Text(said), width=width)
        if outcome not in (LineOutcome.MATCHED, LineOutcome.DUPLICATE):
            _print_few(console, report, outcome, few, width)
    console.print()
    _print_money(console, report)
    if young := too_young(report):
        console.print(young, soft_wrap=True, highlight=False, markup=False)
    console.print(f"run {about.run}", soft_wrap=True, highlight=False, markup=False)
    for remark, rest in remarks(about):
        console.print(printable_line(Text(f"{remark} {rest}")), soft_wrap=True)


def _print_few(console: Console, report: Report, outcome: LineOutcome, few: int, width: int) -> None:
    rows = report.shown.get(outcome, [])[:few]
    for row in rows:
        print_line(console, Text(""), Text(row_line(row)), width=width)
    left = report.sums[outcome].rows - len(rows)
    if rows and left:
        print_line(console, Text(""), Text(f"and {left:,} more"), width=width)


def row_line(row: Row) -> str:
    """One row: where it stands, the payment's ids, the amount and the reason."""
    place = "no row" if row.row is None else f"row {row.row}"
    names = [name for name in (row.reference or row.transaction_id or row.session_id, row.payment_id) if name]
    amount = row.there if row.there is not None else row.here
    parts = [place, *names, *([] if amount is None else [f"{taka(amount)} BDT"]), *([row.why] if row.why else [])]
    return "  ".join(parts)


def _print_money(console: Console, report: Report) -> None:
    money = report.money
    lines = [
        ("paid there", taka(money.there), "refunds apart"),
        ("completed here", taka(money.here), ""),
        ("difference", taka(money.difference), difference(money.difference)),
        ("refunds there", taka(money.refunds), ""),
        ("fees taken", taka(money.fees), _fees(report)),
        ("not yet explained", taka(money.unexplained), f"{money.unexplained_rows:,} {_rows(money.unexplained_rows)}"),
    ]
    wide = max(len(amount) for _, amount, _ in lines)
    for name, amount, words in lines:
        line = f"{name:<17}  {amount:>{wide}} BDT" + (f"  {words}" if words else "")
        console.print(line, soft_wrap=True, highlight=False, markup=False)


def _fees(report: Report) -> str:
    expected = report.money.fees_expected
    return "" if expected is None else f"{taka(expected)} expected by the account's rule"


def _rows(count: int) -> str:
    return "row" if count == 1 else "rows"
