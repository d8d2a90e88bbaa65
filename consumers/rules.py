"""The part of the configuration that the domain needs."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from msgspec import Struct

from consumers.account import Account
from consumers.ports.gateway import Capabilities
from schemas.checks import Checks
from schemas.payments import Payment


class Rules(Struct, frozen=True, kw_only=True):
    """Accounts by their ids, the schedules, and the base of our own URLs without a trailing slash.

    `jitter`: the part of a delay, at most, by which the sweep looks later. It keeps payments that were opened at the
    same moment from being checked at the same moment each time. `second_person_from`: the amount from which two people
    decide about a held payment; None: one person does.
    """

    accounts: Mapping[str, Account]
    checks: Checks
    public_url: str
    jitter: float = 0.0
    second_person_from: Decimal | None = None

    def capabilities(self, payment: Payment) -> Capabilities:
        return self.accounts[payment.account].capabilities
