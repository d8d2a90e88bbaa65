"""The schema as text, a line for each thing that a program may rely on, and what breaks such a program.

    python -m tests.schema --release tests/released/<version>/schema.txt, when a version is released

An addition can break a program too: a new required column, or a new rule for rows, breaks a program that writes as
before. Only what a program can ignore is an addition.
"""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

import asyncpg

from tests.contract import RELEASED, ROOT, VERSION, number
from tests.processes import directory
from worker.postgres.server.embedded import embedded_here
from worker.postgres.server.migrate import apply_migrations

_LINES = r"""
    WITH ours AS (
        SELECT c.oid, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND NOT c.relispartition
            AND c.relname <> 'schema_migrations')
    SELECT 'table ' || relname AS line FROM ours
    UNION ALL
    SELECT 'column ' || o.relname || '.' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod)
        || CASE WHEN a.attnotnull THEN ' not null' ELSE '' END
        || CASE WHEN a.attidentity <> '' THEN ' identity' WHEN a.attgenerated <> '' THEN ' generated as '
               || pg_get_expr(d.adbin, d.adrelid) WHEN d.adbin IS NOT NULL THEN ' default '
               || pg_get_expr(d.adbin, d.adrelid) ELSE '' END
    FROM ours o JOIN pg_attribute a ON a.attrelid = o.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_attrdef d ON d.adrelid = o.oid AND d.adnum = a.attnum
    UNION ALL
    SELECT 'constraint ' || o.relname || ' ' || pg_get_constraintdef(c.oid)
    FROM ours o JOIN pg_constraint c ON c.conrelid = o.oid AND c.contype IN ('c', 'p', 'u', 'f', 'x')
    UNION ALL
    SELECT CASE WHEN i.indisunique THEN 'unique index ' ELSE 'index ' END || o.relname || ' '
        || regexp_replace(pg_get_indexdef(i.indexrelid), '^.* USING ', '')
    FROM ours o JOIN pg_index i ON i.indrelid = o.oid
    WHERE NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conindid = i.indexrelid AND c.contype IN ('p', 'u', 'x'))
    UNION ALL
    SELECT 'trigger ' || o.relname || ' ' || regexp_replace(pg_get_triggerdef(t.oid), '^CREATE TRIGGER ', '')
    FROM ours o JOIN pg_trigger t ON t.tgrelid = o.oid AND NOT t.tgisinternal AND t.tgenabled <> 'D'
    UNION ALL
    SELECT 'function ' || p.oid::regprocedure || ' ' || md5(regexp_replace(p.prosrc, '\s+', ' ', 'g'))
    FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = 'public'
"""
_PAID = "(status = ANY (ARRAY['completed'::text, 'refunded'::text]))"
GAVE_WAY = {
    "trigger payments payments_only_rise BEFORE UPDATE ON public.payments FOR EACH ROW EXECUTE FUNCTION "
    "payments_only_rise()": (
        "trigger payments payments_never_fall BEFORE UPDATE ON public.payments FOR EACH ROW WHEN (((new.status <> "
        "old.status) OR (new.version <> old.version) OR (new.refunded_amount <> old.refunded_amount) OR "
        "(new.completed_told <> old.completed_told))) EXECUTE FUNCTION payments_never_fall()"
    ),
    "constraint payments CHECK ((payment_rank(status) IS NOT NULL))": (
        "constraint payments CHECK ((status = ANY (ARRAY['pending'::text, 'expired'::text, 'cancelled'::text, "
        "'failed'::text, 'completed'::text, 'refunded'::text]))) NOT VALID"
    ),
    "constraint payments CHECK ((refunded_amount <= amount))": (
        "constraint payments CHECK ((refunded_amount <= GREATEST(amount, accepted_amount))) NOT VALID"
    ),
    f"constraint payments CHECK ((((status = 'refunded'::text) = (refunded_amount = amount)) OR (NOT {_PAID})))": (
        "constraint payments CHECK ((((status = 'refunded'::text) = (refunded_amount >= COALESCE(accepted_amount, "
        f"amount))) OR (NOT {_PAID}))) NOT VALID"
    ),
}
"""Guards that were replaced by others, which ask no more of a row that an older program writes.

`accepted_amount` is null in each row that such a program makes.
"""
MENDED = {
    "function grant_access() c1856cae8b5c4b17a4b9f006ff62e5bc": (
        "function grant_access() d9fe0564dcf7882ccdd7e42bdbe5dbb7"
    ),
    "function places_are_ours() b401555711277e997e5644ee0b50f9d1": (
        "function places_are_ours() e2b28da1ec8c8e036d3c0d2ddf75ee9e"
    ),
    "function place_left_events(integer) 04255be144be4a64d8b08767e932fabe": (
        "function place_left_events(integer) c67db6a8959665d8c808f973b9d66204"
    ),
    "function store_payments(jsonb) a4a097cca37b3fb512df37637025b990": (
        "function store_payments(jsonb) 2b5e38559a623d100e257efcbeabf650"
    ),
}
"""Functions that were corrected: for an older program they do what they did, or what they should have done."""
COUNTS = "FOR EACH ROW WHEN ((new.revision = old.revision)) EXECUTE FUNCTION payments_raise_revision()"
COUNTING = "function payments_raise_revision() dd81e460deb276d989655cf9cbafc516"
"""The last part of a trigger that demands nothing, and its action.

A program of the release before may write any row as it did, because only a column that it neither reads nor names is
increased. With another body the trigger may demand more.
"""

