"""Statements that people upload: what is kept, who reconciles them, and what becomes of a process that dies on one."""

from __future__ import annotations

import asyncio
import io
import os
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal

import pytest
from msgspec.structs import replace
from openpyxl import Workbook

from consumers.ports.unavailable import BusUnavailable
from consumers.rules import Rules
from schemas.callbacks import Claim
from schemas.statements import StatementMap
from tests.integration.shops import CONFIG
from tests.integration.statements import Books
from tests.records import RECORD, by
from worker.postgres.database import Database
from worker.postgres.queue.claim_queue import PostgresBus
from worker.postgres.statements.runs import read_run
from worker.postgres.statements.uploads import (
    Upload,
    Wanted,
    add_note,
    end_upload,
    forget_uploads,
    keep_upload,
    read_body,
    read_notes,
    read_upload,
    read_uploads,
    request_work,
    take_upload,
)
from worker.reconciliation.upload_runner import MOST_TRIES, UploadRunner
from worker.retention import tasks_of
from worker.runtime.encryption import ArchiveCipher

MAP = StatementMap(amount="Amount", reference="Order", at="Date", fee_percent=Decimal("1.5"))
FILE = b"Order,Amount,Date\na,1500.50,2026-05-17T12:05:00\nnobodys,99.00,2026-05-17T12:06:00\n"
KEY = os.urandom(32)
SHOP = ["shop"]


@pytest.fixture
async def books(database: Database) -> Books:
    books = Books(database)
    await books.paid("a")
    return books


def runner(books: Books, *, columns: StatementMap | None = MAP, key: bytes = KEY) -> UploadRunner:
    account = replace(books.account, statement=columns)
    rules = Rules(accounts={account.id: account}, checks=books.rules.checks, public_url=books.rules.public_url)
    return UploadRunner(books.database, rules, books.bus, ArchiveCipher([key]))


def away(books: Books) -> UploadRunner:
    """A runner whose broker is away when the first payment is asked about."""

    class Away(PostgresBus):
        async def publish(self, claims: Sequence[Claim], *, low_priority: bool = False) -> None:
            raise BusUnavailable("the broker is away")

    account = replace(books.account, statement=MAP)
    rules = Rules(accounts={account.id: account}, checks=books.rules.checks, public_url=books.rules.public_url)
    return UploadRunner(books.database, rules, Away(books.database), ArchiveCipher([KEY]))


async def uploaded(books: Books, body: bytes = FILE) -> str:
    kept = ArchiveCipher([KEY])
    return await keep_upload(
        books.database, kept, RECORD, merchant="shop", account=books.account.id, name="may.csv", body=body
    )


async def done(books: Books, upload: str, wanted: Wanted = "run", **options: object) -> Upload:
    """The upload after one runner has done what is wanted of it."""
    columns = options.pop("confirmed", MAP)
    assert isinstance(columns, StatementMap)
    assert await request_work(books.database, SHOP, upload, wanted, by("rahima"), columns=columns)
    assert await runner(books, **options).reconcile_next()  # type: ignore[arg-type]
    found = await read_upload(books.database, SHOP, upload)
    assert found is not None
    assert not found.at_work
    return found


async def test_a_dry_run_changes_nothing_and_the_run_holds_the_unknown_money(books: Books) -> None:
    upload, before = await uploaded(books), await books.kept()
    dry = await done(books, upload, "dry_run")
    assert (dry.failed, dry.kept, dry.wanted_by) == (None, True, "rahima")
    judged = await read_run(books.database, dry.run or "")
    assert judged is not None
    assert (judged.dry_run, judged.source, judged.sha256) == (True, "may.csv", dry.sha256)
    assert await books.kept() == before
    real = await done(books, upload)
    assert real.failed is None
    assert not real.kept
    held = await books.database.fetch("SELECT reference FROM payments WHERE hold = 'unexpected'")
    assert [row["reference"] for row in held] == ["nobodys"]


async def test_the_file_is_encrypted_and_goes_when_it_was_reconciled_to_its_end(books: Books) -> None:
    upload = await uploaded(books)
    (stored,) = await books.database.fetch("SELECT body FROM statement_uploads")
    assert b"1500.50" not in stored["body"]
    assert await read_body(books.database, ArchiveCipher([KEY]), upload) == FILE
    await done(books, upload)
    assert await read_body(books.database, ArchiveCipher([KEY]), upload) is None
    assert await request_work(books.database, SHOP, upload, "run", by("rahima"), columns=MAP) is None


