"""`payproof events tail` in a shell: with a start in the past, into pipes that close, and ended by Ctrl-C."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import pty
import select
import signal
import sys

import pytest

from tests.commands import ENVIRONMENT, SECONDS, started
from tests.e2e.buyers import Payproof, payproof_says
from tests.processes import until

PAGE = 4096


async def test_events_of_so_long_ago_are_those_since_that_time(payproof: Payproof) -> None:
    buyer = await payproof.opened("ipay")
    opened = f"{buyer.payment['payment_id']}.1"
    for since in ("1h", "90m", "7d", "2020-01-01", "2020-01-01T00:00:00+06:00"):
        told = await payproof_says(payproof, "events", "tail", "--no-follow", "--since", since)
        assert told.code == 0
        assert opened in [json.loads(line)["id"] for line in told.lines]
    later = await payproof_says(payproof, "events", "tail", "--no-follow", "--since", "2999-01-01")
    assert (later.code, later.out) == (0, "")


@pytest.mark.parametrize("since", ["yesterday", "2", "-2h", "2 h", "2026-13-01", "99999999d", "10000-01-01", "২h"])
async def test_what_is_neither_time_nor_duration_is_wrong_usage(payproof: Payproof, since: str) -> None:
    told = await payproof_says(payproof, "events", "tail", "--no-follow", f"--since={since}")
    assert told.code == 2
    assert f"--since: {since} is not a time such as" in told.err
    assert "Traceback" not in told.err


@pytest.mark.parametrize("words", [("--since", "2020-01-01"), ()], ids=["while it prints", "while it waits"])
async def test_it_ends_quietly_when_nobody_reads_any_more(payproof: Payproof, words: tuple[str, ...]) -> None:
    await payproof.opened("ipay")
    tail = await started(
        "events", "tail", *words, cwd=payproof.system.place, settings=payproof.system.settings | {"PYTHONWARNINGS": ""}
    )
    assert tail.stdout is not None
    assert tail.stderr is not None
    try:
        if words:
            assert await asyncio.wait_for(tail.stdout.readline(), SECONDS)
        tail._transport.get_pipe_transport(1).close()  # type: ignore[attr-defined]
        assert await asyncio.wait_for(tail.wait(), SECONDS) == 1
        assert await tail.stderr.read() == b""
    finally:
        if tail.returncode is None:
            tail.kill()
            await tail.wait()


async def test_ctrl_c_ends_it_quietly_in_the_middle_of_a_write_that_nobody_reads(payproof: Payproof) -> None:
    for _ in range(4):
        await payproof.opened("ipay")
    reads, writes = os.pipe()
    try:
        fcntl.fcntl(writes, fcntl.F_SETPIPE_SZ, PAGE)  # a pipe too small for those four
        tail = await started(
            *("events", "tail", "--since", "1d"),
            cwd=payproof.system.place,
            settings=payproof.system.settings,
            stdout=writes,
        )
    finally:
        os.close(writes)
    assert tail.stderr is not None
    try:
        await until(lambda: _readable(reads), what="its first event")
        tail.send_signal(signal.SIGINT)
        assert await asyncio.wait_for(tail.wait(), SECONDS) == 130
        assert await tail.stderr.read() == b""
    finally:
        os.close(reads)
        if tail.returncode is None:
            tail.kill()
            await tail.wait()


async def test_at_a_terminal_it_says_that_it_follows_and_how_to_end_it(payproof: Payproof) -> None:
    terminal, its_end = pty.openpty()
    tail = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "worker.cli", "events", "tail"),
        cwd=payproof.system.place,
        env={**ENVIRONMENT, **payproof.system.settings},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=its_end,
    )
    os.close(its_end)
    try:
        await until(lambda: _readable(terminal), what="its first words", seconds=SECONDS)
        assert b"follows the log" in os.read(terminal, PAGE)
        tail.send_signal(signal.SIGINT)
        assert await asyncio.wait_for(tail.wait(), SECONDS) == 130
    finally:
        os.close(terminal)
        if tail.returncode is None:
            tail.kill()
            await tail.wait()


_RESOLVING = """
import asyncio, sys
from worker.cli.event_tail import _Interrupt

async def command():
    interrupt.ends(asyncio.current_task())
    print("resolving", flush=True)
    try:
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    finally:
        print("cancelled", flush=True)

interrupt = _Interrupt()
asyncio.run(command())
"""
"""A look-up at a name server that does not answer waits in a thread, as reading this standard input does."""


async def test_ctrl_c_again_ends_what_cancelling_does_not_reach() -> None:
    pipe = asyncio.subprocess.PIPE
    program = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _RESOLVING, stdin=pipe, stdout=pipe, stderr=pipe
    )
    assert program.stdout is not None

    async def ends_when_pressed() -> bool:
        if program.returncode is None:
            program.send_signal(signal.SIGINT)
        return program.returncode is not None

    try:
        assert await asyncio.wait_for(program.stdout.readline(), SECONDS) == b"resolving\n"
        program.send_signal(signal.SIGINT)
        assert await asyncio.wait_for(program.stdout.readline(), SECONDS) == b"cancelled\n"
        await until(ends_when_pressed, what="the end of the command")
    finally:
        if program.returncode is None:
            program.kill()
            await program.wait()


async def _readable(pipe: int) -> bool:
    return bool(select.select([pipe], [], [], 0)[0])