SECONDED = (
    "trigger resolutions resolutions_follow_approval BEFORE INSERT ON public.resolutions FOR EACH ROW EXECUTE FUNCTION "
    "resolutions_follow_approval()"
)
SECONDING = "function resolutions_follow_approval() 9f53747fedff4c45940587ae31122a33"
"""A trigger that asks nothing of a resolution without a proposal, by a login that may write one.

A program of an earlier release names no proposal and no approver. Its workers had no right to write resolutions.
"""

_OWNED = "FOR EACH ROW WHEN ({}) EXECUTE FUNCTION payments_own_their_keys()"
LET_GO = frozenset(
    {
        "constraint deliveries FOREIGN KEY (event_id) REFERENCES events(id)",
        "constraint sessions FOREIGN KEY (payment_id) REFERENCES payments(id)",
        "constraint transactions FOREIGN KEY (payment_id) REFERENCES payments(id)",
        "constraint orders FOREIGN KEY (paid_by) REFERENCES payments(id)",
    }
)
"""Guards that no program notices the absence of: retention deletes rows that they would keep.

A program makes rows as before, and what its row refers to is there when it makes it.
"""
DONE_SINCE = {
    "unique index payments btree (account, session_id) WHERE (session_id IS NOT NULL)": "0.2.0",
    "unique index payments btree (account, transaction_id) WHERE (transaction_id IS NOT NULL)": "0.2.0",
    "trigger payments CREATE CONSTRAINT TRIGGER payments_made_own_their_keys AFTER INSERT ON public.payments "
    "DEFERRABLE INITIALLY DEFERRED "
    + _OWNED.format("((new.session_id IS NOT NULL) OR (new.transaction_id IS NOT NULL))"): "0.2.0",
    "trigger payments payments_own_their_keys AFTER UPDATE OF session_id, transaction_id ON public.payments "
    + _OWNED.format(
        "((new.session_id IS DISTINCT FROM old.session_id) OR (new.transaction_id IS DISTINCT FROM old.transaction_id))"
    ): "0.2.0",
}
"""Objects that programs of a release and later no longer need, or whose rules they keep themselves, and since when."""

_FREE = (" default ", " identity", " generated as ")


async def schema_of(dsn: str) -> list[str]:
    """The lines of a database's schema, sorted, without comments, owners and the order of columns."""
    connection = await asyncpg.connect(dsn)
    try:
        return sorted(row["line"] for row in await connection.fetch(_LINES))
    finally:
        await connection.close()


