"""Statements in the console: who uploads and reconciles what, and what is refused."""

from __future__ import annotations

import asyncio
import io
import os
import re
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from typing import Any

import aiohttp
import msgspec
import pytest
from msgspec.structs import replace

from consumers.rules import Rules
from schemas.checks import Checks
from schemas.secret import Secret
from schemas.statements import StatementMap
from tests.consoles import PASSWORD, Answer, Console, Signed, form_token, running_console
from tests.integration.shops import CONFIG
from tests.integration.test_statement_workbooks import HEADERS, ROW, changed, workbook
from worker.config import Config
from worker.config.shapes import Archive
from worker.console.access import COOKIE
from worker.console.pages.statements_page import MOST_BYTES
from worker.postgres.database import Database
from worker.postgres.queue.claim_queue import PostgresBus
from worker.reconciliation.upload_runner import UploadRunner
from worker.runtime.encryption import ArchiveCipher, new_archive_key

FILE = b"Order ID,Amount,Date,Status\nnobodys,99.00,2026-05-17 12:06:00,Success\n"
HOSTILE = b"Order ID,Amount,Date,Status\n<script>alert(1)</script>,99.00,2026-05-17 12:06:00,Success\n"


@pytest.fixture
def config() -> Config:
    return replace(CONFIG, archive=Archive(keys=(Secret(new_archive_key()),)))


@pytest.fixture
async def console(database: Database, config: Config) -> AsyncIterator[Console]:
    async with running_console(database, config=config) as console:
        yield console


async def sends(signed: Signed, body: bytes, **fields: Any) -> Answer:
    """Upload a file as the form does."""
    form = aiohttp.FormData({"token": form_token(signed.token), "account": "shop-one", **fields}, quote_fields=False)
    form.add_field("file", io.BytesIO(body), filename="/home/rahima/may.csv")
    headers = {"Origin": signed.url, "Sec-Fetch-Site": "same-origin", "Cookie": f"{COOKIE}={signed.token}"}
    async with (
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http,
        http.post(f"{signed.url}/statements", data=form, headers=headers, allow_redirects=False) as answer,
    ):
        return Answer(answer.status, await answer.text(), dict(answer.headers), answer.headers.get("Location"))


async def uploaded(signed: Signed, body: bytes = FILE) -> str:
    answer = await sends(signed, body)
    assert answer.status == 303, answer.text
    assert answer.location is not None
    return answer.location


async def tries(signed: Signed, path: str) -> Answer:
    """Make a dry run by the map that the page shows."""
    shown = re.search(r'name="map" value="(\w+)"', (await signed.get(path)).text)
    return await signed.post(f"{path}/try", {"map": shown[1] if shown else ""})


async def work(database: Database, config: Config) -> None:
    """Have what is wanted done, as a process of the role reconcile does."""
    accounts = {account.id: account for account in config.accounts}
    rules = Rules(accounts=accounts, checks=Checks(), public_url="https://pay.example")
    cipher = ArchiveCipher(config.archive.cipher_keys)
    assert await UploadRunner(database, rules, PostgresBus(database), cipher).reconcile_next()


