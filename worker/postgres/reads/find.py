"""Finding what a person means by an id: a payment by any of its ids, an endpoint, or a run over a statement.

Ids are compared exactly first. If no payment has the id so, it is looked up again without regard to case, which is that
of the letters A to Z alone. Each look-up is answered by an index, however many payments there are. A thorough
search of the answers reads whole tables: it is for a person at a terminal, never for a page or the API.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Literal

import asyncpg
from msgspec import Struct

from schemas.payments import Payment
from schemas.report import Run
from worker.config import Config
from worker.config.webhook_endpoints import without_query
from worker.postgres.database import Connection, Reads
from worker.postgres.ledger.rows import PAYMENT, payment_of
from worker.postgres.past_payments import deleted_at
from worker.postgres.statements.runs import read_run
from worker.runtime.contacts import ContactKeys, is_contact

MOST_FOUND = 50
LONGEST_ID = 300

FoundBy = Literal["payment", "event", "reference", "order", "session", "transaction", "contact", "answer"]
_BY: tuple[FoundBy, ...] = ("payment", "event", "reference", "order", "session", "transaction", "contact")

ACCOUNTS = """
    WITH RECURSIVE used AS (
        (SELECT account FROM payments ORDER BY account LIMIT 1)
        UNION ALL
        SELECT (SELECT p.account FROM payments p WHERE p.account > used.account ORDER BY p.account LIMIT 1)
        FROM used WHERE used.account IS NOT NULL)
    SELECT account FROM used WHERE account IS NOT NULL
"""
"""The accounts that have payments. It looks into the index once for each of them."""


def _folded(column: str) -> str:
    """The condition of the partial indexes on names that have capital letters."""
    low = f'lower({column} COLLATE "C")'
    return f"{low} = $1 AND {column} <> {low}"


_EXACT = """
        SELECT id, 1 AS rank FROM payments WHERE id = $1
        UNION ALL SELECT v.payment_id, 2 FROM events v WHERE v.id = $1
        UNION ALL SELECT p.id, 3 FROM accounts a JOIN payments p ON p.account = a.account AND p.reference = $1
        UNION ALL SELECT o.id, 4 FROM payments o WHERE o.merchant = ANY($2) AND o.order_ref = $1
        UNION ALL SELECT s.payment_id, 5 FROM accounts a JOIN sessions s ON s.account = a.account AND s.session_id = $1
        UNION ALL SELECT t.payment_id, 6
            FROM accounts a JOIN transactions t ON t.account = a.account AND t.transaction_id = $1
"""
_ANY_CASE = f"""{_EXACT}
        UNION ALL SELECT p.id, 3 FROM payments p WHERE {_folded("p.reference")}
        UNION ALL SELECT o.id, 4 FROM payments o WHERE {_folded("o.order_ref")}
        UNION ALL SELECT s.payment_id, 5 FROM sessions s WHERE {_folded("s.session_id")}
        UNION ALL SELECT t.payment_id, 6 FROM transactions t WHERE {_folded("t.transaction_id")}
"""  # noqa: S608 - our own words
_FIND = """
    WITH accounts AS ({accounts}), found AS ({found}),
    best AS (SELECT id, min(rank) AS rank FROM found GROUP BY id)
    SELECT {payment}, best.rank FROM best JOIN payments p USING (id) WHERE p.merchant = ANY($2)
    ORDER BY p.opened_at DESC, p.id DESC LIMIT {most}
"""
_FOUND = {
    "exact": _FIND.format(accounts=ACCOUNTS, found=_EXACT, payment=PAYMENT, most=MOST_FOUND),
    "any case": _FIND.format(accounts=ACCOUNTS, found=_ANY_CASE, payment=PAYMENT, most=MOST_FOUND),
}
_OF_A_CONTACT = f"""
    SELECT {PAYMENT}, 7 AS rank FROM (
        SELECT DISTINCT payment_id FROM contacts WHERE hash = ANY($1)) AS c
    JOIN payments p ON p.id = c.payment_id WHERE p.merchant = ANY($2)
    ORDER BY p.opened_at DESC, p.id DESC LIMIT {MOST_FOUND}
"""  # noqa: S608 - our own words
_SEARCH = f"""
    SELECT {PAYMENT} FROM payments p WHERE p.merchant = ANY($2) AND (
        p.candidates @> jsonb_build_array(jsonb_build_object('transaction_id', $1::text))
        OR p.id IN (SELECT f.payment_id FROM facts f WHERE f.fact -> 'answer' ->> 'transaction_id' = $1))
    ORDER BY p.opened_at DESC, p.id DESC LIMIT {MOST_FOUND}
"""  # noqa: S608 - our own words
_ENDPOINT = """
    SELECT id, configured_id, merchant, url FROM endpoints
    WHERE merchant = ANY($2) AND (id = $1 OR configured_id = $1 OR url = $3) ORDER BY merchant, id
