"""A merchant's account at one gateway: the unit that claims, keys and budgets are kept apart by."""

from __future__ import annotations

from msgspec import Struct

from consumers.gateway import Provider
from schemas.statements import StatementMap


class Account(Struct, frozen=True, kw_only=True):
    """`id` is unique in the configuration; `merchant` is the merchant's id.

    `calls_per_second` is the budget of gateway calls that all workers share; None means no limit of ours.
    `statement` is how the account's statements are read, where someone said so.
    """

    id: str
    merchant: str
    provider: Provider
    calls_per_second: float | None = None
    statement: StatementMap | None = None