async def test_upload_look_try_run_and_explain(console: Console, config: Config) -> None:
    signed = await console.signed_in("omar")
    path = await uploaded(signed)
    looked = await signed.get(path)
    assert "may.csv" in looked.text
    assert "rahima" not in looked.text, "the folder of the person's machine is nobody's business"
    assert "nobodys" in looked.text
    assert "Dry run" in looked.text
    assert "Reconcile</button>" not in looked.text, "it has to be tried first"
    assert (await signed.post(f"{path}/run", {"confirm": PASSWORD})).status == 409
    assert (await tries(signed, path)).status == 303
    assert "being worked on" in (await signed.get(path)).text
    await console.database.execute("UPDATE statement_uploads SET wanted_at = wanted_at - interval '1 min'")
    idle = (await signed.get(path)).text
    assert "No process with the role reconcile has taken it for 6" in idle
    assert "being worked on" not in idle
    assert (await tries(signed, path)).status == 409
    await work(console.database, config)
    tried = await signed.get(path)
    assert "nothing was changed" in tried.text
    assert await console.database.fetch("SELECT FROM payments") == []
    assert (await signed.post(f"{path}/run", {"confirm": "wrong"})).status == 403
    assert (await signed.post(f"{path}/run", {"confirm": PASSWORD, "however_many": "yes"})).status == 303
    await work(console.database, config)
    (held,) = await console.database.fetch("SELECT hold, reference FROM payments")
    assert (held["hold"], held["reference"]) == ("unexpected", "nobodys")
    (run,) = await console.database.fetch("SELECT id FROM statements WHERE NOT dry_run")
    shown = await signed.get(f"/statements/runs/{run['id']}")
    assert "missing here" in shown.text
    line = f"/statements/runs/{run['id']}/lines/2"
    assert (await signed.post(line, {"words": " "})).status == 422
    assert (await signed.post(line, {"words": "paid in <b>cash</b>"})).status == 303
    assert "paid in &lt;b&gt;cash&lt;/b&gt;" in (await signed.get(line)).text
    csv = await signed.get(f"/statements/runs/{run['id']}/rows.csv")
    assert csv.text.startswith("\ufeffrow,outcome,why")
    assert "nobodys" in csv.text
    report = await signed.get(f"/statements/runs/{run['id']}/report")
    assert report.status == 200
    assert "default-src 'none'" in report.headers["Content-Security-Policy"]
    acts = await console.database.fetch("SELECT action, actor FROM audit WHERE merchant = 'shop' ORDER BY id")
    assert [(row["action"], row["actor"]) for row in acts] == [
        (f"statement.{act}", "omar") for act in ("uploaded", "tried", "reconciled", "explained")
    ]


async def test_the_try_and_the_run_use_the_map_that_the_page_showed(database: Database, config: Config) -> None:
    columns = StatementMap(amount="Amount", reference="Order ID", at="Date", fee_percent=Decimal("1.5"))
    merchants = [
        replace(one, accounts=tuple(replace(each, statement=columns) for each in one.accounts))
        for one in config.merchants
    ]
    async with running_console(database, config=replace(config, merchants=tuple(merchants))) as console:
        signed = await console.signed_in("omar")
        path = await uploaded(signed)
        other = await signed.post(f"{path}/try", {"map": "0" * 64})
        assert (other.status, "Another map reads the file" in other.text) == (409, True)
        assert (await tries(signed, path)).status == 303
        await work(database, config)
        (row,) = await database.fetch("SELECT columns FROM statement_uploads")
        assert msgspec.convert(row["columns"], StatementMap, strict=False) == columns
        assert "Reconcile</button>" in (await signed.get(path)).text
    async with running_console(database, config=config) as console:
        signed = await console.signed_in("omar")
        assert "Reconcile</button>" not in (await signed.get(path)).text, "the page shows another map than was tried"


async def test_nothing_of_another_merchant_is_seen_or_used(console: Console, config: Config) -> None:
    omar, stranger = await console.signed_in("omar"), await console.signed_in("onlyother")
    path = await uploaded(omar)
    assert (await tries(omar, path)).status == 303
    await work(console.database, config)
    (run,) = await console.database.fetch("SELECT id FROM statements")
    paths = [path, f"/statements/runs/{run['id']}", f"/statements/runs/{run['id']}/rows.csv"]
    paths += [f"/statements/runs/{run['id']}/report", f"/statements/runs/{run['id']}/lines/2"]
    assert [(await stranger.get(one)).status for one in paths] == [404] * len(paths)
    assert (await stranger.post(f"{path}/try")).status == 404
    assert (await stranger.post(f"{path}/run", {"confirm": PASSWORD})).status == 404
    assert (await stranger.post(paths[-1], {"words": "mine"})).status == 404
    assert "may.csv" not in (await stranger.get("/statements")).text
    assert (await sends(stranger, FILE)).status == 422, "the account is another merchant's"


@pytest.mark.parametrize("path", ["upl_x", "upl_" + "0" * 26])
async def test_an_unknown_upload_is_404(console: Console, path: str) -> None:
    signed = await console.signed_in("omar")
    assert (await signed.get(f"/statements/uploads/{path}")).status == 404
    assert (await signed.post(f"/statements/uploads/{path}/try")).status == 404


