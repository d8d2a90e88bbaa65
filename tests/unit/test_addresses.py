"""Which addresses a webhook may be sent to: those of the public internet, in any notation."""

from __future__ import annotations

import socket
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.runtime.public_addresses import NotPublic, guarded_socket, is_public

INSIDE = (
    "127.0.0.1", "127.255.255.254", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
    "0.0.0.0", "0.1.2.3", "224.0.0.1", "240.0.0.1", "255.255.255.255", "192.0.2.1", "198.18.0.1", "203.0.113.9",
    "::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:a9fe:a9fe", "64:ff9b::127.0.0.1",
    "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "2002:7f00:1::1", "2002:a00:1::", "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "fe80::1", "fe80::1%eth0", "fec0::1", "fc00::1", "fd00:ec2::254", "ff02::1", "2001:db8::1", "100::1",
    "localhost", "", "127.1", "2130706433", "0x7f.0.0.1", "0177.0.0.1",
)  # fmt: skip
OUTSIDE = ("1.1.1.1", "8.8.8.8", "103.4.146.1", "2606:4700:4700::1111", "2404:6800:4009::200e", "64:ff9b::8.8.8.8")
PRIVATE = tuple(map(IPv4Address, ("127.0.0.1", "10.0.0.1", "169.254.169.254", "192.168.0.1", "100.64.1.1", "0.0.0.0")))


@pytest.mark.parametrize("address", INSIDE)
def test_an_address_inside_is_refused(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", OUTSIDE)
def test_an_address_of_the_public_internet_is_taken(address: str) -> None:
    assert is_public(address)


@given(inside=st.sampled_from(PRIVATE), rest=st.integers(0, 2**80 - 1))
def test_a_private_address_inside_an_ipv6_one_is_refused(inside: IPv4Address, rest: int) -> None:
    for address in (
        (0xFFFF << 32) | int(inside),
        int(inside),
        (0x64FF9B << 96) | int(inside),
        (0x2002 << 112) | (int(inside) << 80) | rest,
    ):
        assert not is_public(str(IPv6Address(address)))


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "::ffff:10.0.0.1"])
def test_no_socket_is_made_for_what_is_refused(address: str) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with pytest.raises(NotPublic):
        guarded_socket(is_public)((family, socket.SOCK_STREAM, 6, "", (address, 443)))


def test_a_socket_is_made_for_a_public_address() -> None:
    with guarded_socket(is_public)((socket.AF_INET, socket.SOCK_STREAM, 6, "", ("8.8.8.8", 443))) as made:
        assert made.family == socket.AF_INET
