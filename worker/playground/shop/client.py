"""Payproof's API as a shop calls it: one method for each thing a shop does, JSON in and out.

An answer may be lost. `open` may be sent again with the same Idempotency-Key and opens nothing twice; see
`worker.playground.shop.opening` for when to.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import aiohttp
import msgspec

Document = dict[str, Any]
SECONDS = 40.0


class Refused(Exception):
    """The API answered with a problem.

    `code` is the problem's own word; `errors` name each wrong field. `retry_after`, in seconds, is given where a retry
    may help.
    """

    def __init__(self, status: int, problem: Document, retry_after: float | None = None) -> None:
        self.detail = str(problem.get("detail") or problem.get("title") or "no reason was given")
        self.code = str(problem.get("code"))
        super().__init__(f"HTTP {status} {self.code}: {self.detail}")
        self.status = status
        self.field: str | None = problem.get("field")
        self.errors: list[Document] = problem.get("errors") or []
        self.payment_id: str | None = problem.get("payment_id")
        self.retry_after = retry_after


AWAY = (aiohttp.ClientError, OSError, TimeoutError)
"""What a call raises when payproof cannot be reached, or does not answer in time."""


class Payproof:
    """`url` is where the API is reached, without `/v1`; every method raises Refused, or one of AWAY."""

    def __init__(self, http: aiohttp.ClientSession, url: str, key: str) -> None:
        self._http, self._url = http, url.rstrip("/")
        self._key = {"Authorization": f"Bearer {key}"}

    async def open(self, request: Mapping[str, Any], idempotency_key: str | None = None) -> Document:
        return await self._call("POST", "/v1/payments", request, _keyed(idempotency_key))

    async def track(self, checkout: Mapping[str, Any], idempotency_key: str | None = None) -> Document:
        """Register a payment whose checkout the shop opened itself, under the gateway's `session_id`."""
        return await self._call("POST", "/v1/payments/track", checkout, _keyed(idempotency_key))

    async def payment(self, payment_id: str) -> Document:
        return await self._call("GET", f"/v1/payments/{payment_id}")

    async def timeline(self, payment_id: str) -> list[Document]:
        entries: list[Document] = (await self._call("GET", f"/v1/payments/{payment_id}/timeline"))["entries"]
        return entries

    async def verify(self, payment_id: str) -> Document:
        """Have the gateway asked at once; an event reports a change."""
        return await self._call("POST", f"/v1/payments/{payment_id}/verify")

    async def resolve(self, payment_id: str, **decision: str | int) -> Document:
        """Decide on a held payment: `status`, `actor`, `reason`, and the `version` that the person looked at."""
        return await self._call("POST", f"/v1/payments/{payment_id}/resolve", decision)

    async def events(self, after: str | None, limit: int = 1000) -> bytes:
        """The page as it came, so that the bytes of each event can be compared."""
        query = f"?limit={limit}" + (f"&after={after}" if after else "")
        return await self._bytes("GET", f"/v1/events{query}")

    async def _call(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, headers: Mapping[str, str] | None = None
    ) -> Document:
        answer: Document = msgspec.json.decode(await self._bytes(method, path, body, headers))
        return answer

    async def _bytes(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, headers: Mapping[str, str] | None = None
    ) -> bytes:
        timeout = aiohttp.ClientTimeout(total=SECONDS)
        async with self._http.request(
            method, self._url + path, json=body, headers={**self._key, **(headers or {})}, timeout=timeout
        ) as response:
            content = await response.read()
            if response.status >= 400:
                raise Refused(response.status, _problem(content), _seconds(response.headers.get("Retry-After")))
            return content


def _problem(content: bytes) -> Document:
    """The problem of an answer; nothing where a proxy in between answered in its own words."""
    try:
        problem = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return problem if isinstance(problem, dict) else {}


def _seconds(written: str | None) -> float | None:
    return float(written) if written is not None and written.isascii() and written.isdigit() else None


def _keyed(idempotency_key: str | None) -> dict[str, str]:
    return {} if idempotency_key is None else {"Idempotency-Key": idempotency_key}
