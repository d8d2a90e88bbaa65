"""From which address a request comes, and how much one address may send."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from aiohttp.test_utils import make_mocked_request

from worker.ingress import rate_limits as limits
from worker.ingress.rate_limits import RateLimits

BURST, PER_SECOND = 200, 20
PROXIES = (ip_network("10.0.0.0/8"), ip_network("127.0.0.1/32"), ip_network("fd00::/8"))


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Transport:
    """The transport that aiohttp asks for the peer's address."""

    def __init__(self, peer: str) -> None:
        self._peer = peer

    def get_extra_info(self, name: str, default: object = None) -> object:
        return (self._peer, 4711) if name == "peername" else default

    def is_closing(self) -> bool:
        return False


def hit(peer: str, *forwarded: str):
    headers = [("X-Forwarded-For", value) for value in forwarded]
    from multidict import CIMultiDict

    return make_mocked_request("GET", "/return/a/b", headers=CIMultiDict(headers), transport=Transport(peer))


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("203.0.113.7", (), "203.0.113.7"),
        ("203.0.113.7", ("198.51.100.1",), "203.0.113.7"),
        ("10.0.0.2", ("198.51.100.1",), "198.51.100.1"),
        ("10.0.0.2", ("6.6.6.6, 198.51.100.1",), "198.51.100.1"),
        ("10.0.0.2", ("6.6.6.6, 198.51.100.1, 10.9.9.9",), "198.51.100.1"),
        ("10.0.0.2", ("6.6.6.6", "198.51.100.1"), "198.51.100.1"),
        ("10.0.0.2", ("198.51.100.1:8080",), "198.51.100.1"),
        ("10.0.0.2", ("[2001:db8::1]:8080",), "2001:db8::1"),
        ("10.0.0.2", ("unknown",), "10.0.0.2"),
        ("10.0.0.2", ("",), "10.0.0.2"),
        ("10.0.0.2", ("198.51.100.1, nonsense",), "10.0.0.2"),
        ("::ffff:10.0.0.2", ("198.51.100.1",), "198.51.100.1"),
        ("fd00::1", ("2001:db8::1",), "2001:db8::1"),
    ],
)
def test_an_address_is_believed_as_far_as_trusted_proxies_wrote_it(
    peer: str, forwarded: tuple[str, ...], client: str
) -> None:
    assert str(RateLimits(PROXIES).client(hit(peer, *forwarded))) == client


def test_without_trusted_proxies_nobody_is_believed() -> None:
    assert str(RateLimits().client(hit("10.0.0.2", "198.51.100.1"))) == "10.0.0.2"


def test_an_address_may_send_a_burst_and_then_so_much_a_second() -> None:
    clock = Clock()
    counted = RateLimits(clock=clock)
    assert sum(counted.allows(hit("203.0.113.7")) for _ in range(BURST + 50)) == BURST
    clock.now += 1
    assert sum(counted.allows(hit("203.0.113.7")) for _ in range(100)) == PER_SECOND
    assert counted.allows(hit("203.0.113.8"))


def test_our_own_machine_is_a_proxy_or_a_test_and_is_not_limited() -> None:
    counted = RateLimits(clock=Clock())
    assert all(counted.allows(hit("127.0.0.1")) for _ in range(2 * BURST))
    assert all(counted.allows(hit("::1")) for _ in range(2 * BURST))


def test_whoever_has_an_ipv6_network_has_one_allowance() -> None:
    counted = RateLimits(clock=Clock())
    assert sum(counted.allows(hit(f"2001:db8::{n:x}")) for n in range(BURST + 50)) == BURST


def test_the_memory_of_addresses_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "REMEMBERED", 10)
    counted = RateLimits(clock=Clock())
    for n in range(1000):
        counted.allows(hit(f"203.0.{n // 256}.{n % 256}"))
    assert len(counted.addresses) == 10


def test_so_many_claims_about_one_payment_are_enough() -> None:
    clock = Clock()
    counted = RateLimits(clock=clock)
    assert sum(counted.payments.take("pay_a") for _ in range(2000)) == 1000
    assert counted.payments.take("pay_b")
    clock.now += 5
    assert sum(counted.payments.take("pay_a") for _ in range(1000)) == 5