def breaks(released: Iterable[str], today: Iterable[str], release: str = "0") -> list[str]:
    """What a program of that release would not find, or would newly have to do. Empty: only additions."""
    done = {line for line, since in DONE_SINCE.items() if number(since) <= number(release)}
    before, now = set(released) - done, set(today) - done
    eased = {old: new for old, new in (GAVE_WAY | MENDED).items() if old in before and new in now}
    tables = {line.split()[1] for line in before if line.startswith("table ")}
    gone = [f"gone: {line}" for line in sorted(before - now - eased.keys() - LET_GO) if not line.startswith("index ")]
    guards = {_guard(line) for line in before if line.startswith("trigger ")}
    new = [line for line in sorted(now - before - set(eased.values())) if _table(line) in tables and _binds(line)]
    new = [line for line in new if not _of_a_new_column(line, before, now)]
    if COUNTING in now:
        new = [line for line in new if not line.endswith(COUNTS)]
    if SECONDING in now:
        new = [line for line in new if line != SECONDED]
    return gone + [f"asked for: {line}" for line in new if _guard(line) not in guards]


def _guard(line: str) -> str | None:
    """The strictest demand of a trigger on every row, whatever its name and timing; None for another line."""
    if not line.startswith("trigger "):
        return None
    return re.sub(r"^(trigger \w+) \w+", r"\1", re.sub(r" WHEN \(.*\) EXECUTE", " EXECUTE", line))


def _table(line: str) -> str:
    name = re.match(r"(?:unique index|column|constraint|trigger) (\w+)", line)
    return name[1] if name else ""


def _of_a_new_column(line: str, before: set[str], now: set[str]) -> bool:
    """Whether it is a unique index of rows that have a column which older programs leave empty."""
    found = re.fullmatch(r"unique index (\w+) .* WHERE \((\w+) IS NOT NULL\)", line)
    if found is None:
        return False
    column = f"column {found[1]}.{found[2]} "
    today = [one for one in now if one.startswith(column)]
    empty = not any(word in one for one in today for word in _FREE)
    return bool(today) and empty and not any(one.startswith(column) for one in before)


def _binds(line: str) -> bool:
    """Whether a write as before may fail because of it."""
    if line.startswith("column "):
        return " not null" in line and not any(word in line for word in _FREE)
    return True


def git(*words: str) -> subprocess.CompletedProcess[bytes]:
    """Run git in a clone with any owner: in a container the owner is often another user."""
    command = ["git", "-c", "safe.directory=*", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, check=False)


def has_history() -> bool:
    """Whether this is a clone with its history: a source archive, or a shallow clone, has no release to run."""
    return git("rev-parse", "--is-shallow-repository").stdout.strip() == b"false"


def archived(commit: str, place: Path) -> Path:
    """The code of a commit, in `place`. Fails in words where this clone does not have it."""
    done = git("archive", "--format=tar", commit)
    if done.returncode != 0:
        raise AssertionError(
            f"the released commit {commit} is not in this clone, and the code of that release is what this runs: "
            f"fetch the whole history (git fetch --unshallow): {done.stderr.decode(errors='replace').strip()}"
        )
    subprocess.run(["tar", "-x", "-C", place], input=done.stdout, check=True)
    return place


def commit_of(release: Path) -> str:
    """The commit that a release was made from."""
    return (release / "commit").read_text().split()[0]


def main() -> None:
    """Written from the code of the release's commit where the release has one already, else from today's."""
    place = RELEASED / VERSION
    with directory() as home, TemporaryDirectory() as unpacked:
        home.chmod(0o755)
        known = (place / "commit").exists()
        sql = archived(commit_of(place), Path(unpacked)) / "schemas/sql" if known else ROOT / "schemas/sql"
        with embedded_here(home / "data") as dsn:
            asyncio.run(apply_migrations(dsn, directory=sql))
            lines = asyncio.run(schema_of(dsn))
    (place / "schema.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print((place / "schema.txt").relative_to(ROOT))


if __name__ == "__main__":
    if sys.argv[1:] != ["--release"]:
        sys.exit(__doc__)
    main()
