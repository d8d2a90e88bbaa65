"""What `payproof init --sandbox` writes: a configuration with every account at the sandbox, and its secrets in `.env`.

The file holds hashes and names of variables; the secrets stand in `.env` alone, so the file may be kept anywhere.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from worker.config import keys
from worker.config.env_file import NAME
from worker.config.shop_access import API_KEY, WEBHOOK_SECRET
from worker.console.passwords import hash_password, new_totp
from worker.playground.sandbox.accounts import accounts_toml

OPERATOR, PASSWORD, TOTP = "dev", "DEV_CONSOLE_PASSWORD", "DEV_CONSOLE_TOTP"
DATA_DIR = ".payproof-dev"
"""Another than that of a service which runs in the same directory."""

_TOML = """\
# A payproof for development: every account is at the sandbox, so no real money moves. `payproof dev` runs it all.
# The secrets stand in .env beside this file. Keep .env to yourself.

development = true              # payproof's variables come from .env alone, and not from the shell
allow_private_webhooks = true   # development only: webhook endpoints at any address, http too
return_wait = "4s"

# Soon enough to watch. The delays of a real shop are minutes and hours: `payproof init` writes them.
[checks]
claimed = ["1s", "2s", "5s", "10s"]
pending = ["2s", "5s", "10s", "30s", "1m"]
closed = ["10s", "1m"]
refunds = ["5s", "10s", "30s", "5m"]
grace = "2s"
confirm_end = "2s"
give_up = "1m"

[console]
second_person_from = "never"    # with money, two people decide
[[console.operators]]
name = "{operator}"
role = "approver"
password = "{password_hash}"
totp = "env:{totp}"

[[merchants]]
id = "shop"
name = "Dev shop"

[[merchants.keys]]
name = "shop"
hash = "{key_hash}"
may = ["open", "read", "verify", "resolve", "events"]

# The demo shop's endpoint. Your own gets a table like it; `payproof doctor` looks it over.
[[merchants.webhooks]]
id = "demo-shop"
url = "{sandbox}/hooks/payproof"
secret = "env:{webhook_secret}"

"""
_ENV = """\
# Drawn by `payproof init --sandbox`. These open nothing but the payproof in this directory.
PAYPROOF_DATA_DIR={data_dir}
{api_key}={key}
{webhook_secret}={secret}
# Where payproof.toml has the sandbox, for requests to paste.
SANDBOX={sandbox}
# The console's operator {operator}; `payproof dev --code` prints the one-time code.
{password}={drawn_password}
{totp}={drawn_totp}
"""


def write_starting_files(path: Path, sandbox: str) -> None:
    """Write the configuration to `path`, and `.env` beside it, both for their owner alone.

    `sandbox` is the address that the sandbox will have. Raises FileExistsError, with nothing written, where one of them
    exists; OSError where they cannot be written.
    """
    key, password, totp = keys.new_api_key(), secrets.token_urlsafe(12), new_totp()
    names = {
        "operator": OPERATOR,
        "api_key": API_KEY,
        "webhook_secret": WEBHOOK_SECRET,
        "password": PASSWORD,
        "totp": TOTP,
    }
    env = _ENV.format(
        **names,
        key=key,
        secret=keys.new_webhook_secret(),
        data_dir=DATA_DIR,
        sandbox=sandbox,
        drawn_password=password,
        drawn_totp=totp,
    )
    toml = _TOML.format(
        **names, sandbox=sandbox, password_hash=hash_password(password), key_hash=keys.hashed(key)
    ) + accounts_toml(sandbox)
    if path.exists():
        raise FileExistsError(None, "exists", str(path))
    beside = path.parent / NAME
    _write_new(beside, env)
    try:
        _write_new(path, toml)
    except OSError:
        beside.unlink()
        raise


def _write_new(path: Path, text: str) -> None:
    """Raises FileExistsError, and OSError with nothing left of it."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        path.unlink()
        raise OSError(error.errno, error.strerror, str(path)) from error