async def test_a_workbook_is_read_too(books: Books) -> None:
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    for row in (("Order", "Amount", "Date"), ("a", 1500.50, "2026-05-17T12:05:00")):
        sheet.append(row)
    content = io.BytesIO()
    book.save(content)
    read = await done(books, await uploaded(books, content.getvalue()), "dry_run")
    assert read.failed is None
    judged = await read_run(books.database, read.run or "")
    assert judged is not None
    assert sum(judged.counts.values()) == 1


async def test_a_run_that_was_stopped_keeps_the_file_and_can_be_forced(books: Books) -> None:
    many = b"Order,Amount,Date\n" + b"".join(b"x-%d,10.00,2026-05-17T12:05:00\n" % number for number in range(200))
    upload = await uploaded(books, many)
    stopped = await done(books, upload)
    judged = await read_run(books.database, stopped.run or "")
    assert judged is not None
    assert judged.stopped is not None
    assert stopped.kept
    assert await request_work(books.database, SHOP, upload, "run", by("rahima"), columns=MAP, however_many=True)
    assert await runner(books).reconcile_next()
    forced = await read_upload(books.database, SHOP, upload)
    assert forced is not None
    assert not forced.kept


async def test_a_process_that_was_overtaken_ends_nothing(books: Books) -> None:
    upload = await uploaded(books)
    assert await request_work(books.database, SHOP, upload, "dry_run", by("rahima"), columns=MAP)
    slow = await take_upload(books.database)
    assert slow is not None
    await books.database.execute("UPDATE statement_uploads SET beaten_at = now() - interval '61 s'")
    quick = await take_upload(books.database)
    assert quick is not None
    await end_upload(books.database, slow, failed="too late")
    found = await read_upload(books.database, SHOP, upload)
    assert found is not None
    assert found.at_work
    await end_upload(books.database, quick, failed="in time")
    found = await read_upload(books.database, SHOP, upload)
    assert found is not None
    assert found.failed == "in time"


async def test_a_map_that_a_person_confirmed_reads_the_file_of_an_account_without_one(books: Books) -> None:
    upload = await uploaded(books)
    read = await done(books, upload, "dry_run", columns=None, confirmed=MAP)
    assert (read.failed, read.columns) == (None, MAP)


async def test_a_run_reads_the_file_by_the_map_that_was_tried_whatever_is_configured_since(books: Books) -> None:
    body = FILE.replace(b"Amount", b"Amount,Net", 1).replace(b"99.00,", b"99.00,98.00,").replace(b".50,", b".50,1.00,")
    upload = await uploaded(books, body)
    await done(books, upload, "dry_run")
    assert await request_work(books.database, SHOP, upload, "run", by("rahima"), columns=MAP)
    assert await runner(books, columns=replace(MAP, amount="Net")).reconcile_next()
    held = await books.database.fetch("SELECT amount FROM payments WHERE hold = 'unexpected'")
    assert [row["amount"] for row in held] == [Decimal("99.00")]


@pytest.mark.parametrize(
    ("body", "options", "words"),
    [
        (b"%PDF-1.7", {}, "the file is a PDF"),
        (b"Order,Sum\na,1\n", {}, "Amount"),
        (FILE, {"key": os.urandom(32)}, "which is not in the configuration"),
    ],
)
async def test_what_cannot_be_read_is_said_in_words_and_nothing_is_changed(
    books: Books, body: bytes, options: dict[str, object], words: str
) -> None:
    upload, before = await uploaded(books, body), await books.kept()
    failed = await done(books, upload, **options)
    assert failed.run is None
    assert words in (failed.failed or "")
    assert failed.kept
    assert await books.kept() == before


async def test_an_account_that_left_the_configuration_is_named(books: Books) -> None:
    upload = await uploaded(books)
    await request_work(books.database, SHOP, upload, "run", by("rahima"), columns=MAP)
    nobody = Rules(accounts={}, checks=books.rules.checks, public_url=books.rules.public_url)
    assert await UploadRunner(books.database, nobody, books.bus, ArchiveCipher([KEY])).reconcile_next()
    found = await read_upload(books.database, SHOP, upload)
    assert found is not None
    assert found.failed == "the account shop-a is no longer in the configuration"


