"""Each word of `payproof trigger` has a story that ends as it says, and only at gateways that can end so."""

from __future__ import annotations

from pathlib import Path

import pytest

from consumers.account import Account
from worker.config import load
from worker.playground.dev.starting_files import write_starting_files
from worker.playground.dev.trigger_words import HELD, WORDS, accounts_for, story_of

EVENTS = {"late": "completed", "doubled": "completed"}


@pytest.fixture
def accounts(tmp_path: Path) -> tuple[Account, ...]:
    path = tmp_path / "payproof.toml"
    write_starting_files(path, "http://127.0.0.1:8090")
    return tuple(load({"PAYPROOF_CONFIG": str(path)}).accounts)


@pytest.mark.parametrize("word", WORDS)
def test_its_last_event_is_the_words(accounts: tuple[Account, ...], word: str) -> None:
    ids = accounts_for(word, accounts)
    assert ids
    for account in accounts:
        story = story_of(word, account)
        assert (story is not None) == (account.id in ids)
        if story is not None:
            assert story.gateway.account == account.id
            assert story.expects.told[-1] == ("held" if word.startswith(HELD) else EVENTS.get(word, word))
            assert story.expects.late == (word == "late")


def test_a_gateway_that_tells_no_refund_has_none(accounts: tuple[Account, ...]) -> None:
    ids = accounts_for("refunded", accounts)
    assert "shop-shadhinpay" in ids
    assert "shop-ipay" not in ids
    assert accounts_for("held:unverifiable", accounts) == ["shop-payparse-blind"]
