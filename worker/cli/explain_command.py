"""`payproof explain`: the story of one payment, for support: "the buyer says he paid, where is my order?"."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from rich.console import Console
from rich.text import Text

from worker.cli.list_output import LISTED
from worker.cli.payment_commands import as_json
from worker.cli.payment_meant import payments_meant
from worker.cli.payment_rows import columns_of, print_rows, row_of
from worker.cli.show_evidence import WIDTH, print_evidence
from worker.terminal_text import print_line

if TYPE_CHECKING:
    from consumers.explain.collapse import TimelineLine
    from consumers.explain.explain import Explanation
    from consumers.explain.snapshot import PaymentSnapshot
    from schemas.payments import Payment


MOST_CLAIMS = 3
"""So many claims of a line are named; --json names all."""


def explain(
    payment: Annotated[str, Parameter(help="Its id or reference, or its order's, session's or transaction's id.")],
    *,
    json: Annotated[bool, Parameter(help="The same as one JSON document.")] = False,
) -> int:
    """Tell the story of one payment in plain sentences, with its next steps; several matches are listed."""
    from consumers.explain.explain import explain_payment as explained
    from schemas.shown import view

    found, snapshot = asyncio.run(_read(payment))
    if snapshot is None:
        if json:
            print(as_json({"matches": [view(one) for one in found]}))
            return 0
        print_rows([row_of(one, LISTED) for one in found], columns_of(LISTED))
        print(f"{payment} means {len(found)} payments; explain one of them by its id")
        return 0
    told = explained(snapshot)
    if json:
        print(as_json(_document(snapshot, told)))
    else:
        _print(snapshot, told)
    return 0


async def _read(typed: str) -> tuple[list[Payment], PaymentSnapshot | None]:
    """The payments that match, and the snapshot of the payment where only one does. Raises CommandFailed."""
    from worker.cli.configured import configuration
    from worker.config.webhook_endpoints import endpoints_of
    from worker.postgres.events.endpoint_rows import known_endpoints
    from worker.postgres.reads.snapshots import read_dossier
    from worker.postgres.server.opened import opened_as_it_is

    config = configuration()
    async with opened_as_it_is(config) as database:
        found = await payments_meant(config, database, typed)
        if len(found) > 1:
            return found, None
        one, endpoints = found[0], await known_endpoints(database, endpoints_of(config))
        return found, await read_dossier(database, one.id, config.account(one.account), config.checks, endpoints)


def _print(snapshot: PaymentSnapshot, told: Explanation) -> None:
    console = Console(highlight=False)

    def say(head: str, words: str, style: str = "") -> None:
        print_line(console, Text(head, "dim"), Text(words, style), width=WIDTH)

    say("in short", told.summary, "bold")
    if told.evidence is not None:
        print_evidence(console, snapshot.payment.id, told.evidence, snapshot.now)
    for line in told.story:
        say(f"{line.at:%Y-%m-%d %H:%M:%SZ}", _words(line))
    say("now", told.standing)
    for plan in told.plans:
        say("then" if plan.at is None else f"{plan.at:%Y-%m-%d %H:%M:%SZ}", f"Next: {plan.words}.")


def _words(line: TimelineLine) -> str:
    several = f"; {line.count:,} times, the last at {line.last_at:%Y-%m-%d %H:%M:%SZ}" if line.count > 1 else ""
    claims = ""
    if line.claim_ids:
        more = f" and {len(line.claim_ids) - MOST_CLAIMS} more" if len(line.claim_ids) > MOST_CLAIMS else ""
        claims = f"; claim {', '.join(line.claim_ids[:MOST_CLAIMS])}{more}"
    noted = (several + claims).removeprefix("; ")
    return f"{line.words} ({noted})" if noted else line.words


def _document(snapshot: PaymentSnapshot, told: Explanation) -> dict[str, Any]:
    from schemas.shown import view

    return {
        "payment": view(snapshot.payment),
        "summary": told.summary,
        "evidence": told.evidence,
        "story": [
            {"at": one.at, "last_at": one.last_at, "count": one.count, "kind": one.kind, "words": one.words}
            | ({"claims": one.claim_ids} if one.claim_ids else {})
            for one in told.story
        ],
        "standing": told.standing,
        "deliveries": told.deliveries,
        "next": told.plans,
    }
