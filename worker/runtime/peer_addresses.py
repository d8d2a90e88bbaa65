"""The address of a connection's other end, and the key under which connections and requests of a sender are counted."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

IpAddress = IPv4Address | IPv6Address
IpNetwork = IPv4Network | IPv6Network

SIXTY_FOUR = 64  # a host with an IPv6 address can use every address of its /64


@lru_cache(1_000)
def read_address(text: str) -> IpAddress | None:
    """An address as proxies write it: `203.0.113.7`, `203.0.113.7:4711`, `2001:db8::1`, `[2001:db8::1]:4711`."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def sender_key(address: IpAddress) -> str:
    """The key of a sender: its IPv4 address, or the /64 of its IPv6 address."""
    if isinstance(address, IPv6Address):
        return str(ip_network((address, SIXTY_FOUR), strict=False))
    return str(address)


def is_in(address: IpAddress, networks: Iterable[IpNetwork]) -> bool:
    return any(address in network for network in networks)
