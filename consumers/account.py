"""A merchant's account at one gateway: the unit that claims, keys and budgets are kept apart by."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from consumers.ports.gateway import Capabilities, Provider
from schemas.statements import StatementMap


class Account(Struct, frozen=True, kw_only=True):
    """`id` is unique in the configuration; `merchant` is the merchant's id.

    `calls_per_second` is the budget of gateway calls that all workers share; None means no limit of ours.
    `pending_expires_after`: so many seconds after its end, `pending` proves that nobody paid, at a gateway whose
    `pending` does not prove it by itself.
    `statement` is how the account's statements are read, where someone said so.
    """

    id: str
    merchant: str
    provider: Provider
    calls_per_second: float | None = None
    pending_expires_after: float | None = None
    statement: StatementMap | None = None

    @property
    def capabilities(self) -> Capabilities:
        """What the gateway declares, with what this account's configuration adds."""
        declared = self.provider.capabilities
        if self.pending_expires_after is None:
            return declared
        return replace(declared, pending_expires_after=self.pending_expires_after)
