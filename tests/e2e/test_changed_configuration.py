"""A running fleet whose configuration changes: each row of the table in the operating guide, over real processes.

The first process has the old configuration and the second the new one, for as long as a test mixes them.
"""

from __future__ import annotations

import asyncio
import base64
import os
import re
import secrets
from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from tests.contract import RELEASED, ROOT
from tests.e2e.reconfigured import Node, Shop, replaced, shopping, with_webhook, without_account
from tests.harness import System
from tests.integration.endpoints import Hook, hooking
from tests.integration.rolling import SETTINGS, without_newer_gateways
from tests.processes import directory, until
from tests.schema import archived, commit_of, has_history
from worker.postgres.server.dbmate import _dbmate, dbmate_url
from worker.postgres.server.embedded import embedded_here
from worker.runtime.encryption import new_archive_key

MIGRATIONS = ROOT / "schemas/sql"
NOWHERE = "http://127.0.0.1:9/hook"
OLD, NEW = ("whsec_" + base64.b64encode(letter * 24).decode() for letter in (b"o", b"n"))


@pytest.fixture
def system() -> Iterator[System]:
    with directory() as place:
        yield System(place, settings=SETTINGS, secret=OLD)


@pytest.fixture
def dsn(system: System) -> Iterator[str]:
    with embedded_here(system.place / "data") as url:
        yield url


@pytest.fixture
async def shop(system: System, dsn: str) -> AsyncIterator[Shop]:
    async with shopping(system, dsn) as shop:
        yield shop


@pytest.fixture
def config(system: System) -> str:
    system.configure()
    return system.config.read_text()


def verified(secret: str, hook: Hook) -> list[bool]:
    """Whether each webhook is signed with this secret."""

    def good(headers: dict[str, str], body: bytes) -> bool:
        try:
            Webhook(secret).verify(body, headers)
        except WebhookVerificationError:
            return False
        return True

    return [good(headers, body) for headers, body in hook.requests]


async def fetched(dsn: str, sql: str) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(dsn)
    try:
        return list(await connection.fetch(sql))
    finally:
        await connection.close()


async def metric(shop: Shop, node: Node, name: str) -> list[float]:
    """The values of all series of a metric."""
    _, text = await shop.get(f"{node.ops_url}/metrics")
    return [float(value) for value in re.findall(rf"(?m)^{name}\{{.*\}} (\S+)$", text)]


async def test_an_account_removed_with_payments_open_is_told_and_they_settle_once_it_is_back(
    shop: Shop, config: str
) -> None:
    node = shop.first
    await node.start(config)
    scene = await shop.opens("ipay", node)
    await node.start(without_account(config, "shop-ipay"))
    assert await shop.pays(scene, node) == 404
    told = await node.says("doctor")
    assert told.code == 1
    assert "account shop-ipay: its payments are stored here, and it is not in the configuration; 1 of them" in told.out
    assert (await shop.payment(scene, node))["status"] == "pending"
    await node.start(config)
    await shop.completed(scene, node)


async def test_an_account_is_added_while_a_process_does_not_know_it(shop: Shop, dsn: str, config: str) -> None:
    """In the worst order: `ingress` knows the account first. The only `consume` takes claims of the same gateway."""
    await shop.first.start(without_account(config, "shop-payparse"))
    await shop.second.start(config, roles="ingress,sweep")
    scenes = [await shop.opens("payparse", shop.second) for _ in range(3)]
    for scene in scenes:
        await shop.pays(scene, shop.second)
    await until(lambda: "claims.unknown_account" in shop.first.log or None, what="it took a claim")
    assert (await shop.payment(scenes[0], shop.first))["account"] == "shop-payparse", "the shop sees its payments"
    await shop.first.start(config)
    for scene in scenes:
        await shop.completed(scene, shop.first, seconds=120)
    assert await fetched(dsn, "SELECT FROM dead") == []


async def test_an_api_key_is_rotated(shop: Shop, system: System, config: str) -> None:
    key = secrets.token_urlsafe(24)
    both = replaced(config, {system.keys: f'api_keys = ["{system.key}", "{key}"]'})
    await shop.first.start(config)
    await shop.second.start(both)

    async def statuses(node: Node) -> list[int]:
        return [(await shop.get(f"{node.url}/v1/payments", one))[0] for one in (system.key, key)]

    assert await statuses(shop.first) == [200, 401], "the shop waits with the new key until every process has it"
    assert await statuses(shop.second) == [200, 200]
    await shop.first.start(both)
    scene = await shop.opens("ipay", shop.first, key)
    await shop.pays(scene, shop.first)
    await shop.completed(scene, shop.first)
    await shop.second.start(replaced(config, {system.keys: f'api_keys = ["{key}"]'}))
    assert await statuses(shop.second) == [401, 200]


