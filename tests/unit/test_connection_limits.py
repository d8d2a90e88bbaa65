"""Which addresses have a limit of their own."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from worker.runtime.connection_limits import sender_of

PROXIES = (ip_network("10.8.0.0/16"), ip_network("2001:db8:1::/48"))


@pytest.mark.parametrize(
    ("address", "sender"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("2001:db8::1", "2001:db8::/64"),
        ("127.0.0.1", None),
        ("::1", None),
        ("10.8.3.4", None),
        ("::ffff:10.8.3.4", None),
        ("2001:db8:1::9", None),
        ("", None),
    ],
)
def test_an_address_has_a_limit_unless_it_is_a_proxys_or_loopback(address: str, sender: str | None) -> None:
    assert sender_of(address, PROXIES) == sender
