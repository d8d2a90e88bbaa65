"""What the pages about statements share: the operator's accounts and runs, how a run ended, and the parts of a row."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import htpy as h

from consumers.account import Account
from schemas.report import Row, Run
from schemas.statements import LineOutcome
from worker.console.elements import taka
from worker.console.visit import Visit
from worker.postgres.statements.runs import read_run
from worker.postgres.statements.uploads import Note
from worker.reconciliation.report.outcome_words import WORDS_OF_OUTCOMES
from worker.runtime.encryption import ArchiveCipher


def accounts_of(visit: Visit) -> dict[str, Account]:
    return {account.id: account for merchant in visit.merchants for account in merchant.accounts}


def cipher_of(visit: Visit) -> ArchiveCipher:
    return ArchiveCipher(visit.context.config.archive.cipher_keys)


def run_state(visit: Visit, run: Run) -> h.Element:
    if run.dry_run:
        return h.span(".badge.quiet")[visit.say("books.dry")]
    if run.stopped is not None:
        return h.span(".badge.hand")[visit.say("books.stopped")]
    tone, key = ("good", "books.done") if run.finished_at else ("wait", "books.unfinished")
    return h.span(f".badge.{tone}")[visit.say(key)]


async def run_of_path(visit: Visit) -> Run | None:
    """The run of the path, where it is of an account that the operator sees."""
    run = await read_run(visit.database, visit.request.match_info["run"])
    return run if run is not None and run.account in accounts_of(visit) else None


def outcome_shown(visit: Visit, outcome: LineOutcome) -> h.Element:
    words = WORDS_OF_OUTCOMES[outcome]
    return h.span(f".{words.tone}")[
        h.span(aria_hidden="true")[words.mark], " ", visit.say(f"books.outcome.{outcome.value}")
    ]


def ids_shown(row: Row) -> h.Node:
    names = [one for one in (row.reference, row.transaction_id, row.session_id) if one]
    link = h.a(".id", href=f"/find?q={row.payment_id}")[row.payment_id] if row.payment_id else None
    if not names:
        return link
    return h.fragment[h.span(".id")[" · ".join(names)], (h.br, link) if link else None]


def side_shown(visit: Visit, amount: object, status: str | None) -> h.Node:
    told = [taka(visit, amount)] if isinstance(amount, Decimal) else []
    told += [status] if status else []
    return h.span[", ".join(told)] if told else None


def notes_by_line(notes: Sequence[Note]) -> dict[str, list[Note]]:
    found: dict[str, list[Note]] = {}
    for one in notes:
        found.setdefault(one.line, []).append(one)
    return found
