"""A whole installation in one directory: the sandbox and the service as two processes, with a database of their own.

The database outlives a service that was killed. So the end of the installation joins that database once more and leaves
it as the last user, which stops it.
"""

from __future__ import annotations

import base64
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from worker.playground.demo.children import Child, free_ports
from worker.playground.sandbox.accounts import accounts_toml
from worker.postgres.server.embedded import embedded_here

READY_SECONDS = 60.0
QUICK = """\
return_wait = "2s"

[checks]
claimed = ["300ms", "500ms", "1s"]
pending = ["1s", "2s"]
closed = ["2s", "4s"]
refunds = ["1h"]
grace = "1s"
confirm_end = "1s"
give_up = "20s"
"""
"""Schedules that end within seconds instead of minutes and days."""

CALM = """\
return_wait = "4s"

[checks]
claimed = ["1s", "2s", "5s", "10s"]
pending = ["5s", "10s", "30s", "1m"]
closed = ["10s", "1m"]
refunds = ["5s", "10s", "30s", "5m"]
grace = "30s"
confirm_end = "10s"
give_up = "2h"
"""
"""Schedules for people, who take their time at a checkout and want to see the result soon."""

NOTIFYING = {
    "shadhinpay": "webhooks",
    "moneybag": "webhooks",
    "bkash": "webhooks",
    "shurjopay": "ipn",
    "aamarpay": "ipn",
    "eps": "ipn",
}
"""Where the gateways send their messages whose panel has the address; at the others each opening names it."""

PRIVATE = "allow_private_webhooks = true\n"
KEYS = 'keys = [{{ name = "shop", key = "{key}", may = ["open", "read", "verify", "resolve", "events"] }}]'
SHOP = """
[[merchants]]
id = "shop"
name = "Demo shop"
{keys}

[[merchants.webhooks]]
url = "{hook}"
secret = "{secret}"

"""


class System:
    """`settings` is the configuration above the merchants, `merchants` the tables after the shop's own.

    `secret` signs the shop's webhooks and returns; it is drawn unless given. `keys` is the line of the file with the
    shop's `key`, which may all. The demo shop is at `sandbox_url`.
    """

    def __init__(self, place: Path, *, settings: str = QUICK, merchants: str = "", secret: str | None = None) -> None:
        public, ops, gateways = free_ports(3)
        self.place = place
        self.key = secrets.token_urlsafe(24)
        self.secret = secret or f"whsec_{base64.b64encode(secrets.token_bytes(24)).decode()}"
        self.url = f"http://127.0.0.1:{public}"
        self.ops_url = f"http://127.0.0.1:{ops}"
        self.sandbox_url = f"http://127.0.0.1:{gateways}"
        self.config = place / "payproof.toml"
        self.settings = {
            "PAYPROOF_CONFIG": str(self.config),
            "PAYPROOF_DATA_DIR": str(place / "data"),
            "PAYPROOF_LISTEN": f"127.0.0.1:{public}",
            "PAYPROOF_OPS_LISTEN": f"127.0.0.1:{ops}",
            "PAYPROOF_CONSOLE_LISTEN": "127.0.0.1:0",
            "PAYPROOF_LOG": "json",
            "PAYPROOF_TRUSTED_PROXIES": "127.0.0.1",
            **({"PAYPROOF_AMQP_URL": broker} if (broker := os.environ.get("PAYPROOF_AMQP_URL")) else {}),
        }
        self.keys = KEYS.format(key=self.key)
        shop = SHOP.format(keys=self.keys, hook=f"{self.sandbox_url}/hooks/payproof", secret=self.secret)
        self._merchants = shop + accounts_toml(self.sandbox_url) + merchants
        self._settings = settings
        webhooks = [f"--webhook={name}={self.url}/{place}/shop-{name}" for name, place in NOTIFYING.items()]
        self.sandbox = Child(
            *(
                "sandbox",
                "worker.cli",
                "sandbox",
                f"--port={gateways}",
                f"--state={place / 'sandbox.sqlite'}",
                *webhooks,
            ),
            *(f"--shop={self.url}", "--shop-key=env:PAYPROOF_API_KEY", "--shop-secret=env:PAYPROOF_WEBHOOK_SECRET"),
            log=place / "sandbox.log",
            settings={"PAYPROOF_API_KEY": self.key, "PAYPROOF_WEBHOOK_SECRET": self.secret},
        )
        self.service = Child(*("payproof", "worker.cli", "serve"), log=place / "payproof.log", settings=self.settings)

    def configure(self) -> None:
        """Write the configuration; it holds the key of the API and the secret of the webhooks."""
        self.config.touch(mode=0o600)
        self.config.write_text(PRIVATE + self._settings + self._merchants, encoding="utf-8")

    def start(self) -> None:
        """Start both processes. Raises ChildError, with nothing left running."""
        self.configure()
        try:
            self.sandbox.start()
            self.start_service()
            self.sandbox.wait_for(f"{self.sandbox_url}/_control/troubles", seconds=READY_SECONDS)
        except BaseException:
            self.stop()
            raise

    def start_service(self) -> float:
        """Start it and wait until it is ready. Returns the seconds that it took. Raises ChildError."""
        self.service.start()
        return self.service.wait_for(f"{self.ops_url}/readyz", seconds=READY_SECONDS)

    def calm_down(self) -> None:
        """Restart with schedules for people, when all scripted stories are over. Raises ChildError."""
        self._settings = CALM
        self.configure()
        self.service.stop()
        self.start_service()

    @contextmanager
    def joined(self) -> Iterator[str]:
        """The URL of the service's database, which runs as long as the block does. Blocks."""
        if (url := self.settings.get("PAYPROOF_DATABASE_URL")) is not None:
            yield url
            return
        with embedded_here(self.place / "data") as url:
            yield url

    def stop(self) -> None:
        """End the processes that still run, and the database."""
        killed = not self.service.running
        self.service.stop()
        self.sandbox.stop()
        if killed and (self.place / "data" / "postgres").exists():
            with embedded_here(self.place / "data"):
                pass