async def test_a_webhook_secret_is_rotated_and_the_shop_can_always_verify(shop: Shop, config: str) -> None:
    async with hooking(Hook()) as hook:
        old = with_webhook(config, id="erp", url=hook.url, secret=OLD)
        both = with_webhook(config, id="erp", url=hook.url, secret=NEW, previous_secrets=[OLD])

        async def told(node: Node, events: int) -> None:
            before = len(hook.requests)
            await shop.opens("ipay", node)
            await until(lambda: len(hook.requests) >= before + events, what="the shop was told", seconds=60)

        await shop.first.start(old)
        await shop.second.start(both)
        for node in (shop.first, shop.second, shop.first):
            await told(node, 1)
        assert all(verified(OLD, hook)), "the shop that knows the old secret verifies what each process sends"
        await shop.first.start(both)
        hook.requests.clear()
        await told(shop.first, 1)
        assert all(verified(OLD, hook))
        assert all(verified(NEW, hook))
        new = with_webhook(config, id="erp", url=hook.url, secret=NEW)
        await shop.first.start(new)
        await shop.second.start(new)
        hook.requests.clear()
        await told(shop.first, 1)
        assert all(verified(NEW, hook))
        assert not any(verified(OLD, hook))


async def test_the_archives_key_is_rotated_and_old_callbacks_are_read(shop: Shop, dsn: str, config: str) -> None:
    old_key, new_key = new_archive_key(), new_archive_key()

    def keys(*keys: str) -> str:
        quoted = ", ".join(f'"{key}"' for key in keys)
        return replaced(config, {"[checks]": f"[archive]\nkeys = [{quoted}]\n\n[checks]"})

    async def archived(at_least: int) -> list[str]:
        async def found() -> list[str] | None:
            rows = await fetched(dsn, "SELECT claim_id FROM archive ORDER BY received_at")
            return [row["claim_id"] for row in rows] if len(rows) >= at_least else None

        return await until(found, what=f"callbacks in the archive: {at_least}")

    await shop.first.start(keys(old_key))
    await shop.pays(await shop.opens("ipay", shop.first), shop.first)
    await archived(1)  # by this process: later either of the two may be the one that writes it
    await shop.second.start(keys(new_key, old_key))
    await shop.pays(await shop.opens("ipay", shop.second), shop.second)
    claims = await archived(2)
    for claim in claims:
        shown = await shop.second.says("archive", "show", claim)
        assert (shown.code, '"callback"' in shown.out) == (0, True), shown
    await shop.second.start(keys(new_key))
    codes = sorted([(await shop.second.says("archive", "show", claim)).code for claim in claims])
    assert codes[-1] == 1, "what the old key encrypted cannot be read without it"


async def test_a_gateways_key_is_rotated_with_claims_in_flight(shop: Shop, config: str) -> None:
    """The gateway knows one key alone. A process with another gets no answer, which proves nothing."""
    wrong = replaced(config, {'api_key = "sandbox-ipay-key"': 'api_key = "a-key-that-was-revoked"'})
    await shop.first.start(config)
    scenes = [await shop.opens("ipay", shop.first) for _ in range(3)]
    await shop.first.start(wrong)
    for scene in scenes:
        await shop.pays(scene, shop.first)
    told = await shop.first.says("doctor")
    assert "account shop-ipay: it refuses the key or password" in told.out
    assert [(await shop.payment(scene, shop.first))["status"] for scene in scenes] == ["pending"] * 3
    await shop.second.start(config)  # for minutes one process has the right key and the other has not
    mixed = await shop.opens("ipay", shop.second)
    await shop.pays(mixed, shop.second)
    await shop.first.start(config)
    for scene in (*scenes, mixed):
        await shop.completed(scene, shop.first)


async def test_an_endpoint_with_an_id_moves_and_no_event_is_lost(shop: Shop, config: str) -> None:
    async with hooking(Hook(410)) as gone, hooking(Hook()) as hook:
        await shop.first.start(with_webhook(config, url=gone.url, secret=OLD))
        await shop.first.start(with_webhook(config, id="erp", url=gone.url, secret=OLD))
        scenes = [await shop.opens("ipay", shop.first)]
        await until(lambda: gone.heard or None, what="the old URL answered 410")
        await shop.second.start(with_webhook(config, id="erp", url=hook.url, secret=OLD))
        scenes += [await shop.opens("ipay", shop.first) for _ in range(4)]
        await shop.first.start(with_webhook(config, id="erp", url=hook.url, secret=OLD))
        wanted = {f"{scene.payment['payment_id']}.1" for scene in scenes}
        await until(lambda: wanted <= set(hook.taken), what="all events came to the new URL", seconds=60)
        listed = await shop.first.says("webhooks", "list")
        assert "(erp)" in listed.out
        assert hook.url in listed.out
        assert "not configured" not in listed.out


