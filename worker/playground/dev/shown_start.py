"""What `payproof dev` prints once everything runs: addresses, who may sign in, and requests to paste."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Mapping

from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP

from worker.config import Config
from worker.config.shop_access import API_KEY, WEBHOOK_SECRET
from worker.console.passwords import DIGITS, STEP_SECONDS
from worker.playground.dev.addresses import NotForDev, sandbox_url_of
from worker.playground.dev.starting_files import OPERATOR, PASSWORD
from worker.playground.shop.ordering import CUSTOMER

PROVIDER = "shadhinpay"
UNKNOWN = "(see .env and payproof.toml)"


def present_code(config: Config) -> str:
    """The one-time code of now for the console's operator of `payproof init --sandbox`. Raises NotForDev."""
    operator = config.console.operator(OPERATOR)
    key = None if operator is None else operator.totp_key
    if key is None:
        raise NotForDev(f"the configuration has no console operator {OPERATOR} with one-time codes")
    return TOTP(key, DIGITS, SHA1(), STEP_SECONDS).generate(int(time.time())).decode()  # noqa: S303 - as the apps do


def shown_start(config: Config, environ: Mapping[str, str]) -> str:
    """The text. `environ` has what `.env` has."""
    settings, sandbox = config.settings, sandbox_url_of(config)
    api, key = settings.public_url, environ.get(API_KEY, UNKNOWN)
    console = f"http://{settings.console_listen[0]}:{settings.console_listen[1]}"
    lines = [
        "",
        "Everything runs. Ctrl-C ends it; what happened stays for the next time.",
        "",
        f"  demo shop       {sandbox}/",
        f"  API             {api}",
        f"  its key         {key}",
        f"  webhook secret  {environ.get(WEBHOOK_SECRET, UNKNOWN)}",
        *_console(config, console, environ),
        f"  sandbox         {sandbox}/_control",
        f"  health          http://{settings.ops_listen[0]}:{settings.ops_listen[1]}/readyz",
        f"  database        {_database(config)}",
        "",
        "A verified payment: buy in the demo shop, or in another terminal in this directory:",
        "",
        "  payproof trigger completed",
        "",
        "The same by hand: the shop opens a payment, the buyer pays and comes back, the shop reads it.",
        "",
        *_requests(config, api, sandbox, key),
        "",
    ]
    return "\n".join(lines)


def _database(config: Config) -> str:
    broker = "a broker, both of .env" if config.settings.amqp_url else "no broker"
    if config.settings.database_url is None:
        return f"its own, in {config.settings.data_dir}; {broker}"
    return f"PAYPROOF_DATABASE_URL of .env; {broker}"


def _console(config: Config, url: str, environ: Mapping[str, str]) -> list[str]:
    if config.console.operator(OPERATOR) is None:
        return [f"  console         {url}"] if config.console.operators else []
    password = environ.get(PASSWORD, UNKNOWN)
    return [
        f"  console         {url}",
        f"  sign in as      {OPERATOR}, password {password}, code {present_code(config)} (payproof dev --code)",
    ]


def _requests(config: Config, api: str, sandbox: str, key: str) -> list[str]:
    """Three requests about one payment, each a line; none where the account for them is not configured."""
    account = next((one for one in config.accounts if one.provider.name == PROVIDER), None)
    if account is None:
        return []
    reference, bearer = f"first-{secrets.token_hex(4)}", f"-H 'Authorization: Bearer {key}'"
    opened = {
        "account": account.id,
        "reference": reference,
        "amount": "1500.50",
        "currency": "BDT",
        "description": "A first payment",
        "return_url": f"{sandbox}/",
        "customer": CUSTOMER,
    }
    bought = {"provider": PROVIDER, "reference": reference, "does": "pay"}
    return [
        f"  curl -s {api}/v1/payments {bearer} -d '{json.dumps(opened)}'",
        f"  curl -s {sandbox}/_control/shopper -d '{json.dumps(bought)}'",
        f"  curl -s '{api}/v1/payments?reference={reference}' {bearer}",
    ]
