"""How the file of an upload is read, with some of its rows: by the account's configured map, or by a proposed one."""

from __future__ import annotations

import asyncio
from itertools import islice

from msgspec import Struct

from schemas.statements import Line, StatementMap, Unread
from worker.console.pages.statement_parts import accounts_of, cipher_of
from worker.console.visit import Visit
from worker.postgres.statements.uploads import Upload, read_body
from worker.reconciliation.statements import (
    FIRST_ROWS,
    Proposal,
    StatementError,
    guess_headers,
    open_statement,
    propose,
    read_lines,
)
from worker.reconciliation.upload_runner import in_memory
from worker.runtime.encryption import NotDecrypted

ROWS = 50


class ReadFile(Struct, frozen=True, kw_only=True):
    """How a file is read: by `columns`, a configured map or a proposed one, with some of its rows."""

    columns: StatementMap | None
    proposal: Proposal | None = None
    lines: tuple[Line | Unread, ...] = ()
    more: bool = False
    trouble: str | None = None


async def read_file(visit: Visit, upload: Upload, begin: int) -> ReadFile:
    """How the file is read. A file that cannot be read is told in `trouble`."""
    account = accounts_of(visit).get(upload.account)
    async with visit.heavy(visit.context.looks):
        try:
            body = await read_body(visit.database, cipher_of(visit), upload.id)
        except NotDecrypted as error:
            return ReadFile(columns=None, trouble=str(error))
        if body is None:
            return ReadFile(columns=upload.columns)
        return await asyncio.to_thread(_read, body, account.statement if account else None, begin)


def _read(body: bytes, columns: StatementMap | None, begin: int) -> ReadFile:
    proposal, configured = None, columns
    try:
        with in_memory(body) as path:
            statement = open_statement(path, FIRST_ROWS)
            if columns is None:
                seen = guess_headers(statement)
                proposal = propose(seen.headers, [row for _, row in seen.rows])
                columns = proposal.map
            if columns is None:
                return ReadFile(columns=None, proposal=proposal)
            lines = tuple(islice(read_lines(statement, columns), begin, begin + ROWS + 1))
            return ReadFile(columns=columns, proposal=proposal, lines=lines[:ROWS], more=len(lines) > ROWS)
    except StatementError as error:
        # By a configured map the role `reconcile` reads a file that is too large for a look, or says what is wrong.
        return ReadFile(columns=configured, proposal=proposal, trouble=str(error))
