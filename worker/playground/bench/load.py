"""Payments opened, paid at the sandbox and reported to the service at a fixed rate, each watched until its event.

The rate is kept however slow the service is. A load that waits for one payment's end before the next would never put
the service under load.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Sequence
from typing import Literal

import aiohttp

from consumers.account import Account
from worker.playground.bench.figures import Ended
from worker.playground.bench.sandboxed import opened_there
from worker.playground.bench.told_times import ToldTimes
from worker.playground.demo.control import Control, ControlError
from worker.playground.shop.client import AWAY, Document, Payproof
from worker.playground.shop.ordering import CUSTOMER
from worker.runtime.cancellation import end_one

By = Literal["return", "webhook"]
"""How the service learns of a payment: from the returning buyer, or from the gateway's signed webhook."""

AT_ONCE = 8
TELL_SECONDS = 40.0
EVENT_SECONDS = 30.0
RETURN_URL = "https://payproof-bench.invalid/thanks"
"""Never visited: the load does not follow the service's redirect of a buyer."""


class Load:
    """One account at one sandbox. Its methods, except `play`, raise Refused, ControlError or one of AWAY."""

    def __init__(self, http: aiohttp.ClientSession, shop: Payproof, control: Control, account: Account, by: By) -> None:
        self._http, self._shop, self._control, self._account, self._by = http, shop, control, account, by
        self._told = ToldTimes(shop)
        self._run = f"bench-{secrets.token_hex(4)}"

    async def prove(self) -> None:
        """Take one payment all the way, which is not counted. Also raises NotASandbox."""
        payment = await self._open(0)
        await opened_there(self._control, self._account, payment)
        await self._told.skip_to_end()
        (ended,) = await self.play([payment], 1.0, lambda _: None)
        if ended.why is not None:
            raise ControlError(f"the first payment was not verified: {ended.why}; nothing more was sent")

    async def open(self, count: int, opened: Callable[[int], None]) -> list[Document]:
        """Open so many payments, a few at once."""
        payments, numbers = list[Document](), iter(range(1, count + 1))

        async def opener() -> None:
            for number in numbers:
                payments.append(await self._open(number))
                opened(len(payments))

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(AT_ONCE):
                    group.create_task(opener())
        except BaseExceptionGroup as failed:
            raise failed.exceptions[0] from None
        return payments

    async def play(self, payments: Sequence[Document], rate: float, ended: Callable[[int], None]) -> list[Ended]:
        """Report `rate` payments a second, and wait for the event of each. Returns them as they end, also failures."""
        over = list[Ended]()

        async def one(payment: Document) -> None:
            over.append(await self._pay_and_tell(payment))
            ended(len(over))

        looking = asyncio.create_task(self._told.run())
        try:
            began = time.perf_counter()
            async with asyncio.TaskGroup() as group:
                for number, payment in enumerate(payments):
                    await asyncio.sleep(began + number / rate - time.perf_counter())
                    group.create_task(one(payment))
        finally:
            await end_one(looking)
        return over

    async def _open(self, number: int) -> Document:
        return await self._shop.open(
            {
                "account": self._account.id,
                "reference": f"{self._run}-{number:05}",
                "amount": f"{100 + number % 900}.00",
                "currency": "BDT",
                "description": "payproof bench",
                "return_url": RETURN_URL,
                "customer": CUSTOMER,
            }
        )

    async def _pay_and_tell(self, payment: Document) -> Ended:
        named = {"provider": self._account.provider.name, "reference": payment["reference"]}
        sent_at = time.perf_counter()
        try:
            paid = await self._control.post("shopper", **named, does="pay", webhook=False, returns=False)
            with self._told.awaited(payment["payment_id"]) as event:
                sent_at = time.perf_counter()
                status = await self._tell(named, paid["redirect"])
                if status not in (200, 303):
                    return Ended(sent_at=sent_at, why=f"the {self._by} was answered with HTTP {status}")
                accepted_at = time.perf_counter()
                await asyncio.wait({event}, timeout=EVENT_SECONDS)
                if not event.done():
                    why = f"no event within {EVENT_SECONDS:g} s"
                    return Ended(sent_at=sent_at, accepted_at=accepted_at, why=why)
                return Ended(sent_at=sent_at, accepted_at=accepted_at, told_at=event.result())
        except ControlError as error:
            return Ended(sent_at=sent_at, why=f"the sandbox refused: {error}")
        except AWAY as error:
            return Ended(sent_at=sent_at, why=f"no answer ({type(error).__name__})")

    async def _tell(self, named: dict[str, str], redirect: str) -> int:
        """Report the payment. Returns the HTTP status of the service's answer."""
        if self._by == "webhook":
            statuses: list[int] = (await self._control.post("webhook", **named))["statuses"]
            return statuses[0]
        timeout = aiohttp.ClientTimeout(total=TELL_SECONDS)
        async with self._http.get(redirect, allow_redirects=False, timeout=timeout) as response:
            await response.read()
            return response.status
