"""What the pages about statements share: the operator's accounts, the cipher of the files, and how a run ended."""

from __future__ import annotations

import htpy as h

from consumers.account import Account
from schemas.report import Run
from worker.console.visit import Visit
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