async def test_an_endpoint_without_an_id_moves_by_a_persons_command(shop: Shop, config: str) -> None:
    node = shop.first
    async with hooking(Hook()) as hook:
        await node.start(with_webhook(config, url=NOWHERE, secret=OLD))
        scene = await shop.opens("ipay", node)

        async def tried() -> bool:
            return "1 failure" in (await node.says("webhooks", "list")).out

        await until(tried, what="it was tried", seconds=60)
        await node.start(with_webhook(config, url=hook.url, secret=OLD))
        told = await node.says("doctor")
        (old,) = re.findall(r"endpoint (wh_\w{12}) of [a-z-]+: 1 events wait for it", told.out)
        assert told.code == 1
        assert await metric(shop, node, "payproof_deliveries_orphaned") == [1]
        assert (await node.says("webhooks", "drop", old)).code == 2, "it asks, and here nobody can be asked"
        moved = await node.says("webhooks", "move", old, hook.url)
        assert (moved.code, moved.out.partition(" ")[0]) == (0, "1"), moved
        event = f"{scene.payment['payment_id']}.1"
        await until(lambda: event in hook.taken, what="it came to the new URL", seconds=60)
        assert "not configured" not in (await node.says("webhooks", "list")).out
        again = await node.says("webhooks", "move", old, hook.url)
        assert (again.code, "no events wait" in again.out) == (2, True)


async def test_an_endpoint_is_removed_and_a_person_gives_up_what_waits(shop: Shop, config: str) -> None:
    node = shop.first
    await node.start(with_webhook(config, id="erp", url=NOWHERE, secret=OLD))
    await shop.opens("ipay", node)
    await until(lambda: _waits(node), what="it waits", seconds=60)
    refused = await node.says("webhooks", "drop", "erp", "--yes")
    assert (refused.code, "is in the configuration" in refused.out) == (2, True)
    await node.start(with_webhook(config))
    dropped = await node.says("webhooks", "drop", "erp", "--yes")
    assert (dropped.code, "1 events were given up" in dropped.out) == (0, True), dropped
    assert await metric(shop, node, "payproof_deliveries_orphaned") == []


async def _waits(node: Node) -> bool:
    return "1 failure" in (await node.says("webhooks", "list")).out


async def test_a_downgrade_keeps_the_data_and_an_upgrade_after_it_too(shop: Shop, dsn: str, config: str) -> None:
    """The program of 0.3.0 on the schema of 0.3.0, after the newer migrations were taken back one by one."""
    if not has_history():
        pytest.skip("what was released is in the history, and this copy has none")
    config = re.sub(r"(?m)^keys = .*key = (\"[^\"]*\").*$", r"api_keys = [\1]", without_newer_gateways(config))
    async with hooking(Hook(500)) as hook:
        await shop.first.start(with_webhook(config, id="erp", url=hook.url, secret=OLD))
        paid, waiting = await shop.opens("ipay", shop.first), await shop.opens("moneybag", shop.first)
        await shop.pays(paid, shop.first)
        await shop.completed(paid, shop.first)
        await until(lambda: len(hook.heard) >= 3 or None, what="the endpoint was told in vain", seconds=60)
        await shop.first.stop()
        with directory() as code:
            older = archived(commit_of(RELEASED / "0.3.0"), code)
            known = {file.name for file in (older / "schemas/sql").glob("*.sql")}
            for _ in {file.name for file in MIGRATIONS.glob("*.sql")} - known:
                await rolled_back(dsn)
            applied = {row["version"] for row in await fetched(dsn, "SELECT version FROM schema_migrations")}
            assert applied == {name.partition("_")[0] for name in known}
            hook.answers = 204
            await shop.first.start(with_webhook(config, url=hook.url, secret=OLD), older)  # it knows no `id`
            await shop.pays(waiting, shop.first)
            await shop.completed(waiting, shop.first)
            assert (await shop.payment(paid, shop.first))["status"] == "completed"
            enabled = await shop.first.says("webhooks", "enable", code=older)
            assert enabled.code == 0, enabled
            wanted = {f"{scene.payment['payment_id']}.{version}" for scene in (paid, waiting) for version in (1, 2)}
            await until(lambda: wanted <= set(hook.taken) or None, what="what waited is sent", seconds=60)
            await shop.first.stop()
        await shop.first.start(with_webhook(config, id="erp", url=hook.url, secret=OLD))
        last = await shop.opens("ipay", shop.first)
        await shop.pays(last, shop.first)
        await shop.completed(last, shop.first)
        await until(lambda: f"{last.payment['payment_id']}.2" in hook.taken or None, what="it is told", seconds=60)
    places = [row["place"] for row in await fetched(dsn, "SELECT place FROM events ORDER BY place")]
    assert places == list(range(1, len(places) + 1))
    assert len(await fetched(dsn, "SELECT FROM endpoints")) == 1


async def rolled_back(dsn: str) -> None:
    """Take back the newest migration, as an operator does with dbmate."""
    words = ("--no-dump-schema", "--env-file", os.devnull, "--migrations-dir", str(MIGRATIONS), "rollback")
    settings = {"DATABASE_URL": await dbmate_url(dsn), "PATH": os.environ["PATH"]}
    process = await asyncio.create_subprocess_exec(
        _dbmate(), *words, env=settings, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    out, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, out.decode()
