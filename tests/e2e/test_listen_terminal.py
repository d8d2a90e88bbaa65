"""`payproof listen` at a terminal: its key, and what it leaves behind."""

from __future__ import annotations

import asyncio
import os
import pty
import signal
import sys
import termios
from pathlib import Path

from tests.commands import ENVIRONMENT
from tests.e2e.buyers import Payproof
from tests.e2e.listeners import Listening, answering, arrives, listening, opened, receiving, settings_of
from tests.processes import until


async def test_r_sends_the_last_event_again(payproof: Payproof, tmp_path: Path) -> None:
    terminal, its_end = pty.openpty()
    try:
        async with receiving() as receiver:
            receiver.answers = [answering(503, "later")]
            async with listening(payproof, tmp_path, receiver.url, stdin=its_end) as running:
                os.write(terminal, b"r")
                await running.says("there is no event yet that could be sent again")
                event_id = await opened(payproof)
                await arrives(receiver, event_id)
                os.write(terminal, b"r")
                await arrives(receiver, event_id, times=2)
                os.write(terminal, b"r")
                await arrives(receiver, event_id, times=3)
                said = await running.ended()
            assert "r sends the last event again" in said
    finally:
        os.close(terminal)
        os.close(its_end)


async def test_a_terminal_is_left_as_it_was_after_sigterm(payproof: Payproof, tmp_path: Path) -> None:
    terminal, its_end = pty.openpty()
    try:
        before = termios.tcgetattr(its_end)
        for sign in (signal.SIGTERM, signal.SIGHUP):
            async with listening(payproof, tmp_path, "http://127.0.0.1:9/hooks", stdin=its_end) as running:
                await until(lambda: termios.tcgetattr(its_end) != before, what="the keys come one by one")
                assert "ended at the cursor" in await running.ended(sign)
            assert running.process.returncode == 128 + sign
            assert termios.tcgetattr(its_end) == before
    finally:
        os.close(terminal)
        os.close(its_end)


IN_THE_BACKGROUND = """
import fcntl, os, signal, subprocess, sys, termios
os.setsid()
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
child = subprocess.Popen(sys.argv[1:], process_group=0)
signal.signal(signal.SIGINT, lambda *_: child.send_signal(signal.SIGINT))
child.wait()
"""


async def test_in_the_background_its_terminal_does_not_stop_it(payproof: Payproof, tmp_path: Path) -> None:
    terminal, its_end = pty.openpty()
    try:
        async with receiving() as receiver:
            command = (sys.executable, "-P", "-m", "worker.cli", "listen", "--forward-to", receiver.url)
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-c", IN_THE_BACKGROUND, *command),
                cwd=tmp_path,
                env={**ENVIRONMENT, **settings_of(payproof, tmp_path)},
                stdin=its_end,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            running = Listening(process)
            try:
                await running.says("Ctrl-C ends it")
                await arrives(receiver, await opened(payproof))
                assert "r sends" not in await running.ended()
            finally:
                if process.returncode is None:
                    process.kill()
                    await process.wait()
    finally:
        os.close(terminal)
        os.close(its_end)
