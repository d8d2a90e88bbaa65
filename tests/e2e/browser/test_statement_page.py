"""The report of a statement in a browser: wide and on a phone, light, dark and on paper, for everyone who reads."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random

import pytest
from aiohttp import web
from playwright.async_api import Page, ViewportSize, expect

from schemas.report import Next, ReportHeader, Row
from schemas.statements import LineOutcome
from tests.e2e.browser.chromium import DESKTOP, PHONE, Windows
from tests.e2e.browser.looking import fits, looked_over, looked_over_everywhere
from tests.local_server import serving
from tests.reports import gathered
from worker.reconciliation.report.page import report_page as written

START = datetime(2026, 10, 31, 18, tzinfo=UTC)
ROWS = 2_000
NEXTS = {
    LineOutcome.MISSING_HERE: (Next.HELD, Next.ASKED),
    LineOutcome.AMOUNT_DIFFERS: (Next.ASKED,),
    LineOutcome.STATUS_DIFFERS: (Next.ASKED,),
    LineOutcome.MATCHED: (Next.NONE,),
    LineOutcome.DUPLICATE: (Next.NONE,),
}


def document() -> str:
    """A month in which one row of ten does not match; references are long, or wish to be a script."""
    random = Random(7)
    outcomes = [*[LineOutcome.MATCHED] * 63, *LineOutcome]
    rows = []
    for number in range(2, ROWS):
        outcome = random.choice(outcomes)
        amount = Decimal(random.randrange(1_000, 9_000_000)) / 100
        rows.append(
            Row(
                outcome=outcome,
                row=None if outcome is LineOutcome.MISSING_THERE else number,
                kind="payment",
                at=START + timedelta(seconds=random.randrange(30 * 86_400)),
                there=None if outcome is LineOutcome.MISSING_THERE else amount,
                here=None if outcome is LineOutcome.MISSING_HERE else amount,
                status_there="completed",
                status_here=None if outcome is LineOutcome.MISSING_HERE else "completed",
                transaction_id=f"{random.randrange(16**32):032x}",
                reference=random.choice(["order-7831", "<script>alert(1)</script>", "অর্ডার-৭৮৩১", "x" * 60]),
                payment_id=f"pay_{random.randrange(16**26):026x}",
                why=None if outcome is LineOutcome.MATCHED else "20825.95 there, 20805.95 here",
                next=random.choice(NEXTS.get(outcome, (Next.REPORTED,))),
            )
        )
    about = ReportHeader(
        run="rec_cknmjinmtvwtgiv0laxh5ai1k3",
        account="shop-bkash",
        merchant="shop",
        provider="onepaybd",
        source="bKash মাসিক.xlsx",
        sha256="9f2c" * 16,
        since=START,
        until=START + timedelta(days=30),
        at=START + timedelta(days=31),
        version="0.1.0",
        dry_run=True,
    )
    return written(gathered(about, rows))


@pytest.fixture
async def address() -> AsyncIterator[str]:
    """The address of the report.

    The report is a file, but the test's windows complain of anything outside this machine.
    """
    text = document()

    async def read(_: web.Request) -> web.Response:
        return web.Response(text=text, content_type="text/html")

    app = web.Application()
    app.router.add_get("/report.html", read)
    async with serving(app) as base:
        yield f"{base}/report.html"


async def opened(windows: Windows, address: str, *, scripts: bool = True) -> Page:
    page = await windows.open(DESKTOP, scripts=scripts)
    await page.goto(address)
    await expect(page).to_have_title("Statement of shop-bkash, 1 to 30 Nov 2026")
    return page


async def test_the_report_fits_everywhere_and_everyone_can_read_it(windows: Windows, address: str) -> None:
    page = await opened(windows, address)
    await looked_over_everywhere(windows, page, "report")
    await page.emulate_media(color_scheme="dark")
    await looked_over(windows, page, "report dark")


async def test_the_report_needs_no_script_and_runs_none_of_a_statement(windows: Windows, address: str) -> None:
    page = await opened(windows, address, scripts=False)
    await expect(page.get_by_role("heading", level=1)).to_have_text("Statement of shop-bkash")
    await expect(page.get_by_text("<script>alert(1)</script>").first).to_be_visible()
    await expect(page.get_by_role("img").first).to_be_visible()
    await page.set_viewport_size(PHONE)
    await fits(page)


async def test_on_a_phone_the_table_of_days_scrolls_in_its_place_and_the_day_stays_in_sight(
    windows: Windows, address: str
) -> None:
    page = await opened(windows, address)
    await page.set_viewport_size(ViewportSize(width=390, height=844))
    await fits(page)
    days = page.get_by_role("region", name="Money per day and outcome")
    wide, shown = await days.evaluate("one => [one.scrollWidth, one.clientWidth]")
    assert wide > shown
    await days.focus()
    await page.keyboard.press("End")
    await days.evaluate("one => one.scrollTo(one.scrollWidth, 0)")
    left, at = await days.evaluate(
        "one => [one.querySelector('tbody th').getBoundingClientRect().left, one.getBoundingClientRect().left]"
    )
    assert left >= at
    await windows.snap(page, "report at 390")


async def test_the_report_is_light_on_paper_and_no_row_is_cut(windows: Windows, address: str) -> None:
    page = await opened(windows, address)
    await page.emulate_media(media="print", color_scheme="dark")
    ground = await page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == "rgb(255, 255, 255)"
    rules = "[...document.querySelectorAll('tbody tr')].every(row => getComputedStyle(row).breakInside === 'avoid')"
    assert await page.evaluate(rules)
    heads = "[...document.querySelectorAll('thead')].every(h => getComputedStyle(h).display === 'table-header-group')"
    assert await page.evaluate(heads)
    assert (await page.pdf(prefer_css_page_size=True)).startswith(b"%PDF")
