"""Clients that others wrote, unmodified, from the package registries: create, pay and verify against the sandbox.

Each runs in an environment of its own, made once under `.payproof/clients` and kept until its pins change. Its script
in `tests/clients` knows nothing of this project but the sandbox's address. A client and its version stand in one row of
`CLIENTS`; `did` is what its script must tell.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

from tests.e2e.kept import INSTALL_SECONDS, KEPT, ROOT, RUN_SECONDS, kept
from tests.integration.sandboxes import driving
from worker.playground.sandbox.sandbox_config import SandboxConfig

SCRIPTS = ROOT / "tests" / "clients"


class Client(Struct, frozen=True, kw_only=True):
    """One client. `also` pins packages that it needs; `told` is its script's result besides page and transaction."""

    package: str
    version: str
    provider: str
    script: str
    reference: str
    told: Mapping[str, Any]
    also: tuple[str, ...] = ()

    @property
    def npm(self) -> bool:
        return self.script.endswith(".cjs")

    @property
    def wanted(self) -> tuple[str, ...]:
        return f"{self.package}{'@' if self.npm else '=='}{self.version}", *self.also

    @property
    def place(self) -> Path:
        return KEPT / "clients" / f"{self.package}-{self.version}"


REQUESTS = (
    "requests==2.34.2",
    "urllib3==2.8.0",
    "certifi==2026.10.19.post1",
    "charset-normalizer==3.5.3",
    "idna==3.20",
)
HTTPX = (
    "httpx==0.28.1",
    "httpcore==1.0.9",
    "h11==0.16.0",
    "anyio==4.16.0",
    "certifi==2026.10.19.post1",
    "idna==3.20",
)
CLIENTS = (
    Client(
        package="sslcommerz-client",
        version="0.6.0",
        provider="sslcommerz",
        script="sslcommerz_client_0_6.py",
        reference="client-1",
        # it sends no refund_trans_id, which the gateway demands since 2025
        told={"hash": True, "statuses": ["VALID", "VALIDATED", "VALIDATED"], "amount": "1500.50", "refund": "failed"},
        # from pydantic 2.10 on requests cannot send its URLs
        also=("pydantic==2.9.2", "pydantic-core==2.23.4", *REQUESTS),
    ),
    Client(
        package="sslcommerz-sdk",
        version="1.0.4",
        provider="sslcommerz",
        script="sslcommerz_sdk_1_0.py",
        reference="sdk-1",
        told={
            "hash": True,
            "statuses": ["PROCESSING", "VALID", "VALIDATED", "VALIDATED", "INVALID"],
            "amount": "1500.50",
        },
        also=("marshmallow==4.4.0", *REQUESTS),
    ),
    Client(
        package="bd-payment-gateway",
        version="0.1.5",
        provider="sslcommerz",
        script="bd_payment_gateway_0_1.py",
        reference="rust-1",
        # asked by tran_id it reads no attempts, and takes the reply's APIConnect for the payment's word
        told={"statuses": ["processing", "paid", "paid", "done"], "amount": "1500.50"},
        also=(
            "pydantic==2.14.4",
            "pydantic-core==2.50.5",
            "pydantic-settings==2.16.3",
            "python-dotenv==1.2.4",
            "annotated-types==0.8.0",
            "typing-extensions==4.16.0",
            "typing-inspection==0.4.5",
        ),
    ),
    Client(
        package="jukto",
        version="0.1.0a1",
        provider="sslcommerz",
        script="jukto_0_1.py",
        reference="strict-1",
        told={
            "statuses": ["PROCESSING", "VALID", "VALIDATED", "VALIDATED"],
            "ships": [False, True],
            "refund": ["pending", "refunded"],
        },
        also=HTTPX,
    ),
    Client(
        package="shurjopay-plugin",
        version="0.1.9",
        provider="shurjopay",
        script="shurjopay_plugin_0_1.py",
        reference="plugin-1",
        told={"statuses": ["1000"], "amount": 1500.5},
        also=REQUESTS,
    ),
    Client(
        package="sslcommerz-lts",
        version="1.2.0",
        provider="sslcommerz",
        script="sslcommerz_lts_1_2.cjs",
        reference="lts-1",
        # it asks by POST where the tables say GET, and sends no refund_trans_id
        told={"statuses": ["VALID", "VALIDATED", "VALIDATED"], "amount": "1500.50", "refund": "failed"},
    ),
    Client(
        package="shurjopay",
        version="0.12.1",
        provider="shurjopay",
        script="shurjopay_0_12.cjs",
        reference="node-1",
        told={"statuses": ["1000", "1000"], "amount": "1500.5000"},
    ),
    Client(
        package="bkash-pgw-tokenized",
        version="1.0.0",
        provider="bkash",
        script="bkash_pgw_tokenized_1_0.py",
        reference="tokenized-1",
        told={"statuses": ["Initiated", *["Completed"] * 4], "amount": "1500.50", "refundable": "1000.00"},
        also=("cryptography==50.0.2", *HTTPX),
    ),
    Client(
        package="pybkash",
        version="0.4.2",
        provider="bkash",
        script="pybkash_0_4.py",
        reference="pybkash-1",
        told={
            "statuses": ["Initiated", *["Completed"] * 5],
            "verified": ["Incomplete", "Complete"],
            "amount": "1500.50",
        },
        also=("redis==8.1.0", *HTTPX),
    ),
    Client(
        package="bkash-payment",
        version="3.0.5",
        provider="bkash",
        script="bkash_payment_3_0.cjs",
        reference="node-1",
        # before it refunds, it asks for the status of an earlier refund, and keeps to that
        told={"statuses": ["Initiated", *["Completed"] * 4], "amount": "1500.50", "refunded_once": True},
        also=("axios@1.21.1",),
    ),
    Client(
        package="hs-eps-gateway",  # it pins what it needs by itself
        version="1.0.1",
        provider="eps",
        script="hs_eps_gateway_1_0.py",
        reference="eps-client-1",
        told={"statuses": ["pending", "success", "error"], "amount": "1500.50"},
    ),
)


