"""API keys by their hashes, two of them valid at once; and the cipher of the archive."""

from __future__ import annotations

import base64
import secrets
from hashlib import sha256
from pathlib import Path

import pytest

from schemas.words import Scope
from tests.unit.test_config import GOOD, SHOP_KEY, problems, read
from worker.cli import app
from worker.config.keys import hashed, new_api_key
from worker.config.shapes import LISTED_KEYS_MAY
from worker.ops.doctor.findings import Finding, key_findings, secret_findings
from worker.runtime.encryption import ArchiveCipher, NotDecrypted, key_of, new_archive_key

KEY = "a-key-of-the-shop-that-was-made-up"
HASH = "sha256:" + sha256(KEY.encode()).hexdigest()
OLD, NEW = secrets.token_bytes(32), secrets.token_bytes(32)
BODY = b'{"phone":"01700000000"}'


def keys(*written: str) -> str:
    return GOOD.replace('"env:PAYPROOF_API_KEY"', ", ".join(f'"{one}"' for one in written))


@pytest.mark.parametrize("written", [HASH, "env:HASHED", "file:hashed"])
def test_a_key_is_known_by_its_hash_wherever_that_stands(tmp_path: Path, written: str) -> None:
    (tmp_path / "hashed").write_text(HASH + "\n")
    config = read(tmp_path, keys(written), HASHED=HASH)
    assert config.caller_by_key(KEY) is not None
    assert config.caller_by_key(HASH) is None, "a reader of the hash has no key"
    assert config.caller_by_key(HASH.removeprefix("sha256:")) is None
    assert config.literal_secrets == (), "a hash is no secret"


def test_two_keys_are_live_until_the_old_one_is_taken_out(tmp_path: Path) -> None:
    new = new_api_key()
    both = read(tmp_path, keys("env:PAYPROOF_API_KEY", hashed(new)))
    for key in (SHOP_KEY, new):
        found = both.caller_by_key(key)
        assert found is not None
        assert found.merchant is both.merchants[0]
    after = read(tmp_path, keys(hashed(new)))
    assert after.caller_by_key(SHOP_KEY) is None
    assert after.caller_by_key(new) is not None


def test_of_a_key_the_process_keeps_its_hash_alone(tmp_path: Path) -> None:
    config = read(tmp_path, keys(KEY, "env:PAYPROOF_API_KEY"))
    assert [key.reveal() for key in config.merchants[0].api_keys] == [HASH, hashed(SHOP_KEY)]


@pytest.mark.parametrize("written", ["sha256:", "sha256:" + "0" * 63, "sha256:" + "Z" * 64, f"{HASH}0"])
def test_a_hash_that_is_none_is_a_problem_and_is_not_printed(tmp_path: Path, written: str) -> None:
    found = problems(tmp_path, keys(written))
    assert list(found) == ["merchants[0].api_keys[0]"]
    assert "payproof key" in found["merchants[0].api_keys[0]"]
    assert written not in "".join(found.values()).replace("sha256: ", "")


def test_a_key_and_its_hash_are_one_key(tmp_path: Path) -> None:
    other = f'[[merchants]]\nid = "other"\napi_keys = ["{HASH}"]\n'
    assert problems(tmp_path, keys(KEY) + other) == {"merchants[1].api_keys[0]": "is the key of merchants[0] too"}


