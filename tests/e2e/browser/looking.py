"""Look at a page as people at a phone and at a desk see it: whether it fits, whether everyone can use it.

A window keeps the last size that it was given, so afterwards it has a desk's size.
"""

from __future__ import annotations

from collections.abc import Collection

from playwright.async_api import Page

from tests.e2e.browser.axe import accessible
from tests.e2e.browser.chromium import DESKTOP, PHONE, Windows

_WIDTHS = """() => {
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), were = [];
  while (texts.nextNode()) {
    const text = texts.currentNode;
    were.push([text, text.data]);
    text.data = text.data.replace(/\\bpay_[0-9a-z]{26}/g, "pay_" + "w".repeat(26));
  }
  const { scrollWidth, clientWidth } = document.scrollingElement;
  for (const [text, was] of were) text.data = was;
  return [scrollWidth, clientWidth];
}"""


async def fits(page: Page) -> None:
    """Nothing overflows the window sideways, with every payment's id at its widest: its letters are random."""
    wide, window = await page.evaluate(_WIDTHS)
    assert wide <= window, f"{page.url} is {wide} wide in a window of {window}"


async def looked_over(windows: Windows, page: Page, name: str, *, but: Collection[str] = ()) -> None:
    await fits(page)
    await accessible(page, but=but)
    await windows.snap(page, name)


async def looked_over_everywhere(windows: Windows, page: Page, name: str, *, but: Collection[str] = ()) -> None:
    """Check the page on a phone, and at a desk. The page needs scripts on."""
    await page.set_viewport_size(PHONE)
    await looked_over(windows, page, f"{name} phone", but=but)
    await page.set_viewport_size(DESKTOP)
    await fits(page)
    await windows.snap(page, f"{name} desktop")
