"""The console of the shipped process: on a listener of its own, and its operators are read anew on SIGHUP."""

from __future__ import annotations

import asyncio
import base64
import os
import signal
import ssl
import time
from collections.abc import Iterator

import aiohttp
import pytest
import trustme
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP

from tests.consoles import PASSWORD, Signed, password_hash, totp_key
from tests.harness import READY_SECONDS, Child, System, free_ports
from tests.oidc_provider import CLIENT, CLIENT_SECRET, Browser, TestProvider, provider_running
from tests.processes import directory, loud, until
from tests.tls import authority

OPERATOR = """
[[console.operators]]
name = "{name}"
role = "viewer"
password = "{password}"
totp = "{totp}"
"""


def operator_lines(name: str) -> str:
    totp = base64.b32encode(totp_key(name)).decode()
    return OPERATOR.format(name=name, password=password_hash(name), totp=totp)


PROVIDER = """
[console.oidc]
issuer = "{issuer}"
client_id = "{client}"
client_secret = "{secret}"
[[console.operators]]
name = "abida@shop.example"
role = "viewer"
"""
ALONE = '[console]\nsecond_person_from = "never"\n'


class Installed:
    """A process of all roles with one operator, on ports of its own."""

    def __init__(self, system: System) -> None:
        (port,) = free_ports(1)
        self.system, self.url = system, f"http://127.0.0.1:{port}"
        system.configure()
        self.rest = system.config.read_text()
        self.configure("vera")
        self.tls = authority(system.place)
        own = {"PAYPROOF_CONSOLE_LISTEN": f"127.0.0.1:{port}", "SSL_CERT_FILE": str(self.tls.authority)}
        settings = system.settings | own
        self.child = Child("all", "worker.cli", "serve", log=system.place / "all.log", settings=settings)

    def configure(self, *names: str, more: str = "") -> None:
        head, _, merchants = self.rest.partition("[[merchants]]")
        lines = "".join(operator_lines(name) for name in names) + more
        self.system.config.write_text(f"{head}{ALONE}{lines}\n[[merchants]]{merchants}")


@pytest.fixture(scope="module")
def installed() -> Iterator[Installed]:
    with directory() as place:
        made = Installed(System(place))
        try:
            made.child.start()
            made.child.wait_for(f"{made.system.ops_url}/readyz", seconds=READY_SECONDS)
            yield made
        finally:
            made.child.stop()
            made.system.stop()


async def signs_in(installed: Installed, name: str) -> Signed:
    code = TOTP(totp_key(name), 6, SHA1(), 30, enforce_key_length=False)
    signed = Signed(installed.url)
    fields = {"name": name, "password": PASSWORD, "code": code.generate(int(time.time())).decode(), "next": "/"}
    assert (await signed.post("/sign-in", fields)).status == 303
    return signed


async def test_the_console_is_on_its_own_listener_and_operators_are_read_anew_on_sighup(installed: Installed) -> None:
    assert f'"console":"{installed.url.removeprefix("http://")}"' in installed.child.log.read_text()
    vera = await signs_in(installed, "vera")
    assert "Now" in (await vera.get("/")).text
    async with aiohttp.ClientSession() as http:
        for elsewhere in (installed.system.url, installed.system.ops_url):
            async with http.get(f"{elsewhere}/sign-in", headers={"Cookie": f"__Host-payproof={vera.token}"}) as answer:
                assert answer.status == 404, elsewhere
    log = installed.child.log
    installed.configure("omar")
    os.kill(installed.child.pid, signal.SIGHUP)
    await until(lambda: '"operators.read"' in log.read_text(), what="the operators are read anew")
    assert (await vera.get("/")).status == 303
    omar = await signs_in(installed, "omar")
    installed.configure()
    installed.system.config.write_text("no toml [")
    os.kill(installed.child.pid, signal.SIGHUP)
    await until(lambda: '"operators.not_read"' in log.read_text(), what="the configuration is refused")
    assert "`payproof doctor` says what is wrong" in log.read_text()
    assert (await omar.get("/")).status == 200, "the operators stay as they were"
    assert installed.child.running
    said = log.read_text()
    for never in (PASSWORD, omar.token, vera.token, "argon2id"):
        assert never not in said
    assert [line for line in loud(said) if "operators.not_read" not in str(line)] == []


async def test_people_sign_in_at_a_provider_over_tls_that_sighup_brought(installed: Installed) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(installed.tls.certificate, installed.tls.key)
    stranger = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("localhost").configure_cert(stranger)
    async with provider_running(context) as provider, provider_running(stranger) as other:
        await by(installed, provider)
        browser = Browser(installed.url)
        assert (await browser.sign_in(provider)).status == 303
        assert "abida@shop.example" in (await browser.get("/session")).text
        await by(installed, other)
        answer = await Browser(installed.url).get("/sign-in/oidc")
        assert answer.status == 503, "nobody we trust says that it is the provider"
        assert not other.calls
    said = installed.child.log.read_text()
    assert "discovery: no connection" in said
    assert "Authlib" not in said
    assert CLIENT_SECRET not in said


async def by(installed: Installed, provider: TestProvider) -> None:
    """Have people sign in at this provider from now on."""
    log = installed.child.log
    before = log.read_text().count('"operators.read"')
    installed.configure(more=PROVIDER.format(issuer=provider.url, client=CLIENT, secret=CLIENT_SECRET))
    os.kill(installed.child.pid, signal.SIGHUP)
    await until(lambda: log.read_text().count('"operators.read"') > before, what="the provider is read")


async def test_without_operators_a_process_of_all_roles_has_no_console() -> None:
    """Chosen by name it is served, and says how to add them. SIGHUP ends no process, and asks for a restart."""
    with directory() as place:
        system = System(place)
        system.configure()
        (port,) = free_ports(1)
        settings = system.settings | {"PAYPROOF_CONSOLE_LISTEN": f"127.0.0.1:{port}"}
        for roles, served in (((), False), (("--roles=console",), True)):
            child = Child("one", "worker.cli", "serve", *roles, log=place / "one.log", settings=settings)
            try:
                child.start()
                child.wait_for(f"{system.ops_url}/readyz", seconds=READY_SECONDS)
                nobody = Signed(f"http://127.0.0.1:{port}")
                if served:
                    assert "payproof operator" in (await nobody.get("/sign-in")).text
                else:
                    with pytest.raises(aiohttp.ClientConnectorError):
                        await nobody.get("/sign-in")
                    os.kill(child.pid, signal.SIGHUP)
                    await until(lambda: "restart it" in child.log.read_text(), what="SIGHUP ends no process")  # noqa: B023
                    assert child.running
            finally:
                await asyncio.to_thread(child.stop)
        system.stop()
