"""A merchant's account at one gateway. Claims, keys and call budgets are kept apart by account."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from consumers.ports.gateway import Capabilities, Provider
from schemas.statements import StatementMap


class Account(Struct, frozen=True, kw_only=True):
    """`id` is unique in the configuration; `merchant` is the merchant's id.

    `calls_per_second` is the budget of gateway calls that all workers share. None: no limit of ours.
    `pending_expires_after`: how many seconds after a payment's end `pending` proves that it was not paid, at a gateway
    whose `pending` does not prove it by itself. `statement`: how the account's statements are read, where that is
    configured.
    """

    id: str
    merchant: str
    provider: Provider
    calls_per_second: float | None = None
    pending_expires_after: float | None = None
    statement: StatementMap | None = None

    @property
    def capabilities(self) -> Capabilities:
        """The gateway's declared capabilities, with `pending_expires_after` of this account."""
        declared = self.provider.capabilities
        if self.pending_expires_after is None:
            return declared
        return replace(declared, pending_expires_after=self.pending_expires_after)