def test_a_made_key_is_printed_once_with_its_hash(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    app(["key"], exit_on_error=False, result_action="return_value")
    first, second, *rest = capsys.readouterr().out.splitlines()
    made, written = first.removeprefix("key:").strip(), second.removeprefix("hash:").strip().strip('"')
    assert len(made) >= 43
    assert read(tmp_path, keys(written)).caller_by_key(made) is not None
    table = "\n".join(line for line in rest if line.startswith(("[[", "name", "hash", "may")))
    found = read(tmp_path, GOOD + table).caller_by_key(made)
    assert found is not None, "the table that it prints is one"
    assert (found.key.name, found.key.may) == ("shop", LISTED_KEYS_MAY)
    app(["key", "--archive"], exit_on_error=False, result_action="return_value")
    assert len(key_of(capsys.readouterr().out.strip())) == 32


def named(*tables: str) -> str:
    """GOOD with these tables of [[merchants.keys]] in place of `api_keys`."""
    text = GOOD.replace('api_keys = ["env:PAYPROOF_API_KEY"]\n', "")
    return text + "".join(f"[[merchants.keys]]\n{table}\n" for table in tables)


def test_a_key_has_a_name_and_may_what_its_table_says(tmp_path: Path) -> None:
    till = f'name = "till"\nhash = "{HASH}"\nmay = ["open", "read"]'
    desk = 'name = "desk"\nkey = "env:PAYPROOF_API_KEY"\nmay = ["resolve"]'
    config = read(tmp_path, named(till, desk))
    for key, name, may in ((KEY, "till", {Scope.OPEN, Scope.READ}), (SHOP_KEY, "desk", {Scope.RESOLVE})):
        found = config.caller_by_key(key)
        assert found is not None
        assert (found.merchant.id, found.key.name, found.key.may) == ("shop", name, may)
    assert SHOP_KEY not in repr([key.written.reveal() for key in config.merchants[0].keys]), "its hash alone is kept"
    assert config.literal_secrets == ()


def test_the_listed_keys_may_all_but_decide(tmp_path: Path) -> None:
    found = read(tmp_path, GOOD).caller_by_key(SHOP_KEY)
    assert found is not None
    assert (found.key.name, found.key.may) == ("api_keys[0]", frozenset(Scope) - {Scope.RESOLVE})


def test_each_wrong_key_is_named_at_its_place(tmp_path: Path) -> None:
    may = 'may = ["read"]'
    found = problems(
        tmp_path,
        named(
            f'name = "one"\nhash = "{KEY}"\n{may}',
            f'name = "two"\nkey = "{HASH}"\n{may}',
            f'name = "three"\n{may}',
            f'name = "four"\nkey = "{KEY}"\nhash = "{HASH}"\nmay = []',
            'name = "three"\nkey = "env:NOT_SET"\nmay = ["reed"]',
            f'name = "Six!"\nkey = "{"k" * 23}"\n{may}',
            f'name = "seven"\nkey = "env:PAYPROOF_API_KEY"\n{may}',
            f'name = "eight"\nhash = "{hashed(SHOP_KEY)}"\n{may}',
        ),
    )
    place = "merchants[0].keys"
    assert found == {
        f"{place}[0].hash": "is no hash; a key itself stands in `key`",
        f"{place}[1].key": "is a hash, which stands in `hash`",
        f"{place}[2]": "needs the key, as `hash` or as `key`",
        f"{place}[3]": "has both `hash` and `key`; one of them is enough",
        f"{place}[3].may": "needs at least one entry",
        f"{place}[4].name": f"is the name of {place}[2] too",
        f"{place}[4].key": "the environment variable NOT_SET is not set",
        f"{place}[4].may[0]": 'must be one of open, read, verify, resolve, events; did you mean "read"?',
        f"{place}[5].name": "an id is 1 to 40 of a-z, 0-9 and -, and does not begin with -",
        f"{place}[5].key": "an API key has 24 characters or more; `payproof key` makes one",
        f"{place}[7].hash": f"is the key of {place}[6] too",
    }


def test_a_short_key_and_a_merchant_without_any_are_refused(tmp_path: Path) -> None:
    short = "an API key has 24 characters or more; `payproof key` makes one"
    assert problems(tmp_path, GOOD, PAYPROOF_API_KEY="k" * 23) == {"merchants[0].api_keys[0]": short}
    assert read(tmp_path, GOOD, PAYPROOF_API_KEY="k" * 24)
    without = {"merchants[0]": "needs an API key, in api_keys or in a [[merchants.keys]] table"}
    assert problems(tmp_path, named()) == problems(tmp_path, keys()) == without
    assert "merchants[0]" not in problems(tmp_path, GOOD, PAYPROOF_API_KEY=""), "one that cannot be read is there"


def test_the_doctor_says_which_key_may_what(tmp_path: Path) -> None:
    desk = f'name = "desk"\nhash = "{HASH}"\nmay = ["resolve", "read"]'
    told = {found.subject: found for found in key_findings(read(tmp_path, GOOD + f"[[merchants.keys]]\n{desk}\n"))}
    assert told["merchants[0].keys[0]"].words == "the key desk of shop may read, resolve"
    assert told["merchants[0].api_keys"].words == "its key of shop may open, read, verify, events"
    assert {found.mark for found in told.values()} == {"ok"}


def test_the_doctor_says_how_to_hash_a_key_and_how_to_encrypt(tmp_path: Path) -> None:
    config = read(tmp_path, keys(KEY))
    told = {found.subject: found for found in secret_findings(config)}
    assert "sha256sum" in told["merchants[0].api_keys[0]"].to_do
    assert "payproof key --archive" in told["archive.keys"].to_do
    assert KEY not in str(told)
    archive = '[archive]\nkeys = ["env:ARCHIVE"]\n'
    sealed = read(tmp_path, archive + keys(HASH), ARCHIVE=new_archive_key())
    assert {found.subject for found in secret_findings(sealed) if found.mark != "ok"} <= {"user"}


def test_the_doctor_says_whether_buyers_are_found_and_tells_two_contact_keys_apart(tmp_path: Path) -> None:
    def told(*given: str) -> dict[str, Finding]:
        names = [f"KEY_{number}" for number in range(len(given))]
        lines = ", ".join(f'"env:{name}"' for name in names)
        document = (f"[contacts]\nkeys = [{lines}]\n" if given else "") + keys(HASH)
        config = read(tmp_path, document, **dict(zip(names, given, strict=True)))
        return {one.subject: one for one in secret_findings(config) if one.subject.startswith("contacts")}

    assert "PAYPROOF_CONTACTS_KEY" in told()["contacts.keys"].to_do
    first, second = new_archive_key(), new_archive_key()
    one, other = told(first, second), told(second, first)
    marks = [found.words.partition("mark is ")[2][:8] for found in (one["contacts.keys[0]"], one["contacts.keys[1]"])]
    assert len(set(marks)) == 2
    assert marks[0] in other["contacts.keys[1]"].words, "a mark names a key, wherever it stands"
    assert first not in str(one)
    weak = told(base64.b64encode(b"payproof" * 4).decode())["contacts.keys[0]"]
    assert (weak.mark, "guessed" in weak.words) == ("!!", True)


def test_archive_keys_that_are_none_or_there_twice_are_problems(tmp_path: Path) -> None:
    one = new_archive_key()
    text = f'[archive]\nkeys = ["{one}", "short", "{one}"]\nretention = "23h"\n' + GOOD
    found = problems(tmp_path, text)
    assert set(found) == {"archive.keys[1]", "archive.keys[2]", "archive.retention"}
    assert one not in str(found)


class TestSeal:
    def test_what_was_sealed_is_opened_and_is_not_to_be_seen(self) -> None:
        name, stored = ArchiveCipher([NEW]).encrypt("claim", BODY)
        assert b"0170" not in stored
        assert ArchiveCipher([NEW]).decrypt("claim", name, stored) == BODY
        assert ArchiveCipher([NEW]).encrypt("claim", BODY)[1] != stored, "equal bodies are not to be known as such"

    def test_the_first_key_seals_and_all_of_them_open(self) -> None:
        before, stored = ArchiveCipher([OLD]).encrypt("claim", BODY)
        rotated = ArchiveCipher([NEW, OLD])
        assert rotated.decrypt("claim", before, stored) == BODY
        after, again = rotated.encrypt("claim", BODY)
        assert after != before
        assert ArchiveCipher([NEW]).decrypt("claim", after, again) == BODY

    def test_without_its_key_nothing_is_opened(self) -> None:
        name, stored = ArchiveCipher([OLD]).encrypt("claim", BODY)
        with pytest.raises(NotDecrypted, match=f"the key {name}, which is not in the configuration"):
            ArchiveCipher([NEW]).decrypt("claim", name, stored)

    def test_a_record_is_its_own_claims_and_unchanged(self) -> None:
        name, stored = ArchiveCipher([NEW]).encrypt("claim", BODY)
        other = stored[:-1] + bytes([stored[-1] ^ 1])
        for claim_id, changed in (("other", stored), ("claim", other), ("claim", b""), ("claim", BODY)):
            with pytest.raises(NotDecrypted):
                ArchiveCipher([NEW]).decrypt(claim_id, name, changed)

    def test_without_keys_records_are_plain_and_are_read_for_ever(self) -> None:
        assert ArchiveCipher().encrypt("claim", BODY) == (None, BODY)
        assert ArchiveCipher([NEW]).decrypt("claim", None, BODY) == BODY
