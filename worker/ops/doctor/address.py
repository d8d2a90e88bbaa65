"""Whether gateways and buyers can likely reach us at PAYPROOF_PUBLIC_URL. From here that can only be guessed.

Where every gateway is on this machine, as when a shop tries payproof out, our address may be on this machine too.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from urllib.parse import urlsplit

from worker.config import Config
from worker.config.url_parts import is_loopback
from worker.ops.doctor.findings import Finding

SUBJECT = "PAYPROOF_PUBLIC_URL"
LOOKUP_SECONDS = 5.0
_PUBLIC = "set it to the https address under which the internet reaches this machine or the proxy before it"


async def public_url(config: Config) -> Finding:
    """Judge the address by its host name, its scheme and the addresses that the name resolves to here."""
    url = config.settings.public_url
    if all(is_loopback(urlsplit(one.provider.base_url).hostname or "") for one in config.accounts):
        return Finding("ok", SUBJECT, f"{url}: gateways and buyers reach us there, as all are on this machine")
    parts = urlsplit(url)
    host = parts.hostname or ""
    if why := named_locally(host) or not_public(host):
        return Finding("no", SUBJECT, f"{url}: gateways and buyers elsewhere cannot reach it, because {why}", _PUBLIC)
    found = await _addresses(host)
    if not found:
        return Finding("no", SUBJECT, f"{url}: the name {host} is not known here", "check the name and its DNS entry")
    if parts.scheme != "https":
        words = f"{url}: gateways and buyers elsewhere cannot reach it by https, and callbacks travel open"
        return Finding("no", SUBJECT, words, _PUBLIC)
    if whys := [why for one in found if (why := not_public(one))]:
        words = f"{url}: seen from here {whys[0]}; well only if the internet sees another address for this name"
        return Finding("!!", SUBJECT, words, "open it in a browser on a phone without wifi")
    return Finding("ok", SUBJECT, f"{url}: gateways and buyers reach us there, as far as can be told from here")


def named_locally(host: str) -> str | None:
    """Why a name means nothing on other machines; None where it does."""
    if is_loopback(host):
        return "it is this machine's own (loopback)"
    try:
        ipaddress.ip_address(host)
    except ValueError:
        local = "." not in host or host.endswith((".local", ".internal", ".lan", ".home.arpa"))
        return f"the name {host} is known only in your own network" if local else None
    return None


def not_public(address: str) -> str | None:
    """Why an address cannot be reached from the internet. None where it can, and for text that is no address."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return None
    if parsed.is_loopback or parsed.is_unspecified:
        return f"{address} is this machine's own (loopback)"
    if parsed.is_link_local:
        return f"{address} reaches only the next cable (link-local)"
    return None if parsed.is_global else f"{address} is a private address"


async def _addresses(host: str) -> list[str]:
    try:
        async with asyncio.timeout(LOOKUP_SECONDS):
            found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, TimeoutError, UnicodeError):
        return []
    return sorted({str(address[0]) for *_, address in found})