async def ran(*command: str | Path, seconds: float, cwd: Path) -> str:
    """The output of a command that must end well within the seconds. Its own words tell why where it does not."""
    process = await asyncio.create_subprocess_exec(
        *map(str, command),
        cwd=cwd,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(Path.home()), **_registries()},
    )
    try:
        out, err = await asyncio.wait_for(process.communicate(), seconds)
    except TimeoutError:
        process.kill()
        await process.wait()
        pytest.fail(f"{command[0]} did not end within {seconds:g} s")
    assert process.returncode == 0, (out + err).decode(errors="replace")[-4000:]
    return out.decode()


async def made(client: Client) -> list[str | Path]:
    """The command that runs a script in the client's environment. The environment is made where it is missing."""
    place = client.place
    with kept(place, " ".join(client.wanted), INSTALL_SECONDS) as make:
        if make and client.npm:
            (place / "package.json").write_text('{"private": true}')
            quiet = ("--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
            await ran("npm", "install", *quiet, *client.wanted, seconds=INSTALL_SECONDS, cwd=place)
        elif make:
            await ran(sys.executable, "-m", "venv", place, seconds=INSTALL_SECONDS, cwd=ROOT)
            pip = (place / "bin" / "python", "-m", "pip", "--quiet", "--disable-pip-version-check")
            await ran(*pip, "install", *client.wanted, seconds=INSTALL_SECONDS, cwd=place)
    return ["node"] if client.npm else [place / "bin" / "python"]


@pytest.mark.timeout(700)
@pytest.mark.parametrize("client", [pytest.param(one, id=f"{one.package}-{one.version}") for one in CLIENTS])
async def test_a_client_of_others_creates_is_paid_and_verifies(client: Client) -> None:
    program = await made(client)
    async with driving(SandboxConfig(seed=7)) as sandbox:
        command = (*program, SCRIPTS / client.script, sandbox.base)
        told = json.loads((await ran(*command, seconds=RUN_SECONDS, cwd=client.place)).splitlines()[-1])
        asked = f"sessions?provider={client.provider}&reference={client.reference}"
        (session,) = (await sandbox.asked(asked))["sessions"]
    assert session["status"] == "paid"
    assert told.pop("page").startswith(f"{sandbox.base}/{client.provider}/checkout/{session['session_id']}")
    assert told.pop("transaction_id") == session["transaction_id"]
    assert told == client.told


def _registries() -> dict[str, str]:
    """Where pip and npm look for packages, as this machine sets it."""
    names = ("PIP_", "NPM_", "npm_config_", "SSL_CERT", "REQUESTS_CA", "NODE_EXTRA_CA", "HTTP_PROXY", "HTTPS_PROXY")
    return {name: value for name, value in os.environ.items() if name.startswith(names)}
