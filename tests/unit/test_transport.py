"""What the doctor says of a connection to another machine, by its encryption and its verification."""

from __future__ import annotations

import pytest

from worker.ops.doctor.transport import Transport, judged


@pytest.mark.parametrize(
    ("protocol", "verified", "mark", "word"),
    [
        (None, False, "!!", "plain"),
        (None, True, "!!", "plain"),  # behind a pooler: its own connection to the server
        ("TLSv1.3", False, "!!", "not verified"),
        ("TLSv1.3", True, "ok", "are verified"),
    ],
)
def test_only_an_encrypted_and_verified_connection_is_well(
    protocol: str | None, verified: bool, mark: str, word: str
) -> None:
    found = judged("PAYPROOF_DATABASE_URL", Transport(host="db", verified=verified, protocol=protocol), "do this")
    assert (found.mark, word in found.words, found.to_do) == (mark, True, "do this" if mark == "!!" else "")


@pytest.mark.parametrize(
    ("host", "remote"),
    [
        ("/var/run/postgresql", False),
        ("localhost", False),
        ("127.0.0.1", False),
        ("::1", False),
        ("db.example", True),
        ("10.0.0.5", True),
        ("payproof-database-rw", True),
    ],
)
def test_loopback_and_sockets_need_no_encryption(host: str, remote: bool) -> None:
    assert Transport(host=host, verified=False, protocol=None).remote is remote
