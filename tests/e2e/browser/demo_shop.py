"""The demo shop for its tests: its address, windows to go there with, and actions that no person takes.

`control` must not be used for an action of the buyer, which has to be clicked.
"""

from __future__ import annotations

from collections.abc import Collection

import aiohttp
from msgspec import Struct

from tests.e2e.browser.chromium import Windows
from tests.e2e.browser.shopping import Person
from tests.harness import Control, Document


class DemoShop(Struct, frozen=True):
    """The demo shop of an installation.

    `control` is for actions that no person takes, and for the gateways' own books.
    """

    url: str
    windows: Windows
    http: aiohttp.ClientSession
    control: Control

    async def person(self, *, looks: bool = False, scripts: bool = True, may: Collection[int] = ()) -> Person:
        return Person(self.windows, await self.windows.open(scripts=scripts, may=may), self.url, looks=looks)

    async def booked(self, provider: str, reference: str) -> Document:
        """The checkout as its gateway's own books hold it."""
        session = await self.control.session(provider, reference)
        assert session is not None
        return session

    async def gateway_is_back(self, provider: str, reference: str) -> None:
        """Ends the troubles that its scripts still plan for this order, before their seconds are over."""
        about = {"provider": provider, "reference": reference}
        async with self.http.delete(f"{self.url}/_control/troubles", params=about) as answer:
            assert (await answer.json())["cleared"]
