"""A waiting buyer's browser that looks again: since when it waits, and how long its request may wait.

The browser may send any values. A forged beginning only shortens the wait, and no request waits longer than
`return_wait`.
"""

from __future__ import annotations

import re

from aiohttp import web

from worker.ingress.pages.language import chosen

LOOK_AGAIN_SECONDS = 3
GO_ON_SECONDS = 600  # after which a buyer is sent on without an outcome
_SINCE = re.compile(r"[0-9]{1,12}", re.ASCII)
_WAIT = re.compile(r'(?:^|,)\s*wait\s*=\s*"?([0-9]{1,5})"?\s*(?=[,;]|$)', re.ASCII | re.IGNORECASE)


def since(request: web.Request, now: float) -> float:
    """When this buyer began to wait, in Unix time, from the query of the confirming page; `now` if it is missing."""
    said = request.query.get("since", "")
    return min(float(said), now) if _SINCE.fullmatch(said) else now


def seconds_to_wait(request: web.Request, at_most: float) -> float:
    """How many seconds the browser would wait for an outcome (`Prefer: wait=`, RFC 7240), `at_most`; 0 by default."""
    found = _WAIT.search(",".join(request.headers.getall("Prefer", ())))
    return min(float(found[1]), at_most) if found else 0.0


def waiting_path(account: str, payment_id: str, began: float) -> str:
    """The path at which the browser looks again, with `since`. A request to it publishes no claim."""
    return f"/return/{account}/{payment_id}/wait?since={int(began)}"


def in_language(request: web.Request, path: str) -> str:
    """The path, which has a query, with the language that the buyer chose, because there is no cookie for it."""
    language = chosen(request.query.get("lang"))
    return path if language is None else f"{path}&lang={language}"
