"""API keys by their hashes, two of them valid at once; and the cipher of the archive."""

from __future__ import annotations

import secrets
from hashlib import sha256
from pathlib import Path

import pytest

from tests.unit.test_config import GOOD, problems, read
from worker.cli import app
from worker.config.keys import hashed, new_api_key
from worker.ops.doctor.findings import secret_findings
from worker.runtime.encryption import ArchiveCipher, NotDecrypted, key_of, new_archive_key

KEY = "a-key-of-the-shop"
HASH = "sha256:" + sha256(KEY.encode()).hexdigest()
OLD, NEW = secrets.token_bytes(32), secrets.token_bytes(32)
BODY = b'{"phone":"01700000000"}'


def keys(*written: str) -> str:
    return GOOD.replace('"env:SHOP_API_KEY"', ", ".join(f'"{one}"' for one in written))


@pytest.mark.parametrize("written", [HASH, "env:HASHED", "file:hashed"])
def test_a_key_is_known_by_its_hash_wherever_that_stands(tmp_path: Path, written: str) -> None:
    (tmp_path / "hashed").write_text(HASH + "\n")
    config = read(tmp_path, keys(written), HASHED=HASH)
    assert config.merchant_by_key(KEY) is not None
    assert config.merchant_by_key(HASH) is None, "a reader of the hash has no key"
    assert config.merchant_by_key(HASH.removeprefix("sha256:")) is None
    assert config.literal_secrets == (), "a hash is no secret"


def test_two_keys_are_live_until_the_old_one_is_taken_out(tmp_path: Path) -> None:
    new = new_api_key()
    both = read(tmp_path, keys("env:SHOP_API_KEY", hashed(new)))
    assert both.merchant_by_key("shop-key") is both.merchant_by_key(new) is both.merchants[0]
    after = read(tmp_path, keys(hashed(new)))
    assert after.merchant_by_key("shop-key") is None
    assert after.merchant_by_key(new) is after.merchants[0]


def test_of_a_key_the_process_keeps_its_hash_alone(tmp_path: Path) -> None:
    config = read(tmp_path, keys(KEY, "env:SHOP_API_KEY"))
    assert [key.reveal() for key in config.merchants[0].api_keys] == [HASH, hashed("shop-key")]


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
    first, second, *_ = capsys.readouterr().out.splitlines()
    made, written = first.removeprefix("key:").strip(), second.removeprefix("hash:").strip().strip('"')
    assert len(made) >= 43
    assert read(tmp_path, keys(written)).merchant_by_key(made) is not None
    app(["key", "--archive"], exit_on_error=False, result_action="return_value")
    assert len(key_of(capsys.readouterr().out.strip())) == 32


def test_the_doctor_says_how_to_hash_a_key_and_how_to_encrypt(tmp_path: Path) -> None:
    config = read(tmp_path, keys(KEY))
    told = {found.subject: found for found in secret_findings(config)}
    assert "sha256sum" in told["merchants[0].api_keys[0]"].to_do
    assert "payproof key --archive" in told["archive.keys"].to_do
    assert KEY not in str(told)
    archive = '[archive]\nkeys = ["env:ARCHIVE"]\n'
    sealed = read(tmp_path, archive + keys(HASH), ARCHIVE=new_archive_key())
    assert {found.subject for found in secret_findings(sealed)} <= {"user"}


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
