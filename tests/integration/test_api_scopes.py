"""What an API key may do, over HTTP: each operation has its scope. A wrong key is slowed, and a right one never is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from ipaddress import ip_network

import pytest
from msgspec.structs import replace

from schemas.secret import Secret
from schemas.words import Scope
from tests.integration.shops import CONFIG, KEYS, OLDER_KEY, Got, Shops, serving
from worker.api.operations import OPERATIONS, Operation
from worker.config import ApiKey, Config
from worker.ingress.rate_limits import RateLimits
from worker.postgres.database import Database
from worker.telemetry.metrics import Metrics

KEYED = [operation for operation in OPERATIONS if operation.path.startswith("/v1")]
MISSING = "pay_" + "0" * 26
ADDRESS, NEIGHBOUR = {"X-Forwarded-For": "203.0.113.7"}, {"X-Forwarded-For": "203.0.113.8"}


def key_of(scope: Scope) -> str:
    return f"a-key-of-the-shop-that-may-{scope.value}"


def scoped() -> Config:
    """CONFIG with a key of the shop for each scope."""
    keys = tuple(ApiKey(name=f"may-{one.value}", key=Secret(key_of(one)), may=frozenset({one})) for one in Scope)
    shop, *others = CONFIG.merchants
    return replace(CONFIG, merchants=(replace(shop, keys=(*shop.keys, *keys)), *others))


@pytest.fixture
async def scopes(database: Database) -> AsyncIterator[Shops]:
    async with serving(database, config=scoped()) as found:
        yield found


async def call(shops: Shops, operation: Operation, key: str) -> Got:
    path = operation.path.format(payment_id=MISSING, webhook_id="wh_" + "0" * 12, event_id=f"{MISSING}.1")
    headers = {"Authorization": f"Bearer {key}"}
    return await shops.call(operation.method.upper(), path, shop=None, headers=headers)


def test_every_keyed_operation_has_a_scope_and_every_scope_an_operation() -> None:
    assert [one.name for one in KEYED if one.scope is None] == []
    assert {one.scope for one in KEYED} == set(Scope)
    assert [one.name for one in OPERATIONS if one.scope is not None and one not in KEYED] == []


@pytest.mark.parametrize("operation", KEYED, ids=lambda one: one.name)
async def test_a_key_may_what_its_scopes_say_and_nothing_else(scopes: Shops, operation: Operation) -> None:
    for scope in Scope:
        got = await call(scopes, operation, key_of(scope))
        assert (got.status == 403) is (scope is not operation.scope), (scope, got.body)
        if got.status == 403:
            assert got.problem == (403, "scope", None)
            assert got.body["detail"].endswith(f"; the key may-{scope.value} may {scope.value}")
            assert f"may {operation.scope};" in got.body["detail"]


@pytest.mark.parametrize("operation", KEYED, ids=lambda one: one.name)
async def test_a_key_of_the_list_may_all_but_resolve(scopes: Shops, operation: Operation) -> None:
    got = await call(scopes, operation, OLDER_KEY)
    assert (got.status == 403) is (operation.scope is Scope.RESOLVE)


async def test_a_key_without_the_scope_to_read_is_refused_the_head_of_a_page_too(scopes: Shops) -> None:
    headers = {"Authorization": f"Bearer {key_of(Scope.OPEN)}"}
    async with scopes.session.head(f"{scopes.url}/v1/payments", headers=headers) as got:
        assert got.status == 403


async def test_wrong_keys_are_counted_and_slowed_and_a_right_one_of_the_same_address_is_not(database: Database) -> None:
    metrics, limits = Metrics(), RateLimits([ip_network("127.0.0.1/32")], clock=lambda: 0.0)
    async with serving(database, wrong_key_wait=limits.wrong_key_wait, keys_refused=metrics.keys_refused) as shops:

        async def presents(key: str, address: dict[str, str]) -> Got:
            return await shops.call(
                "GET", "/v1/payments", shop=None, headers={"Authorization": f"Bearer {key}", **address}
            )

        async def slowed() -> int:
            """How many wrong keys are refused with 401 before the first 429."""
            for number in range(100):
                got = await presents(f"wrong-{number}", ADDRESS)
                if got.status == 429:
                    assert got.problem == (429, "too_many_wrong_keys", None)
                    assert got.headers["Retry-After"] == "10"
                    return number
                assert got.problem == (401, "unauthorized", None)
            raise AssertionError("nothing slows an address that guesses")

        refused = await slowed()
        assert refused == 20
        assert (await presents(KEYS["shop"], ADDRESS)).status == 200
        assert (await presents("wrong", ADDRESS)).status == 429
        assert (await presents("wrong", NEIGHBOUR)).status == 401
        assert metrics.registry.get_sample_value("payproof_api_keys_refused_total") == refused + 3
        assert (await shops.call("GET", "/v1/payments", shop=None, headers=ADDRESS)).status == 401, "no key is no guess"
        assert metrics.registry.get_sample_value("payproof_api_keys_refused_total") == refused + 3
