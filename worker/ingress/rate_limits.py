"""How much one address, and claims about one payment, may send to the public endpoints.

`X-Forwarded-For` is used only as far as trusted proxies have written it. Requests from loopback without a forwarded
address are never limited: they come from a local proxy or a test. Mobile carriers put many buyers behind one address,
so the limit is far above a shop's busiest minute.

Against a sender with many addresses, unsigned claims are limited by payment. A few of them are enough to make us ask as
often as the rules allow. Further claims have low priority, so other claims do not queue behind them. After a thousand,
or while ingress is overloaded, they are rejected.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from aiohttp import web

from consumers.pacing import TokenBucket

IpAddress = IPv4Address | IPv6Address
IpNetwork = IPv4Network | IPv6Network

REMEMBERED = 100_000
"""How many keys are remembered. The key that was used longest ago is forgotten, and starts with a full bucket."""

SIXTY_FOUR = 64  # a host with an IPv6 address can use every address of its /64


class TokenBuckets:
    """A token bucket for each key, with `burst` tokens, refilled by `per_second`. `clock` is monotonic, in seconds."""

    def __init__(self, burst: float, per_second: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._bucket, self._clock = TokenBucket(burst, per_second), clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key: str) -> bool:
        """Take a token of this key. False if there is none."""
        now = self._clock()
        left, at = self._left.pop(key, (self._bucket.burst, now))
        left = self._bucket.refill(left, now - at)
        allowed = left >= 1
        self._left[key] = (left - allowed, now)
        if len(self._left) > REMEMBERED:
            self._left.popitem(last=False)
        return allowed

    def __len__(self) -> int:
        return len(self._left)


class RateLimits:
    """Limits requests by address, and unsigned claims by the payment that they are about.

    Claims about an unknown payment count by their strongest id. `unsigned_normal` bounds how many unsigned claims about
    a payment have normal priority, and `payments` how many more are published at all.
    """

    def __init__(self, trusted: Sequence[IpNetwork] = (), clock: Callable[[], float] = time.monotonic) -> None:
        self._trusted = tuple(trusted)
        self.addresses = TokenBuckets(burst=200, per_second=20, clock=clock)
        self.payments = TokenBuckets(burst=1000, per_second=1, clock=clock)
        self.unsigned_normal = TokenBuckets(burst=4, per_second=0.1, clock=clock)

    def allows(self, request: web.Request) -> bool:
        """Count one request of its sender's address. False if the address is over its limit."""
        sender = self.sender(request)
        return sender is None or self.addresses.take(sender)

    def sender(self, request: web.Request) -> str | None:
        """The address that limits count, of IPv6 its /64; None for a request that no limit counts."""
        address = self.client(request)
        return None if address is None or address.is_loopback else _key(address)

    def client(self, request: web.Request) -> IpAddress | None:
        """The sender's address: the nearest address that is not a trusted proxy. None if the connection has none."""
        address = _read(request.remote or "")
        forwarded = ",".join(request.headers.getall("X-Forwarded-For", ())).split(",")
        while address is not None and self._trusts(address) and forwarded:
            named = _read(forwarded.pop())
            if named is None:
                break
            address = named
        return address

    def _trusts(self, address: IpAddress) -> bool:
        return any(address in network for network in self._trusted)


@lru_cache(1_000)
def _read(text: str) -> IpAddress | None:
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


def _key(address: IpAddress) -> str:
    if isinstance(address, IPv6Address):
        return str(ip_network((address, SIXTY_FOUR), strict=False))
    return str(address)
