"""What the stages need to know of the configuration."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from consumers.account import Account
from consumers.ports.gateway import Capabilities
from schemas.checks import Checks
from schemas.payments import Payment


class Rules(Struct, frozen=True, kw_only=True):
    """Accounts by their ids, the schedules, and the base of our own URLs without a trailing slash.

    `jitter` is by how much of a delay at most the sweep looks later, so that those who began together do not stay so.
    """

    accounts: Mapping[str, Account]
    checks: Checks
    public_url: str
    jitter: float = 0.0

    def capabilities(self, payment: Payment) -> Capabilities:
        return self.accounts[payment.account].capabilities
