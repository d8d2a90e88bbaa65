"""`[merchants.accounts.statement]`: the meaning of a valid table, and every way for a table not to fit."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from schemas.checks import HOUR
from schemas.statements import StatementMap
from worker.config import ConfigError, load

FILE = """
[[merchants]]
id = "shop"
api_keys = ["env:PAYPROOF_API_KEY"]

[[merchants.accounts]]
id = "shop-ipay"
provider = "ipay"
base_url = "https://pay.example"
api_key = "env:PAY_KEY"
calls_per_second = 2.5

[merchants.accounts.statement]
"""
PLACE = "merchants[0].accounts[0].statement"


def read(tmp_path: Path, text: str) -> StatementMap | None:
    path = tmp_path / "payproof.toml"
    path.write_text(FILE + text, encoding="utf-8")
    config = load({"PAYPROOF_CONFIG": str(path), "PAYPROOF_API_KEY": "an-api-key-of-the-shop-01", "PAY_KEY": "pay-key"})
    assert type(config.accounts[0].calls_per_second) is float
    return config.accounts[0].statement


def problems(tmp_path: Path, text: str) -> dict[str, str]:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text)
    return {one.path.removeprefix(PLACE).removeprefix("."): one.message for one in caught.value.problems}


def test_a_map_is_read(tmp_path: Path) -> None:
    text = """
        amount = "Amount"
        transaction_id = "Trx ID"
        at = "Date"
        date_format = "%d/%m/%Y %I:%M %p"
        fee = "Charge"
        fee_percent = 1.15
        fee_fixed = "0.10"
        status = "Status"
        completed = ["Success", "সফল"]
        kind = "Status"
        refunds = ["Refund"]
        grace = "48h"
    """
    assert read(tmp_path, text) == StatementMap(
        amount="Amount",
        transaction_id="Trx ID",
        at="Date",
        date_format="%d/%m/%Y %I:%M %p",
        fee="Charge",
        fee_percent=Decimal("1.15"),
        fee_fixed=Decimal("0.10"),
        status="Status",
        completed=("Success", "সফল"),
        kind="Status",
        refunds=("Refund",),
        grace=48 * HOUR,
    )


def test_percentages_are_read_exactly_as_they_are_written(tmp_path: Path) -> None:
    for written in ("1.15", '"1.15"', "1.1500", "100", "0", "0.10"):
        found = read(tmp_path, f'amount = "A"\nreference = "B"\nfee = "F"\nfee_percent = {written}')
        assert found is not None
        assert str(found.fee_percent) == written.strip('"')


def test_everything_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    found = problems(
        tmp_path,
        """
        amont = "Amount"
        at = "Date"
        date_format = "%Q"
        time_zone = "Asia/Daka"
        refunds = ["Refund"]
        completed = ["Success"]
        fee_percent = 101
        fee_fixed = -1
        """,
    )
    assert found == {
        "amont": 'unknown key; did you mean "amount"?',
        "amount": "is missing",
        "": "names no column to know a payment by: one of transaction_id, session_id, reference",
        "date_format": "has no year",
        "time_zone": "no such time zone; one such as Asia/Dhaka or UTC is meant",
        "refunds": "needs the column kind",
        "completed": "needs the column status",
        "fee_percent": "needs the column fee",
        "fee_fixed": "a decimal is of ASCII digits and one point, such as 1.5",
    }


NO_DAY = "does not tell the day: it needs a year, a month and a day of the month"
NO_ZONE = "%Z is read without effect; name the zone in time_zone, or use %z for an offset"
UNUSABLE = "strptime cannot use it; a format such as %d/%m/%Y %H:%M:%S is meant"
IDS = 'amount = "Amount"\nreference = "Ref"\n'


@pytest.mark.parametrize(
    ("text", "key", "message"),
    [
        ('at = "Date"\ndate_format = "%d/%m"', "date_format", "has no year"),
        ('at = "Date"\ndate_format = "%m/%Y"', "date_format", NO_DAY),
        ('at = "Date"\ndate_format = "%d/%m/%Y %I:%M"', "date_format", "%I and %p belong together"),
        ('at = "Date"\ndate_format = "%d/%m/%Y %H:%M %p %"', "date_format", UNUSABLE),
        ('at = "Date"\ndate_format = "%d/%m/%Y %Z"', "date_format", NO_ZONE),
        ('date_format = "%d/%m/%Y"', "date_format", "needs the column at"),
        ('time_zone = "../etc/passwd"', "time_zone", "no such time zone; one such as Asia/Dhaka or UTC is meant"),
        ('time_zone = ""', "time_zone", "no such time zone; one such as Asia/Dhaka or UTC is meant"),
        ('transaction_id = " ref "', "reference", "is the header of transaction_id too"),
        ('fee = "AMOUNT"', "fee", "is the header of amount too"),
        ('status = " "\ncompleted = ["x"]', "status", "is empty"),
        ('status = "Status"', "status", "needs completed, the words for it"),
        ('status = "Status"\nfailed = ["x"]', "status", "needs completed, the words for it"),
        ('status = "S"\ncompleted = ["Done"]\nfailed = ["no", " done"]', "failed[1]", "is in completed too"),
        ('status = "S"\ncompleted = ["Done", " "]', "completed[1]", "is empty"),
        ('kind = "Type"', "kind", "needs refunds or payments"),
        ('kind = "Type"\nrefunds = ["R"]\npayments = ["r"]', "payments[0]", "is in refunds too"),
        ('fee = "Fee"\nfee_percent = 100.5', "fee_percent", "must be at most 100"),
        ('fee = "Fee"\nfee_percent = true', "fee_percent", "expected a decimal, found true or false"),
        ('fee = "Fee"\nfee_percent = "১"', "fee_percent", "a decimal is of ASCII digits and one point, such as 1.5"),
        ('fee = "Fee"\nfee_percent = nan', "fee_percent", "a decimal is of ASCII digits and one point, such as 1.5"),
        ('fee = "Fee"\nfee_percent = 1e2', "fee_percent", "a decimal is of ASCII digits and one point, such as 1.5"),
        ('fee = "Fee"\nfee_fixed = 0.00001', "fee_fixed", "has more than 4 decimals"),
        ('fee = ""', "fee", "is empty"),
        ("grace = 24", "grace", "a duration is text such as 300ms, 2s, 5m, 24h or 7d"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_told_with_its_path(tmp_path: Path, text: str, key: str, message: str) -> None:
    assert problems(tmp_path, IDS + text) == {key: message}


def test_an_account_without_the_table_has_no_map(tmp_path: Path) -> None:
    path = tmp_path / "payproof.toml"
    path.write_text(FILE.replace("[merchants.accounts.statement]", ""), encoding="utf-8")
    config = load({"PAYPROOF_CONFIG": str(path), "PAYPROOF_API_KEY": "an-api-key-of-the-shop-01", "PAY_KEY": "pay-key"})
    assert config.accounts[0].statement is None
