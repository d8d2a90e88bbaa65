"""Whether an account's gateway is a payproof sandbox, checked before the first checkout is opened and after it.

Our configuration names the sandbox, but the service that opens the payments may have another configuration. So the
first checkout must be found in the sandbox's own books before a second is opened.
"""

from __future__ import annotations

import re
from typing import Any

import aiohttp
import msgspec

from consumers.account import Account
from worker.playground.demo.control import Control
from worker.playground.sandbox.control.control_openapi import DOCUMENT, document
from worker.playground.shop.client import AWAY, Document

SECONDS = 10.0
TITLE = document((), "")["info"]["title"]


class NotASandbox(Exception):
    """The gateway is no proven sandbox, so nothing may be sent there. The message says why."""


async def sandbox_of(http: aiohttp.ClientSession, account: Account) -> Control:
    """The control API of the sandbox that is this account's gateway. Raises NotASandbox.

    A gateway that is no sandbox is asked for one page at most, without any credential.
    """
    base, name = account.provider.base_url.rstrip("/"), account.provider.name
    refused = f"{account.id}: the gateway at {base} is no payproof sandbox"
    root = root_of(account)
    if root is None:
        raise NotASandbox(f"{refused}: /{name} is no part of its address")
    timeout = aiohttp.ClientTimeout(total=SECONDS)
    try:
        async with http.get(root + DOCUMENT, allow_redirects=False, timeout=timeout) as response:
            answered = f"GET {DOCUMENT} was answered with HTTP {response.status}"
            described = _described(await response.read()) if response.status == 200 else None
    except AWAY as error:
        raise NotASandbox(f"{account.id}: no sandbox answers at {root} ({type(error).__name__})") from None
    if described != TITLE:
        raise NotASandbox(f"{refused}: {answered}, not with its control API")
    return Control(http, root)


def root_of(account: Account) -> str | None:
    """The address that a sandbox with this account's gateway would have; None where there can be none."""
    found = re.fullmatch(f"(https?://.+)/{account.provider.name}(/.*)?", account.provider.base_url)
    return None if found is None else found[1]


async def opened_there(control: Control, account: Account, payment: Document) -> None:
    """Check that this payment's checkout is in the sandbox's books. Raises NotASandbox, ControlError or one of AWAY."""
    session = await control.session(account.provider.name, payment["reference"])
    if session is None or session["session_id"] != payment["session_id"]:
        raise NotASandbox(
            f"{account.id}: the service opened {payment['payment_id']} elsewhere than at the sandbox at "
            f"{account.provider.base_url}, so its configuration is another; nothing more was sent"
        )


def _described(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)["info"]["title"]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, LookupError, TypeError):
        return None
