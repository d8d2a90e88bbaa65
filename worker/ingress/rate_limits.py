"""How much one address, and claims about one payment, may send to the public endpoints.

`X-Forwarded-For` is used only as far as trusted proxies have written it. Requests from loopback without a forwarded
address are never limited: they come from a local proxy or a test. Mobile carriers put many buyers behind one address,
so the limit is far above a shop's busiest minute.

Against a sender with many addresses, unsigned claims are limited by payment. A few of them are enough to make us ask as
often as the rules allow. Further claims have low priority, so other claims do not queue behind them. After a thousand,
or while ingress is overloaded, they are rejected.

Wrong API keys are limited by address too. The key is looked at first, so a right one is never limited.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence

from aiohttp import web

from consumers.pacing import TokenBucket
from worker.runtime.peer_addresses import IpAddress, IpNetwork, is_in, read_address, sender_key

REMEMBERED = 100_000
"""How many keys are remembered. The key that was used longest ago is forgotten, and starts with a full bucket."""

WRONG_KEY_SECONDS = 10.0
"""An address that sent many wrong API keys may send one more in this time."""


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
        self._forget_full(now)
        return allowed

    def _forget_full(self, now: float) -> None:
        """Forget the buckets that were used longest ago and are full again, as a new bucket is; two at a time."""
        for _ in range(2):
            key = next(iter(self._left))
            left, at = self._left[key]
            if self._bucket.refill(left, now - at) < self._bucket.burst:
                return
            del self._left[key]

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
        self.wrong_keys = TokenBuckets(burst=20, per_second=1 / WRONG_KEY_SECONDS, clock=clock)

    def allows(self, request: web.Request) -> bool:
        """Count one request of its sender's address. False if the address is over its limit."""
        sender = self.sender(request)
        return sender is None or self.addresses.take(sender)

    def wrong_key_wait(self, request: web.Request) -> float | None:
        """Count one wrong API key of its sender's address. The seconds to wait if the address is over its limit."""
        sender = self.sender(request)
        return None if sender is None or self.wrong_keys.take(sender) else WRONG_KEY_SECONDS

    def sender(self, request: web.Request) -> str | None:
        """The address that limits count, of IPv6 its /64; None for a request that no limit counts."""
        address = self.client(request)
        return None if address is None or address.is_loopback else sender_key(address)

    def address(self, request: web.Request) -> str | None:
        """The sender's address as text, behind trusted proxies."""
        client = self.client(request)
        return None if client is None else str(client)

    def client(self, request: web.Request) -> IpAddress | None:
        """The sender's address: the nearest address that is not a trusted proxy. None if the connection has none."""
        address = read_address(request.remote or "")
        forwarded = ",".join(request.headers.getall("X-Forwarded-For", ())).split(",")
        while address is not None and is_in(address, self._trusted) and forwarded:
            named = read_address(forwarded.pop())
            if named is None:
                break
            address = named
        return address
