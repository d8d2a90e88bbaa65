"""Paths that name no payment of ours, at the endpoints without a key: they ask nothing and fill nothing."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from tests.integration.shops import CONFIG, Shops
from tests.integration.test_kept import WISH, count, queued, taken
from worker.ingress.byte_budgets import ByteBudgets
from worker.ingress.ingress import ingress_of
from worker.ingress.returns import Returns
from worker.ingress.waiters import PaymentWaiters
from worker.ingress.webhooks import Webhooks
from worker.telemetry.metrics import Metrics

NOBODY = "pay_" + "z" * 26
TOLD = {"order_id": WISH["reference"], "transaction_id": "T-1", "status": "SUCCESS"}

Buyer = TestClient[Any, Any]


@pytest.fixture
async def door(shops: Shops) -> AsyncIterator[Buyer]:
    database = shops.database
    parts = PaymentWaiters(), ByteBudgets(10**9, database.clock.now), Metrics()
    ingress = ingress_of(CONFIG, shops.api.ledger, shops.api.bus, database.clock, *parts)
    app = web.Application()
    app.add_routes([*Returns(ingress).routes(), *Webhooks(ingress).routes()])
    async with TestClient(TestServer(app)) as client:
        yield client


@pytest.mark.parametrize("path", [f"/ipn/shop-bag/{NOBODY}", f"/return/shop-bag/{NOBODY}"])
async def test_ids_of_a_payment_behind_a_path_of_none_ask_nothing(shops: Shops, door: Buyer, path: str) -> None:
    await shops.post("/v1/payments/track", WISH)
    for named in (TOLD, {**TOLD, "transaction_id": "T-2"}):
        assert (await door.get(path, params=named)).status == 404
    assert await queued(shops) == []


async def test_another_payments_path_is_as_good_as_none(shops: Shops, door: Buyer) -> None:
    await shops.post("/v1/payments/track", WISH)
    other = await shops.opened(reference="order-9")
    assert (await door.post(f"/ipn/shop-bag/{other['payment_id']}", data=TOLD)).status == 404
    assert await queued(shops) == []


async def test_ids_of_a_payment_to_come_wait_whatever_their_path(shops: Shops, door: Buyer) -> None:
    assert (await door.post(f"/ipn/shop-bag/{NOBODY}", data=TOLD)).status == 404
    assert await taken(shops, *(await queued(shops))) == []
    assert await count(shops.database, "kept") == 1
    await shops.post("/v1/payments/track", WISH)
    assert len(await taken(shops, *(await queued(shops)))) == 1


@pytest.mark.parametrize("path", [f"/ipn/shop-bag/{NOBODY}", "/ipn/shop-bag"])
async def test_of_what_names_nothing_of_ours_so_much_is_queued(shops: Shops, door: Buyer, path: str) -> None:
    async def hit(transaction_id: str) -> int:
        async with door.post(path, data={**TOLD, "transaction_id": transaction_id}) as answered:
            return answered.status

    counted = Counter[int]()
    for _ in range(12):
        counted.update(await asyncio.gather(*(hit("T-1") for _ in range(100))))
    assert counted.keys() == {404 if NOBODY in path else 200, 429}
    assert 1000 <= await count(shops.database, "queue") <= 1100
    assert await hit("T-2") != 429, "another id has an allowance of its own"
