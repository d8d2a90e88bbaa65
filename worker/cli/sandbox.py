"""`payproof sandbox`: the simulated gateways."""

from __future__ import annotations

import asyncio
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from worker.cli.failures import WrongUsage


def sandbox(
    *,
    host: str = "127.0.0.1",
    port: Annotated[int, Parameter(help="0 takes a free one.", validator=Number(gte=0, lte=65535))] = 8090,
    state: Annotated[str, Parameter(help="SQLite file; in memory unless given.")] = ":memory:",
    seed: Annotated[int | None, Parameter(help="Makes the ids of a fresh state repeat.")] = None,
    public_url: Annotated[str | None, Parameter(help="What browsers reach it by.")] = None,
    webhook: Annotated[
        tuple[str, ...],
        Parameter(help="GATEWAY=URL: where that gateway's webhooks go.", negative=(), show_default=False),
    ] = (),
) -> int:
    """Run the five simulated gateways on one port, with hosted checkout pages and scripted troubles."""
    from worker.sandbox.app import run
    from worker.sandbox.config import GATEWAYS, SandboxConfig

    webhook_urls = dict(item.partition("=")[::2] for item in webhook)
    if unknown := sorted(set(webhook_urls) - set(GATEWAYS)):
        raise WrongUsage(f"--webhook: {', '.join(unknown)} is none of {', '.join(GATEWAYS)}")
    if not all(webhook_urls.values()):
        raise WrongUsage("--webhook: is written GATEWAY=URL")
    config = SandboxConfig(
        host=host, port=port, state=state, seed=seed, public_url=public_url, webhook_urls=webhook_urls
    )
    asyncio.run(run(config))
    return 0
