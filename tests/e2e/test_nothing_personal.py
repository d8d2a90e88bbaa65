"""Nothing personal in logs and metrics: a buyer's data and a person's secrets pass through the whole service."""

from __future__ import annotations

import time
from collections.abc import Iterator
from urllib.parse import quote

import aiohttp
import pytest
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP

from tests.consoles import PASSWORD, Signed, totp_key
from tests.e2e.buyers import WEBHOOK_SECRET, Payproof
from tests.e2e.conftest import SETTINGS
from tests.e2e.test_decided_by_two import OF_OPERATORS
from tests.harness import Child, System, free_ports, staged
from tests.processes import directory, until
from worker.runtime.encryption import new_archive_key

NAME, PHONE, EMAIL = "Rokeya Sakhawat", "01798765432", "rokeya.private@example.org"
GUESSED = "a password typed as a name"
KEPT = """
[archive]
keys = ["{}"]

[contacts]
keys = ["{}"]
"""


class Installed:
    """The service of all roles, with the console on a port of its own, beside the sandbox with the shop."""

    def __init__(self, system: System) -> None:
        (port,) = free_ports(1)
        self.system, self.console_url = system, f"http://127.0.0.1:{port}"
        system.settings["PAYPROOF_CONSOLE_LISTEN"] = f"127.0.0.1:{port}"
        log = system.place / "payproof.log"
        system.service = Child("payproof", "worker.cli", "serve", log=log, settings=system.settings)

    def told(self) -> str:
        """The service's log. The gateways and the shop of the sandbox are not ours: they may tell what they get."""
        return (self.system.place / "payproof.log").read_text()


@pytest.fixture(scope="module")
def installed() -> Iterator[Installed]:
    with directory() as place:
        keys = KEPT.format(new_archive_key(), new_archive_key())
        system = System(place, settings=SETTINGS + keys + OF_OPERATORS, secret=WEBHOOK_SECRET)
        made = Installed(system)
        system.start()
        try:
            yield made
        finally:
            system.stop()


async def signs_in(installed: Installed, name: str) -> Signed:
    code = TOTP(totp_key(name), 6, SHA1(), 30, enforce_key_length=False).generate(int(time.time())).decode()
    signed = Signed(installed.console_url)
    answer = await signed.post("/sign-in", {"name": name, "password": PASSWORD, "code": code, "next": "/"})
    assert answer.status == 303
    return signed


async def test_nothing_of_a_buyer_or_an_operator_is_in_a_log_or_in_metrics(installed: Installed) -> None:
    system = installed.system
    async with staged(system) as stage:
        payproof = Payproof(system, stage)
        customer = {"name": NAME, "phone": PHONE, "email": EMAIL}
        buyer = await payproof.opened("ipay", customer=customer)
        payment_id = buyer.payment["payment_id"]
        await payproof.call(
            "GET", f"{buyer.forged()}?cus_phone={PHONE}&cus_email={quote(EMAIL)}&cus_name={quote(NAME)}"
        )
        await payproof.taken(payment_id, 1)
        (claim,) = await payproof.claims(payment_id)
        for text in (PHONE, EMAIL):
            assert (await payproof.shop_calls("GET", f"/v1/payments?q={quote(text)}")).status == 200
        await payproof.shop_calls("GET", f"/v1/payments?q={PHONE}&limit=wrong")
        await Signed(installed.console_url).post(
            "/sign-in", {"name": GUESSED, "password": "another secret", "code": "123456", "next": "/"}
        )
        aziz = await signs_in(installed, "aziz")
        for text in (PHONE, EMAIL):
            answer = await aziz.post("/find", {"q": text})
            assert answer.location == f"/payments/{payment_id}"
            await aziz.get(f"/find?q={quote(text)}")
            await aziz.get(f"/payments?q={quote(text)}")
        there = f"/payments/{payment_id}/callback"
        shown = await aziz.post(there, {"claim": claim["claim_id"], "confirm": PASSWORD})
        assert PHONE in shown.text
        assert NAME in shown.text
        abida = await signs_in(installed, "abida")
        await abida.post(f"/payments/{payment_id}/notes", {"note": f"call {PHONE}"})
        await abida.get(f"/payments/{payment_id}")
        async with aiohttp.ClientSession() as http, http.get(f"{system.ops_url}/metrics") as answered:
            metrics = await answered.text()
        assert 'payproof_console_sign_ins_total{outcome="unknown_name"} 1.0' in metrics
        await until(lambda: '"operator.signed_in"' in installed.told(), what="the log is written")
        never = (
            NAME,
            PHONE,
            PHONE.removeprefix("0"),
            EMAIL,
            quote(EMAIL),
            "rokeya",
            GUESSED,
            "another secret",
            PASSWORD,
        )
        for place, text in (("a log", installed.told()), ("the metrics", metrics)):
            for one in (*never, aziz.token, abida.token):
                assert one.lower() not in text.lower(), f"{one} is in {place}"
