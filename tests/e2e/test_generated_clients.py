"""`deploy/guide/clients.md` as it stands: its commands make clients, and its programs see a payment through.

Each language has a directory of its own under `.payproof/clients`, whose packages are installed once for each change of
the guide's command. The client itself is generated anew from the running service.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys

import pytest

from tests.e2e.buyers import GATEWAYS, Payproof
from tests.e2e.kept import INSTALL_SECONDS, KEPT, ROOT, RUN_SECONDS, kept

GUIDE = (ROOT / "deploy/guide/clients.md").read_text(encoding="utf-8")
MYPY = "mypy==2.4.1"
STEPS = 120.0


def blocks(heading: str) -> list[tuple[str, str]]:
    """The language and the text of each block of a section."""
    section = GUIDE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return re.findall(r"```(\w+)\n(.*?)```", section, flags=re.DOTALL)


class Place:
    """A directory in which the guide's commands run in a shell."""

    def __init__(self, name: str, payproof: Payproof) -> None:
        self.directory = KEPT / "clients" / name
        self._environment = os.environ | {
            "PATH": f"{self.directory / 'venv' / 'bin'}:{os.environ['PATH']}",
            "PAYPROOF_URL": payproof.system.url,
            "PAYPROOF_API_KEY": payproof.system.key,
        }
        self._environment.pop("PYTHONPATH", None)

    async def installed(self, command: str, *, python: bool) -> None:
        with kept(self.directory, command + MYPY * python, INSTALL_SECONDS) as make:
            if not make:
                return
            if python:
                await self.sh(f"{sys.executable} -m venv venv", INSTALL_SECONDS)
                command = f"{command.strip()} {MYPY}"
            else:
                (self.directory / "package.json").write_text('{"private": true, "type": "module"}')
            await self.sh(command, INSTALL_SECONDS)

    async def sh(self, command: str, seconds: float = STEPS) -> str:
        process = await self.begun("bash", "-e", "-c", command)
        try:
            out, err = await asyncio.wait_for(process.communicate(), seconds)
        except TimeoutError:
            process.kill()
            await process.wait()
            pytest.fail(f"{command} did not end within {seconds:g} s")
        assert process.returncode == 0, (out + err).decode(errors="replace")[-4000:]
        return out.decode()

    async def begun(self, *command: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *command,
            cwd=self.directory,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=self._environment,
        )


async def sees_a_payment_through(payproof: Payproof, place: Place, reference: str, *command: str) -> None:
    """Run the program; a buyer pays at the gateway once it has opened the payment, and comes back."""
    process = await place.begun(*command, reference)
    try:
        async with asyncio.timeout(RUN_SECONDS):
            assert process.stdout is not None
            told = [(await process.stdout.readline()).decode() for _ in range(2)]
            if not all(told):
                pytest.fail((await process.communicate())[1].decode())
            assert told[0].startswith("send the buyer to http")
            assert told[1] == "a second amount is refused: reference_used\n"
            await pays(payproof, reference)
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, err.decode()
    assert re.fullmatch(r"decided: completed 1500\.50 after [0-9]+ entries\n", out.decode())


async def pays(payproof: Payproof, reference: str) -> None:
    """A buyer who pays, and comes back once."""
    named = {"provider": GATEWAYS["onepaybd"].provider, "reference": reference}
    await payproof.stage.control.post("shopper", **named, does="pay", webhook=False)


@pytest.mark.timeout(900)
async def test_a_python_client_is_typed_and_sees_a_payment_through(payproof: Payproof) -> None:
    (_, install), (_, generate), (_, program), (_, check) = blocks("Python")
    place = Place("generated-python", payproof)
    await place.installed(install, python=True)
    told = await place.sh(generate)
    assert "warning" not in told.lower(), told
    (place.directory / "shop.py").write_text(program)
    assert "Success" in await place.sh(check)
    await sees_a_payment_through(payproof, place, "generated-python-1", "python", "shop.py")


@pytest.mark.timeout(900)
async def test_a_typescript_client_is_typed_and_sees_a_payment_through(payproof: Payproof) -> None:
    (_, install), (_, generate), (_, program), (_, check) = blocks("TypeScript")
    place = Place("generated-typescript", payproof)
    await place.installed(install, python=False)
    await place.sh(generate)
    (place.directory / "shop.mts").write_text(program)
    await place.sh(check)
    await sees_a_payment_through(payproof, place, "generated-typescript-1", "node", "shop.mjs")
