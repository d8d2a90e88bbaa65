"""What a person does beside deciding is in the audit trail, by the console, the API and the commands alike."""

from __future__ import annotations

import asyncpg
import pytest

from tests.integration.shops import Shops
from tests.integration.test_console_dead_letters import dies
from tests.logins import as_user, make_logins
from tests.records import RECORD
from worker.cli.commanded import commanded
from worker.postgres.audit_rows import read_audit
from worker.postgres.database import Database, connect
from worker.postgres.queue.dead_table import PostgresDead

FAILS = """
    CREATE FUNCTION no_records() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no record' ; END $$;
    CREATE TRIGGER no_records BEFORE INSERT ON audit FOR EACH ROW EXECUTE FUNCTION no_records();
"""


async def trail(database: Database) -> list[tuple[str, str, str]]:
    return [(one.action, one.origin.via, one.origin.actor) for one in await read_audit(database, None)]


async def test_a_question_by_the_api_names_its_key(shops: Shops) -> None:
    payment = await shops.opened()
    assert (await shops.post(f"/v1/payments/{payment['payment_id']}/verify", {})).status == 202
    (one,) = await read_audit(shops.database, None)
    assert (one.action, one.origin.via, one.payment_id) == ("payment.verified", "api", payment["payment_id"])
    assert one.origin.actor.startswith(f"key:{one.origin.key} (")


@pytest.mark.parametrize("act", ["replay", "drop"])
async def test_an_act_and_its_record_are_both_or_neither(database: Database, shops: Shops, act: str) -> None:
    await dies(database, "shop-one")
    dead = PostgresDead(database)
    (row,) = await database.fetch("SELECT id FROM dead")
    opened = await dead.find(row["id"])
    assert opened is not None
    await database.execute(FAILS)
    with pytest.raises(asyncpg.RaiseError):
        await getattr(dead, act)(opened, RECORD)
    assert len(await database.fetch("SELECT FROM dead")) == 1
    assert await database.fetch("SELECT FROM queue") == []
    await database.execute("DROP TRIGGER no_records ON audit")
    await getattr(dead, act)(opened, RECORD)
    assert await database.fetch("SELECT FROM dead") == []
    assert await trail(database) == [(RECORD.action, "command", "rahima")]


async def test_a_command_with_a_workers_login_writes_its_record_and_none_of_a_decision(
    database: Database, dsn: str
) -> None:
    await make_logins(dsn)
    await dies(database, "shop-one")
    async with connect(as_user(dsn, "app_worker"), size=2) as worker:
        dead = PostgresDead(worker)
        (row,) = await worker.fetch("SELECT id FROM dead")
        opened = await dead.find(row["id"])
        assert opened is not None
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await dead.drop(opened, commanded("payment.resolved"))
        await dead.drop(opened, commanded("dead_letter.dropped", subject=opened.letter.id, why="a test"))
    (one,) = await read_audit(database, None)
    assert (one.action, one.origin.via, one.why) == ("dead_letter.dropped", "command", "a test")
