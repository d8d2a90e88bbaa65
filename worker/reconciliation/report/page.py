"""The report as one HTML page that needs nothing else: no script, no font, no address. Money comes first.

Every text of a statement, a gateway or the configuration is escaped where it is written. The page's own policy allows
only its one style sheet, named by its hash.
"""

from __future__ import annotations

import base64
from hashlib import sha256
from html import escape

from schemas.report import Money, Report, Sum
from schemas.statements import LineOutcome
from worker.reconciliation.report.amounts import taka
from worker.reconciliation.report.chart import strips
from worker.reconciliation.report.groups import day_table, groups
from worker.reconciliation.report.outcome_words import WORDS_OF_OUTCOMES
from worker.reconciliation.report.style import STYLE
from worker.reconciliation.report.told import difference, headline, period, remarks, steps, too_young


def _named(text: str) -> str:
    return f"'sha256-{base64.b64encode(sha256(text.encode()).digest()).decode()}'"


POLICY = f"default-src 'none'; style-src {_named(STYLE)}; img-src data:; base-uri 'none'; form-action 'none'"


def report_page(report: Report) -> str:
    """The whole HTML document."""
    title = f"Statement of {report.about.account}"
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(POLICY)}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        '<meta name="color-scheme" content="light dark"><meta name="referrer" content="no-referrer">'
        f'<title>{escape(f"{title}, {period(report.about)}")}</title><link rel="icon" href="data:,">'
        f"<style>{STYLE}</style></head><body><main>"
        f"<header><h1>{escape(title)}</h1><p>{escape(headline(report))}</p>{_notes(report)}{_facts(report)}</header>"
        f"<h2>Money</h2>{_money(report)}{_outcomes(report)}"
        f"{_days(report)}{groups(report)}{_glossary()}</main></body></html>"
    )


def _notes(report: Report) -> str:
    notes = [f'<p class="note"><b>{escape(head)}</b> {escape(rest)}</p>' for head, rest in remarks(report.about)]
    return "".join(notes)


def _facts(report: Report) -> str:
    about = report.about
    facts = [
        ("Account", f"{about.account} ({about.provider}), of {about.merchant}", ""),
        ("Period", period(about), ""),
        ("Read", f"{about.at:%-d %b %Y, %H:%M} UTC, by payproof {about.version}", ""),
        ("Run", about.run, ""),
        ("Statement", about.source, ""),
    ]
    if about.sha256 is not None:
        facts.append(("SHA-256 of the file", about.sha256, ' class="wide"'))
    told = "".join(f"<div{kind}><dt>{name}</dt><dd><bdi>{escape(text)}</bdi></dd></div>" for name, text, kind in facts)
    return f'<dl class="facts">{told}</dl>'


def _money(report: Report) -> str:
    money = report.money
    cards = [
        ("Paid there", taka(money.there), "by the statement", ""),
        ("Completed here", taka(money.here), "by this service", ""),
        ("Difference", taka(money.difference), difference(money.difference), ""),
        (
            "Not yet explained",
            taka(money.unexplained),
            f"{money.unexplained_rows:,} rows",
            "stop" if money.unexplained_rows else "good",
        ),
        ("Refunds there", taka(money.refunds), "apart from the sums above", ""),
        ("Fees taken", taka(money.fees), "by the statement", ""),
    ]
    if money.fees_expected is not None:
        cards.append(("Fees expected", taka(money.fees_expected), "by the account's rule", ""))
    told = "".join(
        f'<div class="card"><dt>{name}</dt><dd{f" class={tone}" if tone else ""}>{amount}</dd>'
        f'<dd class="small quiet">{words}</dd></div>'
        for name, amount, words, tone in cards
    )
    return f'<dl class="money">{told}</dl><p class="small quiet">All amounts in BDT.</p>'


def _outcomes(report: Report) -> str:
    rows = "".join(_outcome(report, outcome) for outcome in WORDS_OF_OUTCOMES if outcome in report.sums)
    names = ("Rows", "Paid there", "Completed here", "Difference")
    head = "".join(f'<th scope="col" class="n">{name}</th>' for name in names)
    young = too_young(report)
    return (
        f'<h2>Outcomes</h2><table class="cards"><thead><tr><th scope="col">Outcome</th>{head}'
        f'<th scope="col">What happened next</th></tr></thead><tbody>{rows}</tbody>'
        f'<tfoot><tr><th scope="row">All</th>{_cells(report.rows, report.money)}<td></td></tr></tfoot></table>'
        + (f'<p class="young">{young}</p>' if young else "")
    )


def _cells(rows: int, sums: Money | Sum) -> str:
    """The number of rows, and what they add to each side."""
    return (
        f'<td class="n" data-name="Rows">{rows:,}</td>'
        f'<td class="n" data-name="Paid there">{taka(sums.there)}</td>'
        f'<td class="n" data-name="Completed here">{taka(sums.here)}</td>'
        f'<td class="n" data-name="Difference">{taka(sums.difference)}</td>'
    )


def _outcome(report: Report, outcome: LineOutcome) -> str:
    words, sum_ = WORDS_OF_OUTCOMES[outcome], report.sums[outcome]
    return (
        f'<tr><th scope="row" class="{words.tone}"><span class="mark" aria-hidden="true">{words.mark}</span> '
        f"{words.title}</th>{_cells(sum_.rows, sum_)}"
        f'<td data-name="Next"><span>{escape(" ".join(steps(report, outcome)))}</span></td></tr>'
    )


def _days(report: Report) -> str:
    if len(report.days) < 2:
        return ""  # the sums above are that day's
    return (
        f"<h2>Day by day</h2>{strips(report)}"
        f'<p class="small quiet">Each strip has a scale of its own. Days are those of {escape(report.about.zone)}; '
        f"payments without a line stand on the day they were completed.</p>{day_table(report)}"
    )


def _glossary() -> str:
    terms = "".join(
        f'<div><dt><span class="mark" aria-hidden="true">{words.mark}</span> {words.title} '
        f'<span class="quiet">({outcome})</span></dt><dd>{words.meaning}</dd></div>'
        for outcome, words in WORDS_OF_OUTCOMES.items()
    )
    return f'<h2>What the outcomes mean</h2><dl class="glossary">{terms}</dl>'
