"""The role `reconcile`: statements that people uploaded to the console are reconciled here, one at a time.

A statement may have a million rows. So it is read in a process of its own where the roles are apart, and nobody who
waits for an answer waits for it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import structlog

from consumers.account import Account
from consumers.ports.bus import Bus
from consumers.ports.unavailable import BusUnavailable, DatabaseUnavailable, error_name
from consumers.reconciliation.verdicts import Terms
from consumers.rules import Rules
from schemas.report import Run
from schemas.statements import StatementMap
from worker.postgres.database import Database
from worker.postgres.statements.uploads import Upload, beat, end_upload, give_back, read_body, take_upload
from worker.reconciliation.run import AnotherRun, StatementScope, reconcile_lines
from worker.reconciliation.statements import StatementError, open_statement, read_lines
from worker.runtime.clock import set_within
from worker.runtime.encryption import ArchiveCipher, NotDecrypted

POLL_SECONDS = 2.0
BEAT_SECONDS = 10.0
MOST_TRIES = 5
"""A file on which so many processes died is given up."""

log = structlog.get_logger()


@contextmanager
def in_memory(body: bytes) -> Iterator[Path]:
    """A path at which these bytes can be read, in memory alone: the process may write to no disk.

    It names this process, so that the program that reads workbooks can open it too.
    """
    with os.fdopen(os.memfd_create("statement"), "wb") as file:
        file.write(body)
        file.flush()
        yield Path(f"/proc/{os.getpid()}/fd/{file.fileno()}")


class CannotReconcile(Exception):
    """The upload cannot be reconciled. The message says why, for the person who uploaded it."""


class UploadRunner:
    """Reconciles the uploads that people want reconciled, oldest first, until `stop`."""

    def __init__(self, database: Database, rules: Rules, bus: Bus, cipher: ArchiveCipher) -> None:
        self._database, self._rules, self._bus, self._cipher = database, rules, bus, cipher
        self._stopped = asyncio.Event()

    async def run(self) -> None:
        while not self._stopped.is_set():
            try:
                worked = await self.reconcile_next()
            except (DatabaseUnavailable, BusUnavailable) as error:
                log.warning("reconcile.interrupted", error=error_name(error))
                worked = False
            if not worked:
                await set_within(self._stopped, POLL_SECONDS)

    def stop(self) -> None:
        self._stopped.set()

    async def reconcile_next(self) -> bool:
        """Reconcile the upload that waits longest. Returns whether there was one.

        Raises DatabaseUnavailable and BusUnavailable. Then, and after our own fault, it is begun anew a minute later; a
        try that ended because a server is away is not counted.
        """
        upload = await take_upload(self._database)
        if upload is None:
            return False
        beating = asyncio.create_task(self._beat(upload))
        try:
            run = await self._reconcile(upload)
        except (CannotReconcile, StatementError, AnotherRun, NotDecrypted) as error:
            log.info("reconcile.refused", upload=upload.id, account=upload.account)
            await end_upload(self._database, upload, failed=str(error))
        except (DatabaseUnavailable, BusUnavailable):
            with suppress(DatabaseUnavailable):
                await give_back(self._database, upload)
            raise
        except Exception:
            log.exception("reconcile.failed", upload=upload.id, account=upload.account)
        else:
            log.info("reconcile.done", upload=upload.id, account=upload.account, run=run.id, dry_run=run.dry_run)
            await end_upload(self._database, upload, run=run)
        finally:
            beating.cancel()
            await asyncio.gather(beating, return_exceptions=True)
        return True

    async def _reconcile(self, upload: Upload) -> Run:
        if upload.tries > MOST_TRIES:
            raise CannotReconcile(f"it was begun {MOST_TRIES} times and never ended; on-call can see why in the log")
        account, columns = self._read_by(upload)
        body = await read_body(self._database, self._cipher, upload.id)
        if body is None:
            raise CannotReconcile("the file is no longer kept; upload it again")
        with in_memory(body) as path:
            lines = await asyncio.to_thread(lambda: read_lines(open_statement(path), columns))
            return await reconcile_lines(
                self._database,
                self._rules,
                self._bus,
                account,
                lines,
                StatementScope(source=upload.name, sha256=upload.sha256),
                None,
                terms=Terms.of(columns),
                dry_run=upload.wanted != "run",
                however_many=upload.however_many,
            )

    def _read_by(self, upload: Upload) -> tuple[Account, StatementMap]:
        account = self._rules.accounts.get(upload.account)
        if account is None or account.merchant != upload.merchant:
            raise CannotReconcile(f"the account {upload.account} is no longer in the configuration")
        if upload.columns is None:
            raise CannotReconcile("nobody confirmed how the file is read; make a dry run")
        return account, upload.columns

    async def _beat(self, upload: Upload) -> None:
        """Say every few seconds that the upload is in work, until cancelled."""
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            try:
                await beat(self._database, upload)
            except DatabaseUnavailable as error:
                log.warning("reconcile.beat_failed", error=error_name(error))
