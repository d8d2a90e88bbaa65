"""`payproof archive`: a callback as it was received, while it is kept.

It prints a buyer's data. It needs the owner's right to read the archive, which no group of schemas/sql/0009_roles.sql
has, and the key that encrypted the callback.
"""

from __future__ import annotations

import asyncio
import sys

from cyclopts import App

from worker.cli.command_errors import CommandFailed

archive = App(name="archive", help="Look at callbacks as they were received.")


@archive.command(name="show")
def show_callback(claim_id: str) -> int:
    """Print a claim with its callback as JSON, the body in base64, personal data included; `explain` names claims.

    Says so where only a digest is stored.
    """
    from worker.cli.configured import configuration
    from worker.postgres.archive import digest_only, read_archived
    from worker.postgres.server.opened import opened_as_it_is
    from worker.runtime.encryption import ArchiveCipher, NotDecrypted

    async def run() -> bytes | None:
        config = configuration()
        async with opened_as_it_is(config) as database:
            try:
                return await read_archived(database, claim_id, ArchiveCipher(config.archive.cipher_keys))
            except NotDecrypted as error:
                raise CommandFailed(f"{claim_id} cannot be read: {error}") from None

    found = asyncio.run(run())
    if found is None:
        raise CommandFailed(f"no callback of a claim {claim_id} is kept")
    print(found.decode())
    if (why := digest_only(found)) is not None:
        print(why, file=sys.stderr)
    return 0
