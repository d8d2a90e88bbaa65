"""A whole installation in one directory: the sandbox and the service as two processes, with a database of their own.

The one thing to get wrong: the database outlives a service that was killed. Whoever ends the installation joins that
database once more and leaves it as the last, which stops it.
"""

from __future__ import annotations

import secrets
from pathlib import Path

from worker.demo.children import Child, free_ports
from worker.postgres.embedded import embedded_here
from worker.sandbox.accounts import accounts_toml

READY_SECONDS = 60.0
QUICK = """\
return_wait = "2s"

[checks]
claimed = ["300ms", "500ms", "1s"]
pending = ["1s", "2s"]
closed = ["2s", "4s"]
refunds = ["1h"]
grace = "1s"
give_up = "20s"
"""
"""Schedules that end within seconds what takes minutes and days in earnest."""

SHOP = """
[[merchants]]
id = "shop"
name = "Demo shop"
api_keys = ["{key}"]

"""


class System:
    """`settings` is what stands in the configuration above the merchants, `merchants` what follows the shop's own."""

    def __init__(self, place: Path, *, settings: str = QUICK, merchants: str = "") -> None:
        public, ops, gateways = free_ports(3)
        self.place = place
        self.key = secrets.token_urlsafe(24)
        self.url = f"http://127.0.0.1:{public}"
        self.ops_url = f"http://127.0.0.1:{ops}"
        self.sandbox_url = f"http://127.0.0.1:{gateways}"
        self.config = place / "payproof.toml"
        self.settings = {
            "PAYPROOF_CONFIG": str(self.config),
            "PAYPROOF_DATA_DIR": str(place / "data"),
            "PAYPROOF_LISTEN": f"127.0.0.1:{public}",
            "PAYPROOF_OPS_LISTEN": f"127.0.0.1:{ops}",
            "PAYPROOF_LOG": "json",
        }
        self._text = settings + SHOP.format(key=self.key) + accounts_toml(self.sandbox_url) + merchants
        webhooks = [f"--webhook={name}={self.url}/webhooks/shop-{name}" for name in ("shadhinpay", "moneybag")]
        self.sandbox = Child(
            *("sandbox", "worker.sandbox", f"--port={gateways}", f"--state={place / 'sandbox.sqlite'}", *webhooks),
            log=place / "sandbox.log",
            settings={},
        )
        self.service = Child(*("payproof", "worker.cli", "serve"), log=place / "payproof.log", settings=self.settings)

    def configure(self) -> None:
        """Write the configuration; it holds the key of the API."""
        self.config.touch(mode=0o600)
        self.config.write_text(self._text, encoding="utf-8")

    def start(self) -> None:
        """Raises ChildError, with nothing left running."""
        self.configure()
        try:
            self.sandbox.start()
            self.start_service()
            self.sandbox.wait_for(f"{self.sandbox_url}/_control/troubles", seconds=READY_SECONDS)
        except BaseException:
            self.stop()
            raise

    def start_service(self) -> float:
        """Start it and wait until it is ready; the seconds that took. Raises ChildError."""
        self.service.start()
        return self.service.wait_for(f"{self.ops_url}/readyz", seconds=READY_SECONDS)

    def stop(self) -> None:
        """End what still runs, the database included."""
        killed = not self.service.running
        self.service.stop()
        self.sandbox.stop()
        if killed and (self.place / "data" / "postgres").exists():
            with embedded_here(self.place / "data"):
                pass
