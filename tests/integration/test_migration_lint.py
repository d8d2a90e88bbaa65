"""No new migration stops writers for as long as a big table takes to be read, and those that did are named in words."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.contract import ROOT
from tests.integration.migration_lint import findings

SQL = ROOT / "schemas/sql"
FIRST_UPGRADE, RELEASED = "0013", "0024"
"""The first migration that met a filled database, and the last that was released before the rule."""


def up(sql: str, mark: str = "") -> str:
    return f"-- migrate:up{mark}\n{sql}\n-- migrate:down\ndrop index payments_newest;\n"


def rules(sql: str, mark: str = "") -> set[str]:
    return {found.partition(":")[0] for found in findings(up(sql, mark))}


@pytest.mark.parametrize(
    ("sql", "rule"),
    [
        ("create index a on payments (fee);", "require-concurrent-index-creation"),
        ("create index concurrently a on payments (fee);", "inside"),
        ("drop index a;", "require-concurrent-index-deletion"),
        ("alter table payments add constraint c check (fee > 0);", "constraint-missing-not-valid"),
        ("alter table payments add unique (fee);", "disallowed-unique-constraint"),
        ("alter table payments add foreign key (fee) references tokens;", "adding-foreign-key-constraint"),
        (
            "alter table a add constraint c check (x) not valid; alter table a validate constraint c;",
            "constraint-missing-not-valid",
        ),
        ("alter table payments alter column fee type bigint;", "changing-column-type"),
        ("alter table payments alter column fee set not null;", "adding-not-nullable-field"),
        ("alter table payments add column x timestamptz default clock_timestamp();", "adding-field-with-default"),
        ("reindex table payments;", "require-concurrent-reindex"),
        ("update payments set fee = 0;", "whole-table"),
        ("/* all */ delete from only events where merchant = ';';", "whole-table"),
        ("truncate queue;", "strong-lock"),
        ("lock table payments;", "strong-lock"),
        ("do $$ begin create index a on payments (fee); end $$;", "block"),
    ],
)
def test_what_makes_writers_wait_is_told(sql: str, rule: str) -> None:
    assert rule in rules(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "create table a (n int); create index b on a (n);",
        "alter table payments add column x bigint not null default 0;",
        "alter table payments add constraint c check (fee > 0) not valid;",
        "update access set reader = 'delete from events';",
        "-- locks: it has a row for each gateway\nupdate ways set x = 1;",
        "create function f() returns void language sql as $$ delete from events; $$;",
        "-- squawk-ignore require-concurrent-index-creation\ncreate index a on small (n);",
        "alter table payments set (autovacuum_vacuum_scale_factor = 0.02);",
        "do $$ begin execute format('alter table %I set (autovacuum_enabled = on)', 'payments'); end $$;",
        "-- locks: payments, for a moment\ndo $$ begin execute 'create trigger ' || 'x'; end $$;",
    ],
)
def test_what_makes_nobody_wait_is_free_to(sql: str) -> None:
    assert rules(sql) == set()


ALONE = " transaction:false"


@pytest.mark.parametrize(
    "sql",
    [
        "create unique index concurrently if not exists a on payments (fee) where fee is not null;",
        "drop index concurrently if exists a;",
        "-- Here, because it reads the whole table.\nalter table payments validate constraint c;",
    ],
)
def test_outside_a_transaction_stands_one_statement_that_can_be_run_again(sql: str) -> None:
    assert rules(sql, ALONE) == set()


@pytest.mark.parametrize(
    "sql",
    [
        "create index concurrently a on payments (fee);",
        "drop index concurrently a;",
        "drop index concurrently if exists a; create index concurrently if not exists a on payments (fee);",
        "insert into access values ('a');",
    ],
)
def test_any_other_is_refused_there(sql: str) -> None:
    assert rules(sql, ALONE) == {"outside"}


@pytest.mark.parametrize("path", sorted(SQL.glob("*.sql")), ids=lambda path: path.stem)
def test_a_new_migration_makes_nobody_wait_and_an_old_one_is_named_by_the_guide(path: Path) -> None:
    version, found = path.name.partition("_")[0], findings(path.read_text("utf-8"))
    if version > RELEASED:
        assert found == []
    elif version >= FIRST_UPGRADE:
        assert (version in named()) == bool(found), found


def named() -> set[str]:
    """The migrations that the guide to releases names as those for which writers wait."""
    text = (ROOT / "deploy/releases.md").read_text("utf-8")
    return set(re.findall(r"^\| `(\d+)` \|", text.partition("## How long writers wait")[2], re.MULTILINE))