"""


class FindScope(Struct, frozen=True):
    """What the caller may see: these merchants, and runs over statements of these accounts."""

    merchants: tuple[str, ...]
    accounts: frozenset[str]


class FoundPayment(Struct, frozen=True):
    """`by`: which of its ids it was found by. `answer`: a transaction that only a claim or an answer named."""

    payment: Payment
    by: FoundBy


class FoundEndpoint(Struct, frozen=True, kw_only=True):
    id: str
    configured_id: str | None
    merchant: str
    url: str


class Found(Struct, frozen=True, kw_only=True):
    """Everything that has the id, oldest payment first, MOST_FOUND payments at most: the newest.

    `deleted_at`: when retention deleted the payment of this id. `no_contact_key`: it looks like a phone number or an
    e-mail address, and no key is configured, so that payments cannot be found by them.
    """

    payments: tuple[FoundPayment, ...] = ()
    endpoints: tuple[FoundEndpoint, ...] = ()
    runs: tuple[Run, ...] = ()
    deleted_at: datetime | None = None
    no_contact_key: bool = False

    @property
    def count(self) -> int:
        return len(self.payments) + len(self.endpoints) + len(self.runs)


def scope_of(config: Config, merchants: Collection[str] | None = None) -> FindScope:
    """The scope of these merchants; without them, of all that are configured."""
    seen = [one for one in config.merchants if merchants is None or one.id in merchants]
    return FindScope(tuple(one.id for one in seen), frozenset(account.id for one in seen for account in one.accounts))


async def find(
    database: Reads, typed: str, scope: FindScope, contacts: ContactKeys, *, thorough: bool = False
) -> Found:
    """Everything in the scope that has this id, or that is of a buyer with this phone number or e-mail address.

    `thorough`: if there is none, search the answers too, without an index.
    """
    name, merchants = typed.strip(), list(scope.merchants)
    if not _may_be_an_id(name):
        return Found()
    found = await _by_key(database, name, merchants)
    if is_contact(name) and contacts:
        known = {one.payment.id for one in found}
        hashes = contacts.of_typed(scope.merchants, name)
        rows = await database.fetch(_OF_A_CONTACT, hashes, merchants)
        found += [FoundPayment(payment_of(row), "contact") for row in rows if row["id"] not in known]
        found = sorted(found, key=_newest_last)[-MOST_FOUND:]
    low = folded(name)
    endpoints = [
        FoundEndpoint(**{**dict(row), "url": without_query(row["url"])})
        for row in await database.fetch(_ENDPOINT, low, merchants, name)
    ]
    run = await read_run(database, low) if low.startswith("rec_") else None
    runs = [run] if run is not None and run.account in scope.accounts else []
    past = None
    if not found and not endpoints and not runs:
        past = await deleted_at(database, merchants, low)
        if thorough and past is None:
            found = await _search_answers(database, name, merchants)
    return Found(
        payments=tuple(found),
        endpoints=tuple(endpoints),
        runs=tuple(runs),
        deleted_at=past,
        no_contact_key=is_contact(name) and not contacts,
    )


async def find_payments(
    database: Reads | Connection[asyncpg.Record], typed: str, merchants: Sequence[str], *, thorough: bool = True
) -> list[Payment]:
    """The payments of these merchants with this id, oldest first, MOST_FOUND at most: the newest.

    `thorough`: if there is none, search, without an index, for a transaction that only a claim or an answer has named.
    """
    name = typed.strip()
    if not _may_be_an_id(name):
        return []
    found = await _by_key(database, name, list(merchants))
    if not found and thorough:
        found = await _search_answers(database, name, list(merchants))
    return [one.payment for one in found]


def folded(name: str) -> str:
    """The name with the letters A to Z small, as the database's collation "C" has it."""
    return "".join(letter.lower() if letter.isascii() else letter for letter in name)


async def _by_key(database: Reads | Connection[asyncpg.Record], name: str, merchants: list[str]) -> list[FoundPayment]:
    rows = await database.fetch(_FOUND["exact"], name, merchants)
    rows = rows or await database.fetch(_FOUND["any case"], folded(name), merchants)
    found = [FoundPayment(payment_of(row), _BY[row["rank"] - 1]) for row in rows]
    return sorted(found, key=_newest_last)


async def _search_answers(
    database: Reads | Connection[asyncpg.Record], name: str, merchants: list[str]
) -> list[FoundPayment]:
    rows = await database.fetch(_SEARCH, name, merchants)
    return sorted((FoundPayment(payment_of(row), "answer") for row in rows), key=_newest_last)


def _newest_last(one: FoundPayment) -> tuple[datetime, str]:
    return one.payment.opened_at, one.payment.id


def _may_be_an_id(name: str) -> bool:
    return 0 < len(name) <= LONGEST_ID and "\0" not in name
