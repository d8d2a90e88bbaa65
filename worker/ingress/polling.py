"""What a buyer's browser that looks again says of its waiting: since when, and how long its request may wait.

The one thing to get wrong: it may say anything. A forged beginning only shortens the wait, and nobody waits for
longer than `return_wait`.
"""

from __future__ import annotations

import re

from aiohttp import web

from worker.ingress.pages.language import chosen

LOOK_AGAIN_SECONDS = 3
GO_ON_SECONDS = 600
_SINCE = re.compile(r"[0-9]{1,12}", re.ASCII)
_WAIT = re.compile(r'(?:^|,)\s*wait\s*=\s*"?([0-9]{1,5})"?\s*(?=[,;]|$)', re.ASCII | re.IGNORECASE)


def since(request: web.Request, now: float) -> float:
    """When this buyer began to wait, in Unix time, as the confirming page carries it along."""
    said = request.query.get("since", "")
    return min(float(said), now) if _SINCE.fullmatch(said) else now


def seconds_to_wait(request: web.Request, at_most: float) -> float:
    """How long the browser would wait for an outcome (`Prefer: wait=`, RFC 7240); 0 where it does not say."""
    found = _WAIT.search(",".join(request.headers.getall("Prefer", ())))
    return min(float(found[1]), at_most) if found else 0.0


def waiting_path(account: str, payment_id: str, began: float) -> str:
    """Where to look again. It publishes no claim."""
    return f"/return/{account}/{payment_id}/wait?since={int(began)}"


def in_language(request: web.Request, path: str) -> str:
    """The path with the language that was chosen, which is carried along as there is no cookie."""
    language = chosen(request.query.get("lang"))
    return path if language is None else f"{path}&lang={language}"
