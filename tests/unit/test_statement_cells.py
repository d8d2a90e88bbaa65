"""The value of one cell of a statement, in each way people write it, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.reconciliation.statements.cells import Unclear, blank, read_id, read_money, read_time
from worker.reconciliation.statements.formats import time_reader
from worker.reconciliation.statements.tables import DateCell

DHAKA = ZoneInfo("Asia/Dhaka")


@pytest.mark.parametrize(
    ("cell", "amount"),
    [
        ("1500.50", "1500.50"),
        (" 1500.5 ", "1500.50"),
        ("1500", "1500.00"),
        ("1500.5000", "1500.50"),
        ("0", "0.00"),
        ("1,500.00", "1500.00"),
        ("150,000.00", "150000.00"),
        ("1,50,000.00", "150000.00"),
        ("12,34,56,789.10", "123456789.10"),
        ("123,456,789", "123456789.00"),
        ("BDT 1,500.00", "1500.00"),
        ("৳1500", "1500.00"),
        ("Tk. 1500", "1500.00"),
        ("tk 1500", "1500.00"),
        ("1500 BDT", "1500.00"),
        ("1,500.00 ৳", "1500.00"),
        ("-1500", "-1500.00"),
        ("BDT -1500", "-1500.00"),
        ("-৳ 1500", "-1500.00"),
    ],
)
def test_an_amount_is_read_as_people_here_write_it(cell: str, amount: str) -> None:
    read = read_money(cell, 2)
    assert (read, read.as_tuple().exponent) == (Decimal(amount), -2)


@pytest.mark.parametrize(
    ("cell", "why"),
    [
        ("১৫০০", "has Bengali digits"),
        ("1500.০০", "has Bengali digits"),
        ("1500.505", "has more than 2 decimals"),
        ("1,50", "has commas where no thousands end"),
        ("15,00", "has commas where no thousands end"),
        ("1,5000", "has commas where no thousands end"),
        ("1,500,00.00", "has commas where no thousands end"),
        ("1,23,456,789", "has commas where no thousands end"),
        ("1.500,00", "is no amount"),
        ("1 500", "is no amount"),
        ("(1,500.00)", "is no amount"),
        ("1500-", "is no amount"),
        ("--5", "is no amount"),
        ("+1500", "is no amount"),
        ("1_500", "is no amount"),
        ("1e3", "is no amount"),
        ("NaN", "is no amount"),
        ("USD 15", "is no amount"),
        ("١٥٠٠", "is no amount"),  # Arabic digits
        ("=A1*2", "is a formula"),
        ("#REF!", "is an error of the spreadsheet"),
        ("1.5E+15", "was shortened by a spreadsheet"),
        ("1234567890123456", "is too long"),
    ],
)
def test_an_amount_written_in_any_other_way_is_refused_with_its_reason(cell: str, why: str) -> None:
    with pytest.raises(Unclear, match=why):
        read_money(cell, 2)


def test_a_fee_has_up_to_four_decimals() -> None:
    assert read_money("22.5075", 4) == Decimal("22.5075")
    with pytest.raises(Unclear, match="more than 4 decimals"):
        read_money("22.50751", 4)


@pytest.mark.parametrize("cell", ["", "  ", "-", "—", "N/A", "null"])
def test_what_portals_write_for_nothing_is_nothing(cell: str) -> None:
    assert blank(cell)


@pytest.mark.parametrize("cell", ["0", "none", "x", "৳"])
def test_anything_else_is_something(cell: str) -> None:
    assert not blank(cell)


def test_an_id_is_taken_as_it_is() -> None:
    assert read_id(" 23I2-00012345 ") == "23I2-00012345"
    assert read_id("অর্ডার-৭") == "অর্ডার-৭"
    assert read_id("0012345678901234567") == "0012345678901234567"
    assert read_id("12E45") == "12E45"


@pytest.mark.parametrize(
    ("cell", "why"),
    [
        ("1.23457E+15", "was shortened to a number by a spreadsheet"),
        ("a\nb", "control character"),
        ("a\x07b", "control character"),
        ("x" * 201, "longer than 200"),
        ("=HYPERLINK(1)", "is a formula"),
        ("#N/A", "is an error of the spreadsheet"),
        (DateCell("2026-05-06T00:00:00"), "was taken for a date"),
    ],
)
def test_an_id_that_a_spreadsheet_spoiled_is_refused(cell: str, why: str) -> None:
    with pytest.raises(Unclear, match=why):
        read_id(cell)


AT = datetime(2026, 4, 3, 4, 20, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("cell", "form"),
    [
        ("2026-04-03 10:20:30", None),
        ("2026-04-03T10:20:30", None),
        ("2026-04-03T04:20:30Z", None),
        ("2026-04-03T10:20:30+06:00", None),
        ("2026-04-03 04:20:30.000 +00:00", None),
        ("২০২৬-০৪-০৩ ১০:২০:৩০", None),
        ("03/04/2026 10:20:30 AM", "%d/%m/%Y %I:%M:%S %p"),
        ("০৩/০৪/২০২৬ ১০:২০:৩০", "%d/%m/%Y %H:%M:%S"),
        ("03-Apr-26 10:20:30 +0600", "%d-%b-%y %H:%M:%S %z"),
        (DateCell("2026-04-03T10:20:30"), "%d/%m/%Y"),
    ],
)
def test_a_time_is_read_into_utc(cell: str, form: str | None) -> None:
    assert read_time(cell, form, DHAKA) == AT


def test_a_day_alone_is_its_first_moment_there() -> None:
    assert read_time("2026-04-03", None, DHAKA) == datetime(2026, 4, 2, 18, tzinfo=UTC)


@pytest.mark.parametrize(
    ("cell", "form", "why"),
    [
        ("03/04/2026", None, "is not a time in ISO 8601"),
        ("2026-02-30", None, "is not a time in ISO 8601"),
        ("2026-04-03 25:00", None, "is not a time in ISO 8601"),
        ("2026-W14-5", None, "is not a time in ISO 8601"),
        ("20260403", None, "is not a time in ISO 8601"),
        ("31/04/2026", "%d/%m/%Y", "is not a time written as %d/%m/%Y"),
        ("03/04/2026 10:00", "%d/%m/%Y", "is not a time written as %d/%m/%Y"),
        ("1970-01-01", None, "is no time of our age"),
        ("9999-12-31", None, "is no time of our age"),
        ("0001-01-01", None, "is not a time|no time of our age"),
        ("46148.43", None, "is not a time"),
        ("=NOW()", None, "is a formula"),
    ],
)
def test_any_other_time_is_refused(cell: str, form: str | None, why: str) -> None:
    with pytest.raises(Unclear, match=why):
        read_time(cell, form, DHAKA)


FORMS = st.sampled_from(
    [
        "%d/%m/%Y %H:%M:%S",
        "%d-%b-%Y %I:%M %p",
        "%m/%d/%Y",
        "%I:%M:%S %p %Y.%m.%d",
        "%Y%m%d%H%M",
        "%d/%m/%y %H:%M",
        "%d %B %Y",
    ]
)


@given(
    FORMS,
    st.datetimes(datetime(1999, 1, 1), datetime(2201, 1, 1)),
    st.integers(0, 25),
    st.text("0123456789 /-:APMJan", max_size=2),
)
def test_times_are_read_as_strptime_reads_them(form: str, time: datetime, place: int, other: str) -> None:
    text = time.strftime(form)
    changed = text[:place] + other + text[place + len(other) :]
    for one in (text, changed):
        assert answer(time_reader(form), one) == answer(lambda some: datetime.strptime(some, form), one)


def answer(read: Callable[[str], datetime], text: str) -> datetime | None:
    try:
        return read(text)
    except ValueError:
        return None
