"""An operator's browser at the console: signed in, and each page looked over in every way that it is used."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

from playwright.async_api import Page

from tests.consoles import PASSWORD, Console
from tests.e2e.browser.chromium import DESKTOP, ENGLISH, PHONE, Windows
from tests.e2e.browser.looking import fits, looked_over
from worker.console.access import COOKIE

SCHEMES: tuple[Literal["light"], Literal["dark"]] = ("light", "dark")


async def at_console(
    windows: Windows,
    console: Console,
    name: str,
    path: str = "/",
    *,
    locale: str = ENGLISH,
    scripts: bool = True,
    may: Collection[int] = (),
) -> Page:
    """A window of an operator who is signed in, at this path. `may`: see `Windows.open`."""
    signed = await console.signed_in(name)
    page = await windows.open(locale=locale, scripts=scripts, may=may)
    await page.context.add_cookies(
        [
            {
                "name": COOKIE,
                "value": signed.token,
                "url": console.url.replace("http:", "https:"),
                "secure": True,
                "httpOnly": True,
                "sameSite": "Strict",
            }
        ]
    )
    await page.goto(f"{console.url}{path}")
    return page


async def signs_in(page: Page, console: Console, name: str) -> None:
    """Fill in the form of the page that is open, and send it."""
    await page.get_by_label("Name").fill(name)
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_label("6-digit code").fill(console.code(name))
    await page.get_by_role("button", name="Sign in").click()


async def looked_over_in_all_ways(windows: Windows, page: Page, name: str) -> None:
    """Check the page with axe, wide and on a phone, light and dark. With PAYPROOF_SCREENSHOTS it is pictured too."""
    for scheme in SCHEMES:
        await page.emulate_media(color_scheme=scheme)
        for size, where in ((PHONE, "phone"), (DESKTOP, "desktop")):
            await page.set_viewport_size(size)
            await looked_over(windows, page, f"{name} {where} {scheme}")
            await fits(page)
    await page.emulate_media(color_scheme=None)
