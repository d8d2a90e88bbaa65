"""The tables of the page: money per day, and the rows of each outcome that is not matched.

A month can hold a hundred thousand rows of one outcome. So a table says how many of its rows it shows, and that the CSV
has all.
"""

from __future__ import annotations

from decimal import Decimal
from html import escape
from zoneinfo import ZoneInfo

from schemas.report import Report, Row, Sum
from schemas.statements import LineOutcome
from worker.reconciliation.report.amounts import taka
from worker.reconciliation.report.outcome_words import SHORT, WORDS_OF_OUTCOMES, matched_first
from worker.reconciliation.report.told import steps


def day_table(report: Report) -> str:
    """The chart in figures: a day a row, an outcome a column."""
    outcomes = [outcome for outcome in matched_first() if outcome in report.sums and report.sums[outcome].money]
    head = "".join(f'<th scope="col" class="n">{WORDS_OF_OUTCOMES[one].title}</th>' for one in outcomes)
    rows = "".join(
        f'<tr><th scope="row" class="n">{day:%Y-%m-%d}</th>'
        f"{''.join(_money(sums.get(outcome)) for outcome in outcomes)}</tr>"
        for day, sums in report.days.items()
    )
    totals = "".join(f'<td class="n">{taka(report.sums[outcome].money)}</td>' for outcome in outcomes)
    return (
        '<div class="scroll" role="region" aria-label="Money per day and outcome" tabindex="0"><table>'
        f'<thead><tr><th scope="col" class="n">Day</th>{head}</tr></thead><tbody>{rows}</tbody>'
        f'<tfoot><tr><th scope="row" class="n">All</th>{totals}</tr></tfoot></table></div>'
    )


def groups(report: Report) -> str:
    """The rows that are not matched, by outcome, with their next step, as HTML."""
    shown = [outcome for outcome in WORDS_OF_OUTCOMES if report.shown.get(outcome)]
    if not shown:
        return "<h2>What is not matched</h2><p>Nothing: every row matched.</p>"
    return "<h2>What is not matched</h2>" + "".join(_group(report, outcome) for outcome in shown)


def _group(report: Report, outcome: LineOutcome) -> str:
    words, sum_, rows = WORDS_OF_OUTCOMES[outcome], report.sums[outcome], report.shown[outcome]
    cut = f" The first {len(rows):,} are shown; the CSV has all." if len(rows) < sum_.rows else ""
    several = len({step for one, step in report.nexts if one is outcome}) > 1
    return (
        f'<section class="group"><h3 class="{words.tone}"><span class="mark" aria-hidden="true">{words.mark}</span> '
        f"{words.title}: {sum_.rows:,} {'row' if sum_.rows == 1 else 'rows'}, {taka(sum_.money)}</h3>"
        f"<p>{escape(' '.join(steps(report, outcome)))}{cut}</p>{_table(report, rows, several=several)}</section>"
    )


_HEADS = (
    ("Row", "n"),
    ("When", "when"),
    ("Which", "ids"),
    ("There", "n"),
    ("Here", "n"),
    ("Why", ""),
    ("Next", "when"),
)


def _table(report: Report, rows: list[Row], *, several: bool) -> str:
    """The columns that are filled in some row. `several`: the next steps differ, so their column is shown too."""
    told = [_cells(report, row) for row in rows]
    kept = [place for place, _ in enumerate(_HEADS[:-1]) if any(cells[place] for cells in told)]
    kept += [len(_HEADS) - 1] * several
    head = "".join(f'<th scope="col" class="{_HEADS[place][1]}">{_HEADS[place][0]}</th>' for place in kept)
    body = "".join(f"<tr>{''.join(_cell(place, cells[place]) for place in kept)}</tr>" for cells in told)
    return f'<table class="cards"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def _cell(place: int, text: str) -> str:
    name, kind = _HEADS[place]
    return f'<td class="{kind}" data-name="{name}">{text}</td>'


def _cells(report: Report, row: Row) -> tuple[str, ...]:
    when = "" if row.at is None else f"{row.at.astimezone(ZoneInfo(report.about.zone)):%Y-%m-%d %H:%M}"
    return (
        f"{row.row:,}" if row.row is not None else "none",
        when,
        _ids(row),
        _side(row.there, "refund" if row.kind == "refund" else row.status_there),
        _side(row.here, row.status_here),
        f"<span>{escape(row.why)}</span>" if row.why else "",
        f"<span>{SHORT[row.next]}</span>",
    )


def _ids(row: Row) -> str:
    ids = (
        ("reference", row.reference),
        ("transaction", row.transaction_id),
        ("session", row.session_id),
        ("payment", row.payment_id),
    )
    told = "".join(f"<span><i>{name}</i> <bdi>{escape(text)}</bdi></span>" for name, text in ids if text)
    return f"<div>{told}</div>" if told else ""


def _side(amount: Decimal | None, status: str | None) -> str:
    told = "<br>".join([*([] if amount is None else [taka(amount)]), *([escape(status)] if status else [])])
    return f"<span>{told}</span>" if told else ""


def _money(sum_: Sum | None) -> str:
    return '<td class="n"></td>' if sum_ is None else f'<td class="n">{taka(sum_.money)}</td>'
