"""How many connections a listener holds, how long it waits for their clients, and how much memory they may take.

A connection *waits* while its client is to act: to send a request or the rest of one, or to read an answer. Each wait
has a deadline. A connection whose request we work on has none, so buyers who wait for an outcome are never cut. Where a
limit is reached, the connection that has waited longest is cut for the new one. Honest clients send their request at
once, so they are served while somebody fills the listener.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Literal, Protocol

from msgspec import Struct

from worker.runtime.peer_addresses import IpNetwork, is_in, read_address, sender_key

Reason = Literal["full", "evicted", "slow", "large"]
"""Why a connection was refused or cut: the listener or its address had too many and none of them waited; it gave way to
another; its client let a deadline pass; the head of its request was too large."""

REASONS: tuple[Reason, ...] = ("full", "evicted", "slow", "large")
MOST_CONNECTIONS = 4_000
PART_OF_AN_ADDRESS = 10
"""One address may have a tenth of all connections: many buyers of a mobile carrier share an address."""


class ConnectionLimits(Struct, frozen=True, kw_only=True):
    """The limits of one listener. An idle connection is one that had an answer and sends nothing.

    `held_bytes` bounds the bytes of unfinished requests, over all connections. Connections from `proxies` and from
    loopback, where a local proxy may be, count against the whole alone: their clients are not known before the request.
    `idle_seconds` is longer than proxies keep a connection, so that they close it first. `body_seconds` is longer than
    the handlers' own deadlines, after which they answer 408. The head of a request is measured in pieces, so it may be
    larger than `head_bytes` by one piece.
    """

    most: int = MOST_CONNECTIONS
    proxies: tuple[IpNetwork, ...] = ()
    head_seconds: float = 10.0
    body_seconds: float = 35.0
    idle_seconds: float = 75.0
    write_seconds: float = 30.0
    headers: int = 64
    line_bytes: int = 8 * 1024
    head_bytes: int = 32 * 1024
    held_bytes: int = 16 * 1024 * 1024

    @property
    def most_of_an_address(self) -> int:
        return max(1, self.most // PART_OF_AN_ADDRESS)


class ConnectionCounters(Protocol):
    """Is told of every connection that is opened, closed, and refused or cut."""

    def opened(self) -> None: ...

    def closed(self) -> None: ...

    def refused(self, reason: Reason) -> None: ...


class CanBeCut(Protocol):
    """A connection as its listener's register needs it."""

    def cut(self, reason: Reason) -> None:
        """Close it at once, and discard what was not sent."""


class OpenConnections:
    """The open connections of one listener.

    `sender` gives the key under which a peer's address is counted, None for an address without a limit of its own.
    """

    def __init__(
        self,
        limits: ConnectionLimits,
        counters: ConnectionCounters | None = None,
        sender: Callable[[str], str | None] | None = None,
    ) -> None:
        self.limits = limits
        self._counters = counters
        self._sender = sender or (lambda address: sender_of(address, limits.proxies))
        self._senders = dict[CanBeCut, str | None]()
        self._by_sender = Counter[str]()
        self._waiting = dict[CanBeCut, None]()  # in the order in which they began to wait
        self._held = dict[CanBeCut, int]()
        self._held_bytes = 0

    def __len__(self) -> int:
        return len(self._senders)

    def admit(self, connection: CanBeCut, address: str) -> bool:
        """Register a new connection. False if there is no place for it; it is then not registered."""
        sender = self._sender(address)
        if sender is not None and self._by_sender[sender] >= self.limits.most_of_an_address:
            if not self._evict(one for one in self._waiting if self._senders[one] == sender):
                self.count("full")
                return False
        elif len(self._senders) >= self.limits.most and not self._evict(iter(self._waiting)):
            self.count("full")
            return False
        self._senders[connection] = sender
        if sender is not None:
            self._by_sender[sender] += 1
        if self._counters is not None:
            self._counters.opened()
        return True

    def leave(self, connection: CanBeCut) -> None:
        """Forget a connection that was closed; does nothing for one that is not registered."""
        if connection not in self._senders:
            return
        sender = self._senders.pop(connection)
        if sender is not None:
            self._by_sender[sender] -= 1
            if not self._by_sender[sender]:
                del self._by_sender[sender]
        self._waiting.pop(connection, None)
        self._held_bytes -= self._held.pop(connection, 0)
        if self._counters is not None:
            self._counters.closed()

    def waits(self, connection: CanBeCut) -> None:
        if connection in self._senders:
            self._waiting.setdefault(connection)

    def works(self, connection: CanBeCut) -> None:
        self._waiting.pop(connection, None)

    def hold(self, connection: CanBeCut, count: int) -> None:
        """Store how many bytes of an unfinished request the connection holds. The oldest give way where it is too much.

        The connection itself may be cut.
        """
        if connection not in self._senders:
            return
        self._held_bytes += count - self._held.get(connection, 0)
        if count:
            self._held[connection] = count
        else:
            self._held.pop(connection, None)
        while self._held_bytes > self.limits.held_bytes:
            if not self._evict(one for one in self._waiting if one in self._held):
                return

    def count(self, reason: Reason) -> None:
        if self._counters is not None:
            self._counters.refused(reason)

    def _evict(self, candidates: Iterator[CanBeCut]) -> bool:
        """Cut the first of these. False if there is none."""
        oldest = next(candidates, None)
        if oldest is None:
            return False
        self.leave(oldest)
        oldest.cut("evicted")
        return True


def sender_of(address: str, proxies: Sequence[IpNetwork] = ()) -> str | None:
    """The key of a peer's address. None for loopback, trusted proxies and what is no address."""
    read = read_address(address)
    return None if read is None or read.is_loopback or is_in(read, proxies) else sender_key(read)
