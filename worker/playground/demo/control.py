"""The sandbox's control API, as the demo and the tests use it in place of buyers, gateways and time."""

from __future__ import annotations

from typing import Any

import aiohttp

from worker.playground.demo.stories_shop import Document
from worker.playground.demo.waiting import until

SECONDS = 30.0


class ControlError(Exception):
    """The sandbox refused; the message is its own."""


class Control:
    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self._http = http
        self._root = url

    async def post(self, what: str, **body: Any) -> Document:
        """POST to `what`. Fields that are None are left out."""
        return await self.post_whole(what, {name: value for name, value in body.items() if value is not None})

    async def post_whole(self, what: str, body: Document) -> Document:
        """POST to `what`, with null where null has a meaning, as in `times`."""
        return await self._call("POST", what, json=body)

    async def get(self, what: str, **query: str) -> Document:
        return await self._call("GET", what, params=query)

    async def session(self, provider: str, reference: str) -> Document | None:
        """The newest checkout of a reference in the gateway's own books; None where there is none."""
        found: list[Document] = (await self.get("sessions", provider=provider, reference=reference))["sessions"]
        return found[0] if found else None

    async def questions(self, provider: str, reference: str) -> int:
        """How often the gateway was asked about a reference."""
        by = (await self.get("calls", provider=provider, reference=reference))["by"]
        return int(by["status"] + by["execute"])

    async def troubles(self, provider: str, reference: str) -> list[Document]:
        """The troubles that an order has still to meet."""
        found: list[Document] = (await self.get("troubles", provider=provider, reference=reference))["troubles"]
        return found

    async def clear_troubles(self, provider: str, reference: str) -> None:
        """End the troubles that an order has still to meet."""
        await self._call("DELETE", "troubles", params={"provider": provider, "reference": reference})

    async def deliveries(self, provider: str, reference: str) -> list[Document]:
        """The signed webhooks and unsigned forms about an order, with the statuses of their attempts."""
        found: list[Document] = (await self.get("deliveries", provider=provider, reference=reference))["deliveries"]
        return found

    async def until_all_done(self, provider: str, reference: str) -> None:
        """Wait until the gateway has no postponed work left, and each webhook was sent at least once."""

        async def done() -> bool:
            put_off = (await self.get("scheduled", provider=provider, reference=reference))["scheduled"]
            sent = await self.deliveries(provider, reference)
            if failed := [one for one in put_off if one["state"] == "impossible" or one["result"] == "0"]:
                raise ControlError(f"{failed[0]['does']} had no effect: {failed[0]['result']}")
            return all(one["state"] == "done" for one in put_off) and all(one["attempts"] for one in sent)

        await until(done, "what the gateway put off was not done")

    async def until_troubles_end(self, provider: str, reference: str) -> None:
        """Wait until every call about an order is answered again."""

        async def ended() -> bool:
            return not await self.troubles(provider, reference)

        await until(ended, "the gateway's troubles did not end")

    async def gateway(self, path: str, headers: dict[str, str], body: Document, *, form: bool = False) -> Document:
        """A call to a gateway itself, as a shop's own code makes it: by JSON, or by a form."""
        timeout = aiohttp.ClientTimeout(total=SECONDS)
        written: Document = {"data": body} if form else {"json": body}
        async with self._http.post(f"{self._root}/{path}", headers=headers, timeout=timeout, **written) as response:
            answer: Document = await response.json()
            if response.status >= 400:
                raise ControlError(f"{path}: HTTP {response.status} {answer}")
            return answer

    async def _call(self, method: str, what: str, **more: Any) -> Document:
        timeout = aiohttp.ClientTimeout(total=SECONDS)
        async with self._http.request(method, f"{self._root}/_control/{what}", timeout=timeout, **more) as response:
            answer: Document = await response.json()
            if response.status != 200:
                raise ControlError(f"{what}: {answer.get('error')}")
            return answer
