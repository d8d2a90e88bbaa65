"""How much one address may send to the public endpoints, and whose address it is.

The one thing to get wrong: believing `X-Forwarded-For`. Anyone may write it, so it counts only as far as it was written
by proxies that the configuration trusts; and an address of our own machine is a proxy's or a test's, never a buyer's,
so without such a name behind it it is not limited at all. Mobile carriers put many buyers behind one address: the limit
stops floods, and no shop's busiest minute.

Whoever has many addresses meets the other bounds: a few unsigned claims about one payment are enough to make us look
as often as the rules allow. So a claim that repeats them has low priority, and no other claim queues behind it; after a
thousand, or while ingress is overloaded, it is not queued at all.
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
"""So many keys are remembered; the one heard of longest ago is forgotten, and begins anew."""

SIXTY_FOUR = 64  # whoever has an IPv6 address has as many as there are in its /64


class TokenBuckets:
    """For each key a token bucket of its own. `clock` is monotonic, in seconds."""

    def __init__(self, burst: float, per_second: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._bucket, self._clock = TokenBucket(burst, per_second), clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key: str) -> bool:
        """Whether there is one more for this key; then it is taken."""
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
    """Counts what strangers send: by address, and unsigned claims by the payment that they are about.

    Those about no payment that is here count by what they name. `payments` bounds how many of all these are kept,
    `unsigned_normal` how many have the normal priority.
    """

    def __init__(self, trusted: Sequence[IpNetwork] = (), clock: Callable[[], float] = time.monotonic) -> None:
        self._trusted = tuple(trusted)
        self.addresses = TokenBuckets(burst=200, per_second=20, clock=clock)
        self.payments = TokenBuckets(burst=1000, per_second=1, clock=clock)
        self.unsigned_normal = TokenBuckets(burst=4, per_second=0.1, clock=clock)

    def allows(self, request: web.Request) -> bool:
        """Count one hit of whoever sent this; False when that is too many."""
        address = self.client(request)
        if address is None or address.is_loopback:
            return True
        return self.addresses.take(_key(address))

    def client(self, request: web.Request) -> IpAddress | None:
        """The nearest address that no trusted proxy of ours has; None where the connection has none."""
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
