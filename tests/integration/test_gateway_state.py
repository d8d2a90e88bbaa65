"""The gateways for a person, as recorded: answering, failing, or silent with the next probe; and the last word."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import msgspec
from asyncpg.connection import LoggedQuery

from consumers.checks.limits import ACCOUNT_BREAKER
from consumers.ports.reply import Reply
from consumers.record_replies import record_dead_replies
from schemas.answers import Inconclusive, Question, Trouble
from schemas.requests import ListQuery
from schemas.words import Status
from tests.integration.shops import CONFIG, RULES, Shops
from tests.integration.test_reads import PAYMENTS
from worker.postgres.database import connect
from worker.postgres.reads.differences import read_differences
from worker.postgres.reads.gateway_state import GatewayState, read_gateways
from worker.postgres.reads.work_list import read_work_of_all


async def state(shops: Shops, account: str = "shop-one") -> GatewayState:
    return next(one for one in await read_gateways(shops.database, CONFIG.accounts) if one.account == account)


async def silent(shops: Shops, troubles: int) -> None:
    now = shops.database.clock.now()
    await shops.database.execute(
        """INSERT INTO allowances (account, at, troubles, shut_until) VALUES ('shop-one', $1, $2, $3)
           ON CONFLICT (account) DO UPDATE SET troubles = excluded.troubles, shut_until = excluded.shut_until""",
        now,
        troubles,
        now + timedelta(seconds=20) if ACCOUNT_BREAKER.tripped(troubles) else None,
    )


async def test_a_gateway_answers_fails_and_falls_silent(shops: Shops) -> None:
    assert (await state(shops)).health == "not asked yet"
    payment = await shops.opened(reference="a")
    await shops.answered(payment, Status.COMPLETED)
    good = await state(shops)
    assert (good.health, good.failures, good.probed_at) == ("answering", 0, None)
    assert good.answered_at is not None
    assert good.last_word is not None
    assert good.last_word.startswith("completed (its word: completed)")
    await silent(shops, 3)
    assert ((await state(shops)).health, (await state(shops)).failures) == ("failing", 3)
    await silent(shops, 30)
    shut = await state(shops)
    assert (shut.health, shut.failures, shut.answered_at) == ("silent", 30, good.answered_at)
    assert shut.probed_at is not None
    assert (await state(shops, "shop-ipay")).health == "not asked yet"


async def test_the_last_word_of_a_gateway_that_gives_no_answer_is_its_trouble(shops: Shops) -> None:
    payment = await shops.opened(reference="a")
    now = shops.database.clock.now()
    trouble = Inconclusive(trouble=Trouble.SERVER_ERROR, detail="HTTP 502 for 01712345678")
    reply = Reply(payment_id=payment["payment_id"], question=Question(), asked_at=now, answered_at=now, outcome=trouble)
    await record_dead_replies(shops.api.ledger, RULES, [reply])
    await shops.database.execute("UPDATE payments SET asked_at = now()")
    told = await state(shops)
    assert told.last_word is not None
    assert told.last_word.startswith("no answer: ")
    assert "HTTP 502" in told.last_word
    assert "01712345678" not in told.last_word


async def test_gateways_are_read_from_few_blocks(dsn: str) -> None:
    said: list[LoggedQuery] = []
    async with connect(dsn, size=1) as database:
        await database.execute(PAYMENTS, 20_000)
        await database.execute("VACUUM ANALYZE")
        async with database.connection() as connection:
            connection.add_query_logger(said.append)
        await read_gateways(database, CONFIG.accounts)
        async with database.connection() as connection:
            connection.remove_query_logger(said.append)
            (query,) = [one for one in said if "allowances" in one.query]
            (plan,) = msgspec.json.decode(
                await connection.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {query.query}", *query.args)
            )
    assert plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"] < 600


async def test_the_longest_held_is_shown_first_and_not_the_oldest(shops: Shops) -> None:
    old, new = [await shops.opened(reference=name, amount="200.00") for name in ("old", "new")]
    for one in (new, old):
        await shops.answered(one, Status.COMPLETED, amount=Decimal("1.00"))
    work = await read_work_of_all(shops.database, ["shop"], ListQuery(hold="any", limit=1))
    assert [one.payment.reference for one in work.held] == ["new"]


async def test_the_work_list_of_all_merchants_says_what_differs(shops: Shops) -> None:
    wrong = await shops.opened(reference="a", amount="200.00")
    await shops.answered(wrong, Status.COMPLETED, amount=Decimal("1.00"))
    first, second = [await shops.opened(reference=f"t{n}", order="twice") for n in (1, 2)]
    for one in (first, second):
        await shops.answered(one, Status.COMPLETED)
    other = (await shops.open(shop="other", account="other-one", reference="x")).body
    await shops.answered(other, Status.COMPLETED, currency="USD")
    work = await read_work_of_all(shops.database, ["shop", "other"], ListQuery(hold="any"))
    held = [one.payment for one in work.held]
    assert [one.id for one in held] == [one["payment_id"] for one in (wrong, second, other)]
    assert sum(stake.count for stake in work.stakes) == 3
    told = await read_differences(shops.database, held, CONFIG.accounts, CONFIG.checks)
    assert told[wrong["payment_id"]] == "amount 1.00, expected 200.00"
    assert told[second["payment_id"]] == f"The order twice is paid by {first['payment_id']}"
    assert told[other["payment_id"]] == "currency USD, expected BDT"
    few = await read_work_of_all(shops.database, ["shop", "other"], ListQuery(hold="any", limit=1))
    assert ([one.payment.id for one in few.held], sum(stake.count for stake in few.stakes)) == (
        [wrong["payment_id"]],
        3,
    )
    assert await read_differences(shops.database, [], CONFIG.accounts, CONFIG.checks) == {}
