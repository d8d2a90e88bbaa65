"""A person finds by any id, in any case; by a phone number or an address of which only a keyed hash is stored."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from asyncpg.connection import LoggedQuery

from consumers.ports.openings import OpeningRefused
from schemas.words import Status
from tests.integration.shops import CONFIG, TRACKED, Shops, serving
from tests.integration.test_reads import PAYMENTS
from worker.postgres.archive import forget_contacts
from worker.postgres.database import Database, connect
from worker.postgres.ledger.postgres_ledger import PostgresLedger
from worker.postgres.reads.find import FindScope, Found, find, scope_of
from worker.runtime.contacts import ContactKeys

KEYS = ContactKeys([b"k" * 32])
SHOP = scope_of(CONFIG, ["shop"])
ALL = scope_of(CONFIG)
RUN = "rec_" + "0" * 26


@pytest.fixture
async def keyed(database: Database) -> AsyncIterator[Shops]:
    """The API of a process that has a key for contacts."""
    async with serving(database, ledger=PostgresLedger(database, contacts=KEYS)) as shops:
        yield shops


async def found(database: Database, typed: str, scope: FindScope = SHOP, keys: ContactKeys = KEYS) -> Found:
    return await find(database, typed, scope, keys)


def named(found: Found) -> list[tuple[str, str]]:
    return [(one.payment.id, one.by) for one in found.payments]


async def paid(shops: Shops, **changes: Any) -> dict[str, Any]:
    got = await shops.post("/v1/payments/track", {**TRACKED, **changes})
    assert got.status == 201, got
    await shops.answered(got.body, Status.COMPLETED, transaction_id="9AbC7xYz")
    payment = await shops.get(f"/v1/payments/{got.body['payment_id']}")
    return dict(payment.body)


async def test_a_payment_is_found_by_each_of_its_ids_in_any_case(shops: Shops) -> None:
    payment = await paid(shops, reference="Order-7831-A1", session_id="Tr-9F", order="Two Saris")
    payment_id = payment["payment_id"]
    kept = {
        payment_id: "payment",
        f"{payment_id}.1": "event",
        "Order-7831-A1": "reference",
        "Two Saris": "order",
        "Tr-9F": "session",
        "9AbC7xYz": "transaction",
    }
    for name, by in kept.items():
        for typed in (name, name.upper(), name.lower(), f"  {name} "):
            assert named(await found(shops.database, typed)) == [(payment_id, by)], typed
            assert named(await found(shops.database, typed, scope_of(CONFIG, ["other"]))) == []
    for typed in ("", " ", "\0", "x" * 1000, "Order-7831", f"{payment_id}.9", "%", "Two Saris'; --"):
        assert (await found(shops.database, typed)).count == 0, typed


async def test_a_name_that_is_exactly_an_id_finds_no_other_case_of_it(shops: Shops) -> None:
    small = await shops.opened(reference="a-1")
    large = await shops.opened(reference="A-1")
    assert named(await found(shops.database, "a-1")) == [(small["payment_id"], "reference")]
    assert named(await found(shops.database, "A-1")) == [(large["payment_id"], "reference")]
    mixed = await shops.opened(reference="bB")
    both = [(one["payment_id"], "reference") for one in (mixed, await shops.opened(reference="Bb"))]
    assert named(await found(shops.database, "BB")) == both


async def test_only_the_letters_a_to_z_have_a_case(shops: Shops) -> None:
    payment = await shops.opened(order="ÉTÉ ১২")
    assert named(await found(shops.database, "été ১২")) == []
    assert named(await found(shops.database, "ÉtÉ ১২")) == [(payment["payment_id"], "order")]


async def test_endpoints_and_runs_are_found_in_the_scope_alone(shops: Shops) -> None:
    await shops.database.execute(
        """INSERT INTO endpoints (id, merchant, url, place, configured_id)
           VALUES ('wh_0123456789ab', 'shop', 'https://shop.example/Hook', 0, 'main')"""
    )
    await shops.database.execute(
        """INSERT INTO statements (id, account, source, started_at, dry_run, seen_before, sums)
           VALUES ($1, 'shop-ipay', 'may.csv', now(), false, false, '{}')""",
        RUN,
    )
    for typed in ("wh_0123456789ab", "WH_0123456789AB", "main", "https://shop.example/Hook"):
        assert [one.id for one in (await found(shops.database, typed)).endpoints] == ["wh_0123456789ab"]
    assert [one.id for one in (await found(shops.database, RUN.upper())).runs] == [RUN]
    for typed in ("main", RUN):
        assert (await found(shops.database, typed, scope_of(CONFIG, ["other"]))).count == 0


async def test_a_deleted_payment_is_said_to_be_deleted(shops: Shops) -> None:
    payment_id = "pay_" + "7" * 26
    await shops.database.execute(
        "INSERT INTO past_payments (id, merchant, account, reference) VALUES ($1, 'shop', 'shop-one', 'old')",
        payment_id,
    )
    assert (await found(shops.database, payment_id)).deleted_at is not None
    assert (await found(shops.database, payment_id, scope_of(CONFIG, ["other"]))).deleted_at is None


PHONES = ("01712345678", "+8801712345678", "8801712345678", "00880 1712-345678", "+880 (0)1712 345678", "০১৭১২৩৪৫৬৭৮")


async def test_a_buyer_is_found_by_any_form_of_a_phone_number_and_by_an_address(keyed: Shops) -> None:
    first = await keyed.opened(reference="a", customer={"phone": "01712-345678", "email": "Karim@Shop.example"})
    second = await keyed.opened(reference="b", customer={"phone": "+8801712345678"})
    await keyed.opened(reference="c", customer={"phone": "01712345679", "email": ""})
    await keyed.opened(reference="d")
    theirs = [(one["payment_id"], "contact") for one in (first, second)]
    for typed in PHONES:
        assert named(await found(keyed.database, typed)) == theirs, typed
    assert named(await found(keyed.database, " karim@SHOP.example ")) == theirs[:1]
    assert named(await found(keyed.database, PHONES[0], scope_of(CONFIG, ["other"]))) == []
    for typed in ("0171234567", "karim@shop.exampl", "shop.example"):
        assert (await found(keyed.database, typed)).count == 0


async def test_what_is_stored_of_a_contact_reveals_nothing(keyed: Shops) -> None:
    await keyed.opened(reference="a", customer={"phone": "01712345678", "email": "karim@shop.example"})
    await keyed.open(shop="other", account="other-one", reference="a", customer={"phone": "01712345678"})
    rows = await keyed.database.fetch("SELECT hash FROM contacts")
    assert len({row["hash"] for row in rows}) == 3  # the same buyer has another hash at another shop
    assert {len(row["hash"]) for row in rows} == {32}
    assert not {row["hash"] for row in rows} & set(ContactKeys([b"x" * 32]).of_typed(["shop"], "01712345678"))


async def test_a_process_without_a_key_stores_nothing(shops: Shops) -> None:
    await shops.opened(reference="b", customer={"phone": "01712345678", "email": "karim@shop.example"})
    assert await shops.database.fetch("SELECT FROM contacts") == []


async def test_a_former_key_still_finds_and_without_keys_find_says_so(keyed: Shops) -> None:
    payment = await keyed.opened(reference="a", customer={"phone": "01712345678"})
    rotated = ContactKeys([b"n" * 32, b"k" * 32])
    assert named(await found(keyed.database, "01712345678", keys=rotated)) == [(payment["payment_id"], "contact")]
    only_new = await found(keyed.database, "01712345678", keys=ContactKeys([b"n" * 32]))
    assert (only_new.count, only_new.no_contact_key) == (0, False)
    none = await found(keyed.database, "01712345678", keys=ContactKeys())
    assert (none.count, none.no_contact_key) == (0, True)
    assert not (await found(keyed.database, "order-1", keys=ContactKeys())).no_contact_key


async def test_hashes_go_with_their_payment_and_after_their_retention(keyed: Shops) -> None:
    first = await keyed.opened(reference="a", customer={"phone": "01712345678", "email": "a@b.example"})
    await keyed.opened(reference="b", customer={"phone": "01712345678"})
    await keyed.database.execute(
        "UPDATE contacts SET recorded_at = now() - interval '91 days' WHERE payment_id = $1", first["payment_id"]
    )
    assert await forget_contacts(timedelta(days=90), keyed.database, 10) == 2
    assert await forget_contacts(timedelta(days=90), keyed.database, 10) == 0
    assert len(await keyed.database.fetch("SELECT FROM contacts")) == 1
    keyed.checkout.script(OpeningRefused(message="no"))
    refused = await keyed.open(reference="c", customer={"phone": "01812345678"})
    assert refused.status == 422
    assert len(await keyed.database.fetch("SELECT FROM contacts")) == 1


async def test_finding_reads_few_blocks_however_many_payments_there_are(dsn: str) -> None:
    said: list[LoggedQuery] = []
    async with connect(dsn, size=1) as database:
        await database.execute(PAYMENTS, 20_000)
        await database.execute(
            """INSERT INTO sessions SELECT account, 'Sess-' || id, id FROM payments;
               INSERT INTO transactions SELECT account, 'TX-' || id, id FROM payments;
               INSERT INTO contacts SELECT id, sha256(id::bytea) FROM payments;
               ALTER TABLE payments DISABLE TRIGGER USER; UPDATE payments SET order_ref = 'Order-' || id"""
        )
        await database.execute("VACUUM ANALYZE")
        one = f"pay_{77:026d}"
        for typed in (one, "REF-77", f"sess-{one}", f"tx-{one}", f"order-{one}", "nothing-of-this-name", "01712345678"):
            async with database.connection() as connection:
                connection.add_query_logger(said.append)
            await find(database, typed, ALL, KEYS)
            async with database.connection() as connection:
                connection.remove_query_logger(said.append)
                read = 0
                for query in [one for one in said if "SELECT" in one.query and "server_name" not in one.query]:
                    (plan,) = msgspec.json.decode(
                        await connection.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {query.query}", *query.args)
                    )
                    read += plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"]
                said.clear()
            assert read < 150, (typed, read)
