"""A password that a gateway takes in its URLs is in no log, table, message, trace, metric or finding of ours."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from urllib.parse import quote, quote_plus

import aio_pika

from tests.broker import RabbitMQ
from tests.integration.aamarpays import PASSWORD, Told, installed, simulated
from tests.integration.rabbit import emptied
from tests.processes import until
from worker.ops.doctor.gateway_check import examine_gateway
from worker.postgres.tokens import PostgresTokens
from worker.verify.gateways import gateways

NEVER = ("zebra", PASSWORD, quote(PASSWORD, safe=""), quote_plus(PASSWORD))
WORDS = {
    "paid": "completed",
    "waits": "pending",
    "words": "no key *** for",
    "fails": "server_error",
    "cuts": "no_reply",
    "silent": "no_reply",
    "elsewhere": "unreadable",
    "page": "unreadable",
    "keyless": "key_refused",
}
"""How the gateway behaves by the beginning of a reference, and how the timeline tells the answer."""


@asynccontextmanager
async def overheard(broker: RabbitMQ, told: Told) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """A copy of every claim, event and dead letter."""
    async with await aio_pika.connect(broker.url) as connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(exclusive=True)
        await queue.bind("payproof.claims", "aamarpay")
        await queue.bind("payproof.events", "#")
        await queue.bind("payproof.dead")

        async def read() -> None:
            while (message := await queue.get(fail=False, no_ack=True)) is not None:
                told.messages.append(message.body.decode() + repr(message.headers))

        yield read


async def answered(told: Told, payment_id: str, word: str) -> bool:
    _, timeline = await told.shop("GET", f"/v1/payments/{payment_id}/timeline")
    return any(word in json.dumps(entry) for entry in timeline["entries"] if entry["kind"] == "answer")


async def every_row(told: Told) -> str:
    """All tables as text; bytes are read as text too."""
    tables = await told.database.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    rows = []
    for (table,) in tables:
        for row in await told.database.fetch(f'SELECT * FROM "{table}"'):
            rows += [one.decode("utf-8", "replace") if isinstance(one, bytes) else str(one) for one in row.values()]
    return "\n".join(rows)


async def test_a_password_in_urls_is_told_to_nobody_but_the_gateway(dsn: str, broker: RabbitMQ) -> None:
    await emptied(broker)
    async with simulated() as (gateway, url), installed(dsn, url, broker.url) as told, overheard(broker, told) as read:
        status, refusal = await told.open("refused-1")
        assert (status, refusal["code"]) == (422, "gateway_refused")
        assert "no store has the key ***" in json.dumps(refusal)
        assert (await told.open("away-1", "shop-away"))[0] in (502, 504)
        opened = {}
        for reference in WORDS:
            status, payment = await told.open(f"{reference}-1")
            assert (status, payment["session_id"]) == (201, None), payment
            assert payment["checkout_url"] == f"{url}/paynow.php?track=AAM1"
            opened[reference] = payment["payment_id"]
        for reference, payment_id in opened.items():
            form = {"mer_txnid": f"{reference}-1", "pay_status": "Successful", "pg_txnid": "AAM1"}
            status, _ = await told.call("POST", f"/return/shop-aamarpay/{payment_id}/success", data=form)
            assert status in (200, 303)
            assert (await told.call("POST", "/ipn/shop-aamarpay", data=form))[0] == 200
        for reference, payment_id in opened.items():
            word = WORDS[reference]
            await until(
                lambda of=payment_id, word=word: answered(told, of, word), what=f"{reference}: {word}", seconds=60
            )

        async with gateways(PostgresTokens(told.database)) as asking:
            findings = [
                repr(found)
                for account in told.config.accounts
                for found in await examine_gateway(asking, account, lambda: datetime.now(UTC))
            ]
        async with told.http.get(f"{told.ops}/metrics") as response:
            metrics = await response.text()
        await read()
        rows = await every_row(told)
        spans = [span.to_json() for span in told.spans.get_finished_spans()]
    assert {query["signature_key"] for query in gateway.asked} == {PASSWORD}
    assert {query["request_id"].partition("-")[0] for query in gateway.asked} >= set(WORDS)
    places = {
        "log": told.log.getvalue(),
        "table": rows,
        "message": "\n".join(told.messages),
        "span": "\n".join(spans),
        "metric": metrics,
        "answer": "\n".join(told.answers),
        "finding": "\n".join(findings),
        "repr": repr(told.config),
    }
    assert [name for name, text in places.items() if any(one in text for one in NEVER)] == []
    known = {"log": "process.stopping", "metric": "payproof_questions", "finding": "shop-away", "repr": "***"}
    missing = [name for name, text in places.items() if known.get(name, "aamarpay") not in text]
    assert missing == [], "each place was read"