async def test_another_merchants_upload_does_not_exist(books: Books) -> None:
    upload = await uploaded(books)
    assert await read_upload(books.database, ["other"], upload) is None
    assert await read_uploads(books.database, ["other"]) == []
    assert await request_work(books.database, ["other"], upload, "run", by("rahima"), columns=MAP) is None


async def test_one_process_takes_an_upload_and_it_is_not_asked_for_twice(books: Books) -> None:
    upload = await uploaded(books)
    assert await request_work(books.database, SHOP, upload, "run", by("rahima"), columns=MAP)
    assert await request_work(books.database, SHOP, upload, "run", by("karim"), columns=MAP) is None
    taken = await asyncio.gather(*(take_upload(books.database) for _ in range(4)))
    assert [one.id for one in taken if one is not None] == [upload]


async def test_an_upload_whose_process_died_is_begun_again_and_given_up_in_the_end(books: Books) -> None:
    upload = await uploaded(books, b"Order,Amount,Date\n" + b"a,1500.50,2026-05-17T12:05:00\n")
    assert await request_work(books.database, SHOP, upload, "run", by("rahima"), columns=MAP)
    for _ in range(MOST_TRIES):
        assert await take_upload(books.database) is not None
        assert await take_upload(books.database) is None
        await books.database.execute("UPDATE statement_uploads SET beaten_at = now() - interval '61 s'")
    assert await runner(books).reconcile_next()
    found = await read_upload(books.database, SHOP, upload)
    assert found is not None
    assert found.failed is not None
    assert "begun 5 times" in found.failed


async def test_a_broker_that_is_away_for_long_ends_no_upload(books: Books) -> None:
    upload = await uploaded(books, FILE + b"b,5.00,2026-05-17T12:07:00\n")
    await books.paid("b")
    assert await request_work(books.database, SHOP, upload, "run", by("rahima"), columns=MAP, however_many=True)
    for _ in range(2 * MOST_TRIES):
        with pytest.raises(BusUnavailable):
            await away(books).reconcile_next()
        await books.database.execute("UPDATE statement_uploads SET beaten_at = now() - interval '61 s'")
    assert await runner(books).reconcile_next()
    found = await read_upload(books.database, SHOP, upload)
    assert found is not None
    assert (found.failed, found.kept) == (None, False)


async def test_a_dry_run_stays_while_its_upload_waits_or_people_wrote_on_it(books: Books) -> None:
    first, second = await uploaded(books), await uploaded(books)
    dry = await done(books, first, "dry_run")
    assert await read_run(books.database, (await done(books, second, "dry_run")).run or "") is not None
    assert await read_run(books.database, dry.run or "") is not None, "its upload still waits to be reconciled"
    again = await done(books, first, "dry_run")
    assert await read_run(books.database, dry.run or "") is None, "nobody needs it any more"
    await add_note(books.database, again.run or "", "2", "paid in cash", by("rahima"))
    await done(books, first)
    await done(books, second)
    assert await read_run(books.database, again.run or "") is not None, "the notes stay with their run"


async def test_a_runner_ends_when_it_is_stopped(books: Books) -> None:
    one = runner(books)
    running = asyncio.create_task(one.run())
    one.stop()
    async with asyncio.timeout(30):
        await running


async def test_notes_explain_a_row_and_stay(books: Books) -> None:
    await add_note(books.database, "rec_x", "3", "paid in cash", by("rahima"))
    await add_note(books.database, "rec_x", "3", "the receipt is in the safe", by("karim"))
    assert [(note.actor, note.words) for note in await read_notes(books.database, "rec_x")] == [
        ("rahima", "paid in cash"),
        ("karim", "the receipt is in the safe"),
    ]


def test_uploads_go_also_where_nobody_runs_the_role_reconcile() -> None:
    (task,) = [one for one in tasks_of(CONFIG) if one.name == "statement_uploads"]
    assert task.role == "consume"


async def test_uploads_go_after_their_retention(books: Books) -> None:
    old, new = await uploaded(books), await uploaded(books)
    await books.database.execute(
        "UPDATE statement_uploads SET uploaded_at = now() - interval '91 days' WHERE id = $1", old
    )
    assert await forget_uploads(timedelta(days=90), books.database, 100) == 1
    assert [one.id for one in await read_uploads(books.database, SHOP)] == [new]
