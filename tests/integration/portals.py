"""Five portals' exports, each with columns, dates and words of its own.

They are invented: none of the gateways documents its portal's export, and no real export was read. They differ as
exports do: titles above the headers, a byte order mark, semicolons, tabs, a workbook with real dates, local time and
UTC, refunds by their kind and by their sign, fees with and without.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from msgspec import Struct
from openpyxl import Workbook

DHAKA = ZoneInfo("Asia/Dhaka")


class Entry(Struct, frozen=True, kw_only=True):
    """What a portal knows of one movement of money. `status` is our word; `amount` may be any text."""

    transaction_id: str
    session_id: str
    reference: str
    amount: Decimal | str
    at: datetime
    status: str = "completed"
    refund: bool = False
    fee: Decimal | None = None


class Portal(Struct, frozen=True, kw_only=True):
    """`above` are the rows over the headers; `map` goes below its account's table; `fee` is the account's rule."""

    account: str
    file: str
    table: str
    map: str
    headers: tuple[str, ...]
    row: Callable[[Entry], Sequence[Any]]
    write: Callable[[Path, list[Sequence[Any]]], None]
    above: tuple[tuple[str, ...], ...] = ()
    fee_percent: Decimal | None = None
    fee_fixed: Decimal = Decimal("0.00")
    has_status: bool = True

    @property
    def first_row(self) -> int:
        """The number of the first row below the headers."""
        return len(self.above) + 2

    def export(self, path: Path, entries: Sequence[Entry]) -> None:
        self.write(path, [*self.above, self.headers, *(self.row(entry) for entry in entries)])


def local(at: datetime, form: str) -> str:
    return at.astimezone(DHAKA).strftime(form)


def text(amount: Decimal | str) -> str:
    return amount if isinstance(amount, str) else f"{amount:,.2f}"


def separated(delimiter: str, encoding: str) -> Callable[[Path, list[Sequence[Any]]], None]:
    def write(path: Path, rows: list[Sequence[Any]]) -> None:
        with path.open("w", encoding=encoding, newline="") as file:
            csv.writer(file, delimiter=delimiter).writerows(rows)

    return write


def workbook(path: Path, rows: list[Sequence[Any]]) -> None:
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    for row in rows:
        sheet.append(list(row))
    book.save(path)


def payparse(entry: Entry) -> Sequence[Any]:
    word = "refunded" if entry.refund else {"completed": "paid"}.get(entry.status, entry.status)
    at = entry.at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return (entry.session_id, entry.reference, text(entry.amount), "" if entry.fee is None else entry.fee, word, at)


def onepaybd(entry: Entry) -> Sequence[Any]:
    amount = float(entry.amount) if isinstance(entry.amount, Decimal) else entry.amount
    at = entry.at.astimezone(DHAKA).replace(tzinfo=None, microsecond=0)
    kind = "Refund" if entry.refund else "Payment"
    word = "Completed" if entry.status in ("completed", "refunded") else entry.status.title()
    fee = None if entry.fee is None else float(entry.fee)
    return (at, entry.transaction_id, entry.session_id, entry.reference, kind, amount, fee, word, "01770****75")


def shadhinpay(entry: Entry) -> Sequence[Any]:
    word = "PARTIAL REFUND" if entry.refund else entry.status.upper()
    at = local(entry.at, "%d %b %Y, %I:%M:%S %p")
    return (at, entry.session_id, entry.reference, "BKASH", text(entry.amount), word)


def moneybag(entry: Entry) -> Sequence[Any]:
    word = {"completed": "SUCCESS"}.get(entry.status, entry.status.upper())
    word = "REFUNDED" if entry.refund else word
    at = local(entry.at, "%d/%m/%Y %H:%M:%S")
    fee = "" if entry.fee is None else f"{entry.fee:.4f}"
    amount = entry.amount if isinstance(entry.amount, str) else f"{entry.amount:.2f}"
    return (entry.transaction_id, entry.reference, amount, "BDT", fee, word, at)


def ipay(entry: Entry) -> Sequence[Any]:
    amount = text(entry.amount)
    fee = "" if entry.fee is None else entry.fee
    return (local(entry.at, "%d-%m-%y %H:%M:%S"), entry.transaction_id, entry.session_id, entry.reference,
            f"-{amount}" if entry.refund else amount, fee)  # fmt: skip


PORTALS = (
    Portal(
        account="shop-payparse",
        file="payparse-orders.csv",
        table="""provider = "payparse"\nbase_url = "https://payparse.example"\napi_key = "key-of-payparse"\n""",
        map="""\