@pytest.mark.parametrize(
    ("body", "words"),
    [(b"%PDF-1.7 x", "the file is a PDF"), (os.urandom(5_000), "cannot be read"), (b"\x00" * 100, "cannot be read")],
)
async def test_a_file_that_is_no_statement_is_said_in_words(console: Console, body: bytes, words: str) -> None:
    signed = await console.signed_in("omar")
    answer = await signed.get(await uploaded(signed, body))
    assert answer.status == 200
    assert words in answer.text
    assert "Dry run" not in answer.text


async def test_a_strangers_text_is_shown_as_text(console: Console) -> None:
    signed = await console.signed_in("omar")
    answer = await signed.get(await uploaded(signed, HOSTILE))
    assert "<script>alert" not in answer.text
    assert "&lt;script&gt;alert" in answer.text


async def test_an_empty_and_a_too_large_file_are_refused(console: Console) -> None:
    signed = await console.signed_in("omar")
    assert (await sends(signed, b"")).status == 422
    assert (await sends(signed, b"x" * (MOST_BYTES + 1))).status == 413
    assert await console.database.fetch("SELECT FROM statement_uploads") == []


async def test_a_viewer_looks_and_uploads_nothing(console: Console) -> None:
    omar, vera = await console.signed_in("omar"), await console.signed_in("vera")
    path = await uploaded(omar)
    assert "Dry run" not in (await vera.get(path)).text
    assert (await vera.post(f"{path}/try")).status == 403
    assert (await sends(vera, FILE)).status == 403


@pytest.mark.parametrize("after", ["50", "-1", "9" * 30, "x", "٣"])
async def test_any_page_of_the_rows_is_answered(console: Console, after: str) -> None:
    signed = await console.signed_in("omar")
    many = b"Order ID,Amount,Date,Status\n" + b"".join(
        b"order-%d,10.00,2026-05-17 12:06:00,Success\n" % number for number in range(60)
    )
    path = await uploaded(signed, many)
    answer = await signed.get(f"{path}?after={after}")
    assert answer.status == 200
    assert ("order-59" in answer.text) == (after == "50")


def far_cells() -> bytes:
    far = b'<row r="1048576"><c r="XFD1048576"><v>1</v></c></row></sheetData>'
    return changed(workbook([HEADERS, ROW]), lambda xml: xml.replace(b"</sheetData>", far))


def bomb() -> bytes:
    rows = b"<row></row>" * (3 << 20)
    return changed(workbook([HEADERS, ROW]), lambda xml: xml.replace(b"</sheetData>", rows + b"</sheetData>"))


def long_sheet() -> bytes:
    """Ten million rows, of random digits so that it is not refused as a bomb before it is read."""
    digits = os.urandom(1 << 20).hex()
    rows = "".join(f"<row><c><v>{digits[n % (1 << 20) : n % (1 << 20) + 2]}</v></c></row>" for n in range(400_000))
    content = (rows * 25).encode() + b"</sheetData>"
    return changed(workbook([HEADERS, ROW]), lambda xml: xml.replace(b"</sheetData>", content))


def deep() -> bytes:
    inner = b"<a>" * 2_000_000 + os.urandom(1 << 18).hex().encode() + b"</a>" * 2_000_000
    return changed(workbook([HEADERS, ROW]), lambda xml: xml.replace(b"</sheetData>", inner + b"</sheetData>"))


@pytest.mark.parametrize("hostile", [far_cells, bomb, long_sheet, deep])
async def test_a_hostile_workbook_keeps_nobody_from_other_pages(console: Console, hostile: Callable[[], bytes]) -> None:
    content = await asyncio.to_thread(hostile)
    assert len(content) < MOST_BYTES
    signed = await console.signed_in("omar")
    path = await uploaded(signed, content)
    looks = [asyncio.create_task(signed.get(path)) for _ in range(3)]
    answered = 0
    while not all(look.done() for look in looks):
        assert (await signed.get("/session")).status == 200
        answered += 1
    assert answered > 1
    for look in looks:
        assert look.result().status in (200, 503), "looked at, refused in words, or told to come again"
    assert (await signed.get(path)).status == 200, "and the console is there"
