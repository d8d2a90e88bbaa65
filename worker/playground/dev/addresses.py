"""The addresses that `payproof dev` listens on, and whether they are free."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from contextlib import ExitStack
from urllib.parse import urlsplit

from worker.config import Config
from worker.playground.bench.sandboxed import root_of

HOW = "`payproof init --sandbox` writes such a configuration"


class NotForDev(Exception):
    """The configuration or the machine does not suit; the message says why."""


def expect_development(config: Config) -> None:
    """Raise NotForDev for a configuration that may be a real shop's."""
    if not config.development:
        raise NotForDev(f"{config.settings.config_path} does not say development = true; {HOW}")


def sandbox_url_of(config: Config) -> str:
    """The address of the one sandbox that the accounts are at. Raises NotForDev."""
    roots = {root_of(account) for account in config.accounts}
    if len(roots) != 1 or (root := roots.pop()) is None:
        raise NotForDev(f"its accounts are not all at one sandbox; {HOW}")
    parts = urlsplit(root)
    if parts.hostname not in ("127.0.0.1", "localhost", "::1") or parts.port is None:
        raise NotForDev(f"the accounts' sandbox is at {root}, and not on a port of this machine; {HOW}")
    return root


def addresses_of(config: Config) -> Mapping[str, tuple[str, int]]:
    """Each address that something listens on, under the words for it: what listens there, and what sets it."""
    settings, sandbox = config.settings, urlsplit(sandbox_url_of(config))
    return {
        "the API (PAYPROOF_LISTEN)": settings.listen,
        "the console (PAYPROOF_CONSOLE_LISTEN)": settings.console_listen,
        "health and metrics (PAYPROOF_OPS_LISTEN)": settings.ops_listen,
        "the sandbox and its shop (its port in payproof.toml, everywhere)": (str(sandbox.hostname), sandbox.port or 0),
    }


def expect_free(config: Config) -> None:
    """Raise NotForDev, with every address that cannot be listened on."""
    taken = []
    with ExitStack() as held:
        for words, (host, port) in addresses_of(config).items():
            one = held.enter_context(socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET))
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                one.bind((host, port))
                one.listen()
            except OSError as error:
                taken.append(f"{host}:{port} for {words}: {error.strerror}")
    if taken:
        raise NotForDev(
            "cannot listen on "
            + "; ".join(taken)
            + ". End the program that does, or set another address; .env may set it"
        )