session_id = "Payment ID"
reference = "Order Ref"
amount = "Amount (BDT)"
fee = "Service Charge"
status = "Status"
at = "Paid At (UTC)"
time_zone = "UTC"
completed = ["paid"]
failed = ["failed"]
cancelled = ["cancelled"]
expired = ["expired"]
fee_fixed = "5.00"
""",
        headers=("Payment ID", "Order Ref", "Amount (BDT)", "Service Charge", "Status", "Paid At (UTC)"),
        row=payparse,
        write=separated(",", "utf-8"),
        fee_fixed=Decimal("5.00"),
    ),
    Portal(
        account="shop-onepaybd",
        file="bKash মাসিক.xlsx",
        table="""provider = "onepaybd"\nbase_url = "https://onepaybd.example"\napi_key = "key-of-onepaybd"\n""",
        map="""\
transaction_id = "Trx ID"
session_id = "Payment ID"
reference = "Invoice No"
amount = "Transaction Amount"
fee = "Charge"
kind = "Type"
status = "Status"
at = "Date Time"
refunds = ["Refund"]
payments = ["Payment"]
completed = ["Completed"]
failed = ["Failed"]
fee_percent = "1.85"
""",
        above=(("Merchant settlement report",), ("Wallet", "01770618575"), ()),
        headers=(
            "Date Time",
            "Trx ID",
            "Payment ID",
            "Invoice No",
            "Type",
            "Transaction Amount",
            "Charge",
            "Status",
            "Payer",
        ),
        row=onepaybd,
        write=workbook,
        fee_percent=Decimal("1.85"),
    ),
    Portal(
        account="shop-shadhinpay",
        file="shadhinpay.csv",
        table="""\
provider = "shadhinpay"
base_url = "https://shadhinpay.example"
client_id = "client"
business_id = "business"
api_key = "key-of-shadhinpay"
webhook_secret = "webhooks-of-shadhinpay"
""",
        map="""\
session_id = "payment id"
reference = "merchant txn id"
amount = "Amount"
kind = "Status"
status = "Status"
at = "Completed"
date_format = "%d %b %Y, %I:%M:%S %p"
refunds = ["PARTIAL REFUND"]
completed = ["COMPLETED"]
refunded = ["REFUNDED", "PARTIAL REFUND"]
failed = ["FAILED"]
cancelled = ["CANCELLED"]
expired = ["EXPIRED"]
""",
        above=(("ShadhinPay",), ("Business", "HB_71c4a09e")),
        headers=("Completed", "Payment ID", "Merchant Txn ID", "Vendor", "Amount", "Status"),
        row=shadhinpay,
        write=separated(";", "utf-8-sig"),
    ),
    Portal(
        account="shop-moneybag",
        file="moneybag.tsv",
        table="""\
provider = "moneybag"
base_url = "https://moneybag.example"
api_key = "key-of-moneybag"
webhook_secret = "webhooks-of-moneybag"
""",
        map="""\
transaction_id = "Transaction ID"
reference = "Order ID"
amount = "Order Amount"
currency = "Currency"
fee = "Charge"
status = "Status"
kind = "Status"
at = "Created"
date_format = "%d/%m/%Y %H:%M:%S"
refunds = ["REFUNDED"]
completed = ["SUCCESS"]
refunded = ["REFUNDED"]
failed = ["FAILED"]
fee_percent = "1.5"
""",
        headers=("Transaction ID", "Order ID", "Order Amount", "Currency", "Charge", "Status", "Created"),
        row=moneybag,
        write=separated("\t", "utf-8"),
        fee_percent=Decimal("1.5"),
    ),
    Portal(
        account="shop-ipay",
        file="ipay.csv",
        table="""provider = "ipay"\nbase_url = "https://ipay.example"\napi_key = "key-of-ipay"\n""",
        map="""\
transaction_id = "Transaction"
session_id = "Order"
reference = "Reference"
amount = "Amount"
fee = "Fee"
at = "Date"
date_format = "%d-%m-%y %H:%M:%S"
signed_amounts = true
fee_percent = "1.3"
fee_fixed = "2.00"
""",
        headers=("Date", "Transaction", "Order", "Reference", "Amount", "Fee"),
        row=ipay,
        write=separated(",", "utf-8-sig"),
        fee_percent=Decimal("1.3"),
        fee_fixed=Decimal("2.00"),
        has_status=False,
    ),
)
