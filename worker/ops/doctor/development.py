"""What is left of development in a configuration: settings that have to be gone before real money moves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from schemas.words import Scope
from worker.config import Config
from worker.config.console import NEVER
from worker.config.env_file import NAME, open_to_others, read_env
from worker.config.url_parts import is_loopback, split_url
from worker.ops.doctor.findings import Finding

SOONEST_GIVE_UP = 3600.0
"""Seconds. A gateway that is away for an hour is no rare thing; a payment given up meanwhile is held for a person."""
OPERATOR = "dev"
"""The console's operator of `payproof init --sandbox`, whose password was printed on a terminal."""


def development_findings(config: Config) -> Iterator[Finding]:
    """A finding for each such setting."""
    if config.development:
        yield from _env_findings(config.settings.config_path.parent)
    if config.allow_private_webhooks:
        words = "webhooks may go to any address, and by plain http"
        yield Finding("!!", "allow_private_webhooks", words, "remove it before real money: it is for development")
    if config.allow_http_hosts:
        words = f"gateways are reached by plain http at {', '.join(sorted(config.allow_http_hosts))}"
        yield Finding("!!", "allow_http_hosts", words, "remove it before real money: it is for a sandbox")
    at_home = [one.id for one in config.accounts if is_loopback(split_url(one.provider.base_url)[1])]
    if at_home:
        words = f"the gateway is on this machine, so it is a sandbox: {', '.join(at_home)}"
        yield Finding("!!", "base_url", words, "real money needs the gateway's own address")
    if config.checks.give_up < SOONEST_GIVE_UP:
        words = f"a payment is held for a person after {config.checks.give_up:g} s without an answer"
        yield Finding("!!", "checks.give_up", words, "remove it before real money: 7d is the default")
    if config.console.operators and config.console.second_person_from == NEVER:
        words = "one person decides alone about any amount"
        yield Finding("!!", "console.second_person_from", words, "set an amount, unless the shop has one person")
    if config.console.operator(OPERATOR) is not None:
        words = f"{OPERATOR} is the operator of payproof init --sandbox"
        yield Finding("!!", "console.operators", words, "give each person a name and a password: payproof operator")
    for merchant in config.merchants:
        for key in merchant.keys:
            if Scope.RESOLVE in key.may and Scope.OPEN in key.may:
                words = f"the key {key.name} opens payments and may decide on held ones"
                yield Finding("!!", f"keys of {merchant.id}", words, "a shop's program needs no resolve")


def _env_findings(directory: Path) -> Iterator[Finding]:
    file = directory / NAME
    names = sorted(read_env(file.read_text(encoding="utf-8", errors="replace"))) if file.is_file() else []
    words = f"{', '.join(names) or 'nothing'} comes from {file}, and of payproof's variables no other from the shell"
    yield Finding("!!", "development", words, "remove it before real money")
    if open_to_others(directory):
        yield Finding("!!", str(file), "others on this machine may read or write it", f"chmod 600 {file}")
