"""`payproof sandbox`: the simulated gateways."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from worker.cli.command_errors import CommandFailed, WrongUsage

if TYPE_CHECKING:
    from worker.playground.shop.shop_config import ShopConfig


def sandbox(
    *,
    host: str = "127.0.0.1",
    port: Annotated[int, Parameter(help="0 takes a free one.", validator=Number(gte=0, lte=65535))] = 8090,
    state: Annotated[str, Parameter(help="SQLite file; in memory unless given.")] = ":memory:",
    seed: Annotated[int | None, Parameter(help="Makes the ids of a fresh state repeat.")] = None,
    reset: Annotated[bool, Parameter(help="Begin the state anew, seed and ids included.", negative=())] = False,
    public_url: Annotated[str | None, Parameter(help="What browsers reach it by.")] = None,
    webhook: Annotated[
        tuple[str, ...],
        Parameter(help="GATEWAY=URL: where that gateway's webhooks go.", negative=(), show_default=False),
    ] = (),
    shop: Annotated[str | None, Parameter(help="Serve a demo shop at /, a client of the payproof at this URL.")] = None,
    shop_key: Annotated[str | None, Parameter(help="Its API key: env:NAME, file:PATH, or the key itself.")] = None,
    shop_secret: Annotated[str | None, Parameter(help="Its whsec_ webhook secret, written likewise.")] = None,
) -> int:
    """Run the simulated gateways on one port, with hosted checkout pages and scripted troubles."""
    from worker.playground.sandbox.sandbox_app import run_sandbox
    from worker.playground.sandbox.sandbox_config import GATEWAYS, SandboxConfig
    from worker.playground.sandbox.state import AnotherVersion

    webhook_urls = dict(item.partition("=")[::2] for item in webhook)
    if unknown := sorted(set(webhook_urls) - set(GATEWAYS)):
        raise WrongUsage(f"--webhook: {', '.join(unknown)} is none of {', '.join(GATEWAYS)}")
    if not all(webhook_urls.values()):
        raise WrongUsage("--webhook: is written GATEWAY=URL")
    config = SandboxConfig(
        host=host,
        port=port,
        state=state,
        seed=seed,
        reset=reset,
        public_url=public_url,
        webhook_urls=webhook_urls,
        shop=_shop(shop, shop_key, shop_secret, public_url),
    )
    try:
        asyncio.run(run_sandbox(config))
    except AnotherVersion as error:
        raise CommandFailed(f"{error}; --reset begins it anew") from error
    return 0


def _shop(url: str | None, key: str | None, secret: str | None, public_url: str | None) -> ShopConfig | None:
    """The demo shop's configuration, or None. Raises WrongUsage."""
    from worker.playground.shop.return_signature import signing_key
    from worker.playground.shop.shop_config import ShopConfig

    if url is None:
        if key is not None or secret is not None:
            raise WrongUsage("--shop: --shop-key and --shop-secret are for a shop; say which payproof it asks")
        return None
    if not url.startswith(("http://", "https://")):
        raise WrongUsage("--shop: is the http or https address of payproof's API")
    if key is None:
        raise WrongUsage("--shop-key: a shop needs its API key")
    revealed = None if secret is None else _secret("--shop-secret", secret)
    if revealed is not None:
        try:
            signing_key(revealed)
        except ValueError as error:
            raise WrongUsage(f"--shop-secret: {error}") from None
    return ShopConfig(payproof_url=url, key=_secret("--shop-key", key), secret=revealed, public_url=public_url)


def _secret(option: str, written: str) -> str:
    from worker.config.secrets import SecretError, Secrets

    try:
        return Secrets(os.environ, Path.cwd()).resolve(written)[0].reveal()
    except SecretError as error:
        raise WrongUsage(f"{option}: {error}") from None
