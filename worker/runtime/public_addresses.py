"""Which addresses a URL that we call may lead to: public ones, checked at the moment of connecting.

A URL of the configuration, or of a stranger's message, may lead inside: a name may resolve to the database's host or to
a cloud's metadata, and may resolve otherwise a second after it was checked. So the socket itself is guarded. None is
made for an address that is not public, whether it came from a name, a literal or a cache.

IPv4 addresses hide in five kinds of IPv6 addresses, so those are checked too.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.connector import AddrInfoType

RESOLVERS = 32
_NAT64 = IPv6Network("64:ff9b::/96")
_COMPATIBLE = IPv6Network("::/96")

Allowed = Callable[[str], bool]


class NotPublic(OSError):
    """The endpoint's name or address leads to a place that is not on the public internet."""


def is_public(text: str) -> bool:
    """Whether this address, and every IPv4 address inside it, is of the public internet.

    False for text that is no address.
    """
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return False
    if address in _NAT64:  # a network without IPv4 reaches that IPv4 address by it
        return is_public(str(IPv4Address(int(address) & 0xFFFFFFFF)))
    return all(
        one.is_global and not (one.is_multicast or one.is_reserved or getattr(one, "is_site_local", False))
        for one in (address, *_inside(address))
    )


def anywhere(_: str) -> bool:
    """For development: every address will do."""
    return True


def guarded_socket(allowed: Allowed) -> Callable[[AddrInfoType], socket.socket]:
    """A function that makes the sockets of a connector. It raises NotPublic for an address that is not allowed."""

    def make(info: AddrInfoType) -> socket.socket:
        family, kind, protocol, _, address = info
        if not allowed(str(address[0])):
            raise NotPublic("not a public address")
        return socket.socket(family, kind, protocol)

    return make


class Resolver(AbstractResolver):
    """Looks names up in threads of its own. So a slow name server does not hold up the look-ups of gateways' names.

    A name with one address that is not allowed is refused as a whole: a name that points inside is not meant well.
    `look_up` is `socket.getaddrinfo` unless a test replaces it.
    """

    def __init__(self, allowed: Allowed, look_up: Callable[..., Any] = socket.getaddrinfo) -> None:
        self._allowed = allowed
        self._look_up = look_up
        self._threads = ThreadPoolExecutor(RESOLVERS, thread_name_prefix="resolving")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        look_up = partial(self._look_up, type=socket.SOCK_STREAM, family=family, flags=socket.AI_ADDRCONFIG)
        found = await asyncio.get_running_loop().run_in_executor(self._threads, look_up, host, port)
        if not all(self._allowed(str(address[0])) for *_, address in found):
            raise NotPublic("not a public address")
        return [
            ResolveResult(
                hostname=host,
                host=str(address[0]),
                port=port,
                family=family,
                proto=protocol,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for family, _, protocol, _, address in found
        ]

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


def _inside(address: IPv4Address | IPv6Address) -> list[IPv4Address]:
    """The IPv4 addresses that an IPv6 one holds: mapped, compatible, 6to4 and Teredo."""
    if isinstance(address, IPv4Address):
        return []
    found = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if address in _COMPATIBLE:
        found.append(IPv4Address(int(address) & 0xFFFFFFFF))
    return [one for one in found if one is not None]
