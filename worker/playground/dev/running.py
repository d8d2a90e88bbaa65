"""The sandbox with its shop, and the service with its console, in one process group, until Ctrl-C.

One `payproof dev` runs on a data directory at a time: a lock on a file there, which the kernel frees, says so.
"""

from __future__ import annotations

import fcntl
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from urllib.parse import urlsplit

from worker.config import Config
from worker.config.env_file import OF_THE_SHELL
from worker.config.shop_access import API_KEY, WEBHOOK_SECRET
from worker.playground.demo.children import Child
from worker.playground.demo.system import NOTIFYING, READY_SECONDS
from worker.playground.dev.addresses import NotForDev, expect_development, expect_free, sandbox_url_of
from worker.playground.dev.log_lines import LogLines
from worker.playground.dev.shown_start import shown_start
from worker.postgres.server.embedded import embedded_here

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
LOOK_SECONDS = 0.2
AS_ASKED, BY_ITSELF = 0, 1


def run_dev(config: Config, environ: Mapping[str, str]) -> int:
    """Run until a signal: 0; 1 where a program ended by itself. Raises NotForDev, or ChildError at the start.

    `environ` is what the configuration was read with.
    """
    expect_development(config)
    place = config.settings.data_dir / "dev"
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _alone(place):
        expect_free(config)
        children = _children(config, environ, place)
        signals = [signal.signal(sign, _interrupt) for sign in ENDING]
        try:
            with LogLines(children):
                return _run(config, environ, *children)
        except KeyboardInterrupt:
            return AS_ASKED
        finally:
            for sign, before in zip(ENDING, signals, strict=True):
                signal.signal(sign, before)


def _run(config: Config, environ: Mapping[str, str], sandbox: Child, service: Child) -> int:
    try:
        sandbox.start()
        service.start()
        ops = config.settings.ops_listen
        service.wait_for(f"http://{ops[0]}:{ops[1]}/readyz", seconds=READY_SECONDS)
        sandbox.wait_for(f"{sandbox_url_of(config)}/_control/troubles", seconds=READY_SECONDS)
        sys.stdout.write(shown_start(config, environ) + "\n")
        sys.stdout.flush()
        while sandbox.running and service.running:
            time.sleep(LOOK_SECONDS)
        ended = service if sandbox.running else sandbox
        sys.stdout.write(f"{ended.name} ended by itself; its log is {ended.log}\n")
        return BY_ITSELF
    finally:
        for sign in ENDING:  # a second signal must not interrupt the shutdown
            signal.signal(sign, signal.SIG_IGN)
        crashed = not service.running
        service.stop()
        sandbox.stop()
        data = config.settings.data_dir
        if crashed and config.settings.database_url is None and (data / "postgres").exists():
            with embedded_here(data):  # as its last user, which ends it
                pass


def _children(config: Config, environ: Mapping[str, str], place: Path) -> tuple[Child, Child]:
    """The sandbox with its shop, and the service. Their logs begin anew."""
    settings, url = config.settings, urlsplit(sandbox_url_of(config))
    public, words = settings.public_url, ["sandbox", f"--host={url.hostname}", f"--port={url.port}"]
    words += [f"--state={place / 'sandbox.sqlite'}", f"--shop={public}", f"--shop-key=env:{API_KEY}"]
    words += [
        f"--webhook={account.provider.name}={public}/{NOTIFYING[account.provider.name]}/{account.id}"
        for account in config.accounts
        if account.provider.name in NOTIFYING
    ]
    shop = {name: environ[name] for name in (API_KEY, WEBHOOK_SECRET) if environ.get(name)}
    if API_KEY not in shop:
        raise NotForDev(f"{API_KEY} is not set in .env: the demo shop needs the key")
    words += [f"--shop-secret=env:{WEBHOOK_SECRET}"] if WEBHOOK_SECRET in shop else []
    own = {name: environ[name] for name in OF_THE_SHELL if environ.get(name)} | {
        "PAYPROOF_CONFIG": str(settings.config_path.absolute()),
        "PAYPROOF_LOG": "console",
    }
    logs = {name: place / f"{name}.log" for name in ("sandbox", "service")}
    for log in logs.values():
        log.unlink(missing_ok=True)
    return (
        Child("sandbox", "worker.cli", *words, log=logs["sandbox"], settings=shop, own_group=False),
        Child("service", "worker.cli", "serve", log=logs["service"], settings=own, own_group=False),
    )


@contextmanager
def _alone(place: Path) -> Iterator[None]:
    """Hold the lock. Raises NotForDev where another process has it, with its id."""
    with (place / "lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            raise NotForDev(f"payproof dev runs in this directory already, as process {file.read()}") from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
