"""Orders with several attempts, of which two may be paid: nothing is shipped wrongly, and nothing is lost.

Every story of `two_attempts` comes to the three receivers in every order of its events.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime

import aiohttp
import asyncpg
import pytest

from schemas.secret import Secret
from tests.e2e.buyers import WEBHOOK_SECRET
from tests.e2e.receivers import Example, examples
from tests.e2e.two_attempts import PAID, STORIES, Story, played
from tests.e2e.wordpress import mariadb
from tests.processes import directory
from worker.deliver.sender import signature_headers
from worker.postgres.server.embedded import embedded_here


@pytest.fixture(scope="module")
def receivers() -> Iterator[list[Example]]:
    """The three, and PHP's with MariaDB."""
    with directory() as home:
        home.chmod(0o755)  # the servers' own users must get through
        (home / "more").mkdir()
        with embedded_here(home / "data"), mariadb(home / "more") as socket:
            postgres = home / "data" / "postgres"
            asyncio.run(_make_database(str(postgres)))
            three = examples("receiver", home, WEBHOOK_SECRET, postgres)
            php = examples("receiver", home / "more", WEBHOOK_SECRET, postgres)[-1]
            php.environment |= {
                "DATABASE": f"mysql:unix_socket={socket};dbname=shop;charset=utf8mb4",
                "DB_USER": "root",
            }
            yield [*three, php]


@pytest.mark.parametrize("which", range(4), ids=["python", "node", "php", "php with MariaDB"])
async def test_each_order_of_events_ends_alike(which: int, receivers: list[Example]) -> None:
    receiver = receivers[which]
    await receiver.start()
    try:
        async with aiohttp.ClientSession() as http:
            for number, story in enumerate(STORIES):
                for name, events in played(story, f"story-{number}"):
                    for event in events:
                        await posted(http, receiver, event)
                    leaving = [order for (order,) in await receiver.leaving(name)]
                    assert leaving == [name] * (story.ends == "paid"), (story.name, events)
    finally:
        await receiver.stop()


async def test_mariadb_tells_names_apart_by_their_letters(receivers: list[Example]) -> None:
    """Its usual collations take `A` for `a`, and short columns cut long names."""
    php = receivers[3]
    await php.start()
    try:
        async with aiohttp.ClientSession() as http:
            (_, (paid,)) = played(Story("", [[PAID]], "paid"), "letters")[0]
            for number, (order, status) in enumerate(
                (("abc", "completed"), ("ABC", "expired"), ("ক" * 100, "completed"))
            ):
                await posted(http, php, paid | {"order": order, "payment_id": f"pay_{number}", "status": status})
        for order, leaves in (("abc", 1), ("ABC", 0), ("ক" * 100, 1)):
            assert len(await php.leaving(order)) == leaves, order
    finally:
        await php.stop()


async def posted(http: aiohttp.ClientSession, receiver: Example, payment: dict[str, object]) -> None:
    name = f"{payment['payment_id']}.{payment['version']}"
    body = json.dumps({"id": name, "type": f"payment.{payment['status']}", "data": payment}).encode()
    headers = signature_headers([Secret(WEBHOOK_SECRET)], name, datetime.now(UTC), body)
    async with http.post(receiver.url, data=body, headers=headers) as answered:
        assert answered.status == 200, receiver.log.read_text()


async def _make_database(socket: str) -> None:
    admin = await asyncpg.connect(host=socket, user="payproof", database="postgres")
    await admin.execute("CREATE DATABASE shop")
    await admin.close()
