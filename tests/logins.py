"""Users of a test's database that are members of one group each, as in a careful installation."""

from __future__ import annotations

import asyncpg

LOGINS = {group: f"app_{group}" for group in ("ingress", "worker", "reader", "console")}


async def make_logins(owner_url: str) -> None:
    """Make them on the server, for all of its databases; existing users are left as they are."""
    connection = await asyncpg.connect(owner_url)
    try:
        for group, login in LOGINS.items():
            if not await connection.fetchval("SELECT exists(SELECT FROM pg_roles WHERE rolname = $1)", login):
                await connection.execute(f"CREATE ROLE {login} LOGIN IN ROLE payproof_{group}")
    finally:
        await connection.close()


def as_user(url: str, login: str) -> str:
    """The URL with another user. The embedded server asks for no password on its socket."""
    assert "://payproof@" in url
    return url.replace("://payproof@", f"://{login}@", 1)
