"""The payment that a person means by any id: see worker/postgres/reads/find.py. Several are an error."""

from __future__ import annotations

from typing import TYPE_CHECKING

from worker.cli.command_errors import CommandFailed

if TYPE_CHECKING:
    from schemas.payments import Payment
    from worker.config import Config
    from worker.postgres.database import Database

_MOST_NAMED = 10


async def payments_meant(config: Config, database: Database, typed: str) -> list[Payment]:
    """The payments that have this id, oldest first; never none. Raises CommandFailed."""
    from worker.postgres.past_payments import deleted_at
    from worker.postgres.reads.find import find_payments

    merchants = [merchant.id for merchant in config.merchants]
    found = await find_payments(database, typed, merchants)
    if found:
        return found
    past = await deleted_at(database, merchants, typed.strip())
    if past is not None:
        raise CommandFailed(f"the payment {typed} was deleted on {past:%Y-%m-%d}, as its retention had ended")
    others = "" if typed.startswith("pay_") else ", and no reference, order, session or transaction of that name"
    raise CommandFailed(f"there is no payment {typed}{others}")


async def payment_meant(config: Config, database: Database, typed: str) -> Payment:
    """The only payment that has this id. Raises CommandFailed; of several it names the newest."""
    found = await payments_meant(config, database, typed)
    if len(found) == 1:
        return found[0]
    lines = [f"  {one.id}  {one.status}  {one.amount:.2f} {one.currency}  {one.reference}" for one in found]
    if len(lines) > _MOST_NAMED:
        lines = [f"  … {len(lines) - _MOST_NAMED} older ones", *lines[-_MOST_NAMED:]]
    raise CommandFailed("\n".join([f"{typed} means {len(found)} payments; name one of them by its id:", *lines]))
