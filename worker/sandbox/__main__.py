"""`python -m worker.sandbox --port 8090 --state sandbox.sqlite`: the simulated gateways on one port."""

from __future__ import annotations

import argparse
import asyncio

from worker.sandbox.app import run
from worker.sandbox.config import GATEWAYS, SandboxConfig


def main() -> None:
    defaults = SandboxConfig()
    parser = argparse.ArgumentParser(prog="python -m worker.sandbox", description="Simulated payment gateways.")
    parser.add_argument("--host", default=defaults.host)
    parser.add_argument("--port", type=int, default=defaults.port, help="0 takes a free one")
    parser.add_argument("--state", default=defaults.state, help="SQLite file; in memory unless given")
    parser.add_argument("--seed", type=int, help="makes the ids of a fresh state repeat")
    parser.add_argument("--public-url", help="what browsers reach it by")
    parser.add_argument("--webhook", action="append", default=[], metavar="GATEWAY=URL", help="where webhooks go")
    given = parser.parse_args()
    webhook_urls = dict(item.partition("=")[::2] for item in given.webhook)
    if unknown := set(webhook_urls) - set(GATEWAYS):
        parser.error(f"--webhook: no such gateway: {', '.join(sorted(unknown))}")
    config = SandboxConfig(
        host=given.host,
        port=given.port,
        state=given.state,
        seed=given.seed,
        public_url=given.public_url,
        webhook_urls=webhook_urls,
    )
    asyncio.run(run(config))


if __name__ == "__main__":
    main()
