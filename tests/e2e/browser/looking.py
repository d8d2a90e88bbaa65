"""Looking a page over as people at a phone and at a desk see it: whether it fits, whether everyone can use it.

The one thing to get wrong: a window keeps the size that it was given last; whoever goes on with it goes on at a desk.
"""

from __future__ import annotations

from collections.abc import Collection

from playwright.async_api import Page

from tests.e2e.browser.axe import accessible
from tests.e2e.browser.chromium import DESKTOP, PHONE, Windows


async def fits(page: Page) -> None:
    """Nothing stands out of the window sideways."""
    wide, window = await page.evaluate("[document.scrollingElement.scrollWidth, document.scrollingElement.clientWidth]")
    assert wide <= window, f"{page.url} is {wide} wide in a window of {window}"


async def looked_over(windows: Windows, page: Page, name: str, *, but: Collection[str] = ()) -> None:
    await fits(page)
    await accessible(page, but=but)
    await windows.snap(page, name)


async def looked_over_everywhere(windows: Windows, page: Page, name: str, *, but: Collection[str] = ()) -> None:
    """On a phone, and at a desk. The page needs scripts on."""
    await page.set_viewport_size(PHONE)
    await looked_over(windows, page, f"{name} phone", but=but)
    await page.set_viewport_size(DESKTOP)
    await fits(page)
    await windows.snap(page, f"{name} desktop")
