"""Migrations expand, and a migration that takes something away says so: read from their text, before they run."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from pathlib import Path

import pytest

from tests.contract import ROOT, released
from tests.schema import COUNTING, COUNTS, GAVE_WAY, MENDED, archived, breaks, commit_of, git, has_history

SQL = ROOT / "schemas/sql"
TAKES_AWAY = re.compile(
    r"\b(drop(?!\s+(?:index|constraint|trigger))|rename|(?<!before )truncate|delete\s+from|set\s+not\s+null|"
    r"alter\s+(?:column\s+)?\w+\s+(?:set\s+data\s+)?type|or\s+replace)\b",
    re.IGNORECASE,
)
"""No program looks for a constraint or a trigger; a missing or changed one is reported by `tests.schema.breaks`."""
BODY = re.compile(r"(\bcreate\s+function\b[^;]*?\bas\s+)\$(\w*)\$.*?\$\2\$", re.IGNORECASE | re.DOTALL)
"""A new function acts when it is called; a `do` block acts in the migration."""
AS_BEFORE = re.compile(
    rf"\bor\s+replace\s+function\s+({'|'.join(line.split()[1].partition('(')[0] for line in MENDED)})\(", re.IGNORECASE
)
"""A function that is corrected keeps doing for older programs what they call it for."""
MARK = re.compile(r"^-- contract (\d+):", re.MULTILINE)
"""Which migration a program must know to work without the removed thing. The last release knows it."""


KNOWN = frozenset({"0040", "0041"})


def wrong(name: str, text: str, released: Collection[str], oldest: Collection[str] = ()) -> str | None:
    """Why a migration is not as it must be; None when it is.

    `released` are the versions that the last release knows, `oldest` those that the first release knows.
    """
    head, _, rest = text.partition("-- migrate:up")
    up = re.sub(
        r"--[^\n]*|'(?:[^']|'')*'",
        lambda found: found[0] if found[0][:1] == "'" else "",
        rest.partition("-- migrate:down")[0],
    )
    spoken = BODY.sub(r"\1''", re.sub(r"'(?:[^']|'')*'", "''", up))
    marked = MARK.search(head)
    recorded = re.search(r"insert\s+into\s+contractions\s[^;]*'(\d+)'", up, re.IGNORECASE)
    taken = TAKES_AWAY.search(AS_BEFORE.sub("", spoken))
    if taken and not marked:
        return f"{name} takes something away ({taken[0]}) without saying `-- contract VERSION: why` at its top"
    if recorded and not marked:
        return f"{name} keeps older programs out without saying `-- contract {recorded[1]}: why`"
    if marked and (recorded is None or recorded[1] != marked[1]):
        return f"{name} says `-- contract {marked[1]}` and does not record it: nobody would be kept out"
    if marked and marked[1] not in released:
        return f"{name} keeps out the last release, which does not know {marked[1]}"
    if marked and marked[1] in oldest:
        return f"{name} keeps nobody out: every release knows {marked[1]}"
    return None


def released_migrations(releases: Iterable[Path] | None = None) -> dict[str, bytes]:
    """Every migration of these releases, or of all, as it was released."""
    if not has_history():
        pytest.skip("what was released is in the history, and this copy has none")
    found = {}
    for release in released() if releases is None else releases:
        listed = _git("ls-tree", "--name-only", commit_of(release), "schemas/sql/").decode().split()
        found |= {Path(path).name: _git("show", f"{commit_of(release)}:{path}") for path in listed}
    return found


def _git(*words: str) -> bytes:
    done = git(*words)
    assert done.returncode == 0, f"the released commit is not in this clone (git fetch --unshallow): {words[-1]}"
    return done.stdout


def test_a_migration_that_takes_something_away_says_so() -> None:
    before = released_migrations()
    new = [path for path in sorted(SQL.glob("*.sql")) if path.name not in before]
    versions, oldest = _versions(before), _versions(released_migrations(released()[:1]))
    assert [problem for path in new if (problem := wrong(path.name, path.read_text(), versions, oldest))] == []


def _versions(names: Iterable[str]) -> set[str]:
    return {name.partition("_")[0] for name in names}


def test_a_released_migration_stays_as_it_was_released() -> None:
    for name, text in released_migrations().items():
        assert (SQL / name).read_bytes() == text, f"{name} was released: a database that has it never sees the change"


def test_no_two_migrations_have_the_same_version() -> None:
    versions = [path.name.partition("_")[0] for path in SQL.glob("*.sql")]
    assert len(versions) == len(set(versions))


def test_a_clone_without_the_released_commit_is_told_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="fetch the whole history"):
        archived("0" * 40, tmp_path)


@pytest.mark.parametrize(
    "up",
    [
        "drop table tokens;",
        "alter table payments drop column fee;",
        "ALTER TABLE payments RENAME COLUMN fee TO charge;",
        "alter table payments alter column fee type text;",
        "alter table payments alter column fee set not null;",
        "truncate dead;",
        "create or replace function payments_only_rise() returns trigger language plpgsql as '';",
        "create or replace function payments_only_rise() returns trigger language plpgsql as $$ begin end $$;",
        "create function one() returns int language sql as $$ select 1 $$; do $$ begin delete from dead; end $$;",
        "create function one() returns int language sql as $a$ select 1 $a$; delete from dead;",
    ],
)
def test_what_takes_something_away_is_refused_unless_it_is_marked_and_recorded(up: str) -> None:
    assert "without saying" in str(wrong("0042_x.sql", f"-- migrate:up\n{up}\n", KNOWN))
    assert "without saying" in str(wrong("0042_x.sql", f"-- contract: why\n-- migrate:up\n{up}\n", KNOWN))
    assert "nobody would be" in str(wrong("0042_x.sql", f"-- contract 0041: why\n-- migrate:up\n{up}\n", KNOWN))
    recorded = f"{up}\ninsert into contractions values ('0041');"
    assert wrong("0042_x.sql", f"-- contract 0041: why\n-- migrate:up\n{recorded}\n-- migrate:down\n", KNOWN) is None
    assert "nobody would be" in str(wrong("0042_x.sql", f"-- contract 0040: why\n-- migrate:up\n{recorded}\n", KNOWN))
    assert "without saying" in str(wrong("0042_x.sql", f"-- migrate:up\n{recorded}\n", KNOWN))


def test_a_contraction_does_not_keep_out_the_last_release() -> None:
    up = "drop table tokens;\ninsert into contractions values ('0042');"
    told = str(wrong("0042_x.sql", f"-- contract 0042: why\n-- migrate:up\n{up}\n", KNOWN))
    assert told == "0042_x.sql keeps out the last release, which does not know 0042"


def test_a_contraction_keeps_out_some_release() -> None:
    text = "-- contract 0040: why\n-- migrate:up\ndrop table tokens;\ninsert into contractions values ('0040');"
    assert wrong("0042_x.sql", text, KNOWN, ["0039"]) is None
    assert wrong("0042_x.sql", text, KNOWN, ["0040"]) == "0042_x.sql keeps nobody out: every release knows 0040"


def test_what_only_adds_is_free_to() -> None:
    up = "alter table queue add column x int; -- drop nothing\ncomment on table queue is 'to drop a row'; drop index a;"
    assert wrong("0042_x.sql", f"-- migrate:up\n{up}\n-- migrate:down\ndrop table x;\n", KNOWN) is None


@pytest.mark.parametrize("quote", ["$$", "$body$"])
def test_what_a_new_function_does_is_no_migration(quote: str) -> None:
    up = f"create function bury() returns void language sql set a = off as {quote} delete from dead; {quote};"
    assert wrong("0042_x.sql", f"-- migrate:up\n{up}\n", KNOWN) is None


RELEASED = [
    "table payments",
    "column payments.fee numeric(16,4)",
    "column payments.id text not null",
    "index payments btree (id)",
    "function payment_rank(text) 0a1b",
    "trigger payments guard BEFORE UPDATE ON payments EXECUTE FUNCTION known()",
]


@pytest.mark.parametrize(
    ("added", "told"),
    [
        ("column payments.note text", []),
        ("column payments.note text not null default ''::text", []),
        ("table other", []),
        ("column other.id text not null", []),
        ("index payments btree (fee)", []),
        ("column payments.note text not null", ["asked for: column payments.note text not null"]),
        ("constraint payments CHECK ((fee > 0))", ["asked for: constraint payments CHECK ((fee > 0))"]),
        ("unique index payments btree (fee)", ["asked for: unique index payments btree (fee)"]),
        ("trigger payments t BEFORE UPDATE", ["asked for: trigger payments t BEFORE UPDATE"]),
        ("trigger payments again BEFORE UPDATE ON payments WHEN ((new.a <> old.a)) EXECUTE FUNCTION known()", []),
    ],
)
def test_an_addition_is_what_a_program_can_ignore(added: str, told: list[str]) -> None:
    assert breaks(RELEASED, [*RELEASED, added]) == told


def test_a_trigger_that_counts_asks_nothing_while_its_function_does_no_more_than_that() -> None:
    trigger = f"trigger payments counts BEFORE UPDATE OF fee ON payments {COUNTS}"
    assert breaks(RELEASED, [*RELEASED, trigger, COUNTING]) == []
    other = f"{COUNTING.rpartition(' ')[0]} 0a1b"
    assert breaks(RELEASED, [*RELEASED, trigger, other]) == [f"asked for: {trigger}"]


@pytest.mark.parametrize("line", RELEASED)
def test_what_is_gone_or_another_is_told_but_for_an_index(line: str) -> None:
    left = [one for one in RELEASED if one != line]
    assert breaks(RELEASED, left) == ([] if line.startswith("index") else [f"gone: {line}"])


@pytest.mark.parametrize(("old", "new"), GAVE_WAY.items())
def test_a_guard_gives_way_only_to_the_one_that_is_named_for_it(old: str, new: str) -> None:
    released = [*RELEASED, old]
    assert breaks(released, [*RELEASED, new]) == []
    assert breaks(released, RELEASED) == [f"gone: {old}"]
    assert breaks(released, [*RELEASED, old, new]) == []
    harder = new.replace("refunded", "returned", 1)
    assert breaks(released, [*RELEASED, harder]) == [f"gone: {old}", f"asked for: {harder}"]


@pytest.mark.parametrize(("old", "new"), MENDED.items())
def test_a_function_is_replaced_only_by_the_one_that_is_named_for_it(old: str, new: str) -> None:
    released = [*RELEASED, old]
    assert breaks(released, [*RELEASED, new]) == []
    assert breaks(released, [*RELEASED, f"{new.rpartition(' ')[0]} 0a1b"]) == [f"gone: {old}"]
