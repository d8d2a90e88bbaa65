"""How each gateway writes what is true, byte for byte as its file under `consumers/providers` reads it.

These bytes follow the gateways' documentation (see the tables of the providers), never what our own reader happens to
accept.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any, ClassVar, Literal, Protocol
from urllib.parse import parse_qs, unquote
from zlib import crc32

from msgspec import Struct

from consumers.ports.effects import HttpReply, HttpRequest
from tests.unit.simulation.dressing import reply
from tests.unit.simulation.truth import ODD, State, Truth

OPEN, DHAKA = "open", timedelta(hours=6)


class Asks(Struct, frozen=True, kw_only=True):
    """What a request is about, and by which id."""

    by: Literal["session", "reference", "transaction"]
    id: str
    executes: bool = False
    list: bool = False


class Wire(Protocol):
    def created(self, truth: Truth, ends_at: datetime) -> HttpReply: ...

    def asks(self, request: HttpRequest) -> Asks: ...

    def told(self, truth: Truth, state: State | None, asks: Asks, moment: datetime) -> HttpReply:
        """The gateway's reply about a payment that it knows; no state is a checkout that was never used."""
        ...

    def unknown(self, asks: Asks) -> HttpReply: ...


def money(truth: Truth, state: State | None, moment: datetime) -> str:
    if state is not None and state.garbled is not None and (state.clean_at is None or moment < state.clean_at):
        return state.garbled
    amount = truth.amount if state is None or state.amount is None else state.amount
    return f"{amount:.2f}"


def word(state: State | None) -> str:
    return OPEN if state is None else str(state.status)


class ShadhinPayWire:
    WORDS: ClassVar = {
        OPEN: "PENDING",
        "pending": "PENDING",
        "completed": "COMPLETED",
        "refunded": "REFUNDED",
        ODD: "ON_REVIEW",
        "failed": "FAILED",
        "cancelled": "CANCELLED",
        "expired": "EXPIRED",
    }

    def created(self, truth: Truth, ends_at: datetime) -> HttpReply:
        data = {
            "paymentId": truth.session_id,
            "merchantTxnId": truth.reference,
            "amount": f"{truth.amount:.2f}",
            "currency": "BDT",
            "status": "PENDING",
            "paymentUrl": f"https://pay.example/{truth.session_id}",
            "expiresAt": f"{ends_at:%Y-%m-%dT%H:%M:%S}.000Z",
        }
        return reply({"status": "success", "message": "Created", "data": data}, truth.dressing, 201)

    def asks(self, request: HttpRequest) -> Asks:
        path, _, query = request.url.partition("?")
        if query:
            return Asks(by="reference", id=unquote(query.partition("=")[2]), list=True)
        return Asks(by="session", id=unquote(path.rpartition("/")[2]))

    def told(self, truth: Truth, state: State | None, asks: Asks, moment: datetime) -> HttpReply:
        data: dict[str, Any] = {
            "paymentId": truth.session_id,
            "merchantTxnId": truth.reference,
            "amount": money(truth, state, moment),
            "currency": "BDT",
            "status": self.WORDS[word(state)],
            "vendor": "BKASH",
            "refundTotal": None if state is None or state.refunded is None else f"{state.refunded:.2f}",
        }
        return reply({"status": "success", "message": "OK", "data": [data] if asks.list else data}, truth.dressing)

    def unknown(self, asks: Asks) -> HttpReply:
        if asks.list:
            return reply({"status": "success", "message": "OK", "data": []})
        body = {"status": "error", "errorType": "RESOURCE_NOT_FOUND", "message": "No such payment", "data": None}
        return reply(body, status=404)


class IPayWire:
    WORDS: ClassVar = {
        OPEN: 100,
        "pending": 100,
        "completed": 200,
        "refunded": 200,
        ODD: 777,
        "failed": 300,
        "cancelled": 400,
        "expired": 500,
    }

    def created(self, truth: Truth, ends_at: datetime) -> HttpReply:
        del ends_at
        body = {
            "message": "Order placed successfully",
            "orderId": truth.session_id,
            "paymentUrl": f"app.ipay.example/pay/{truth.session_id}",
            "referenceId": truth.reference,
        }
        return reply(body, truth.dressing)

    def asks(self, request: HttpRequest) -> Asks:
        parts = request.url.split("/")
        return Asks(by="reference" if parts[-3] == "referenceId" else "session", id=unquote(parts[-2]))

    def told(self, truth: Truth, state: State | None, asks: Asks, moment: datetime) -> HttpReply:
        del asks
        body: dict[str, Any] = {
            "statusCode": self.WORDS[word(state)],
            "orderId": truth.session_id,
            "referenceId": truth.reference,
            "transactionId": state.transaction if state is not None and state.paid else None,
        }
        if state is not None and (state.amount or state.garbled):
            body["orderAmount"] = money(truth, state, moment)
        return reply(body, truth.dressing)

    def unknown(self, asks: Asks) -> HttpReply:
        del asks
        return reply({"message": "Order not found"}, status=404)


class PayParseWire:
    WORDS: ClassVar = {
        OPEN: "PENDING",
        "pending": "PENDING",
        "completed": "PAID",
        "refunded": "REFUNDED",
        ODD: "REVIEW",
        "failed": "FAILED",
        "cancelled": "CANCELLED",
        "expired": "EXPIRED",
    }

    def created(self, truth: Truth, ends_at: datetime) -> HttpReply:
        body = {
            "payment_id": truth.session_id,
            "checkout_url": f"https://pay.example/{truth.session_id}",
            "expires_at": f"{ends_at:%Y-%m-%dT%H:%M:%S}.000Z",
            "amount": float(truth.amount),
            "currency": "BDT",
            "status": "pending",
        }
        return reply(body, truth.dressing, 201)

    def asks(self, request: HttpRequest) -> Asks:
        return Asks(by="reference", id=unquote(request.url.rpartition("/")[2]))

    def told(self, truth: Truth, state: State | None, asks: Asks, moment: datetime) -> HttpReply:
        del asks
        body = {
            "order": {"ref": truth.reference, "amount": money(truth, state, moment), "currency": "BDT"},
            "state": self.WORDS[word(state)],
            "trx": None if state is None else state.transaction,
        }
        return reply(body, truth.dressing)

    def unknown(self, asks: Asks) -> HttpReply:
        del asks
        return reply({"error": {"code": "NOT_FOUND"}}, status=404)


class OnePayBDWire:
    WORDS: ClassVar = {
        OPEN: "Initiated",
        "pending": "Initiated",
        "completed": "Completed",
        "refunded": "Completed",
        ODD: "Reviewing",
        "failed": "Failed",
        "cancelled": "Cancelled",
        "expired": "Expired",
    }

    def created(self, truth: Truth, ends_at: datetime) -> HttpReply:
        del ends_at
        body = {
            "paymentID": truth.session_id,
            "bkashURL": f"https://pay.example/{truth.session_id}",
            "amount": f"{truth.amount.normalize():f}",
            "currency": "BDT",
            "transactionStatus": "Initiated",
            "merchantInvoiceNumber": truth.reference,
            "statusCode": "0000",
            "statusMessage": "Successful",
        }
        return reply(body, truth.dressing)

    def asks(self, request: HttpRequest) -> Asks:
        asked: dict[str, str] = json.loads(request.body or b"{}")
        return Asks(by="session", id=asked["paymentID"], executes=request.url.endswith("/execute"))

    def told(self, truth: Truth, state: State | None, asks: Asks, moment: datetime) -> HttpReply:
        body = {
            "statusCode": "0000",
            "statusMessage": "Successful",
            "paymentID": truth.session_id,
            "merchantInvoiceNumber" if asks.executes else "merchantInvoice": truth.reference,
            "transactionStatus": self.WORDS[word(state)],
            "amount": money(truth, state, moment),
            "currency": "BDT",
        }
        if state is not None and state.transaction is not None:
            body["trxID"] = state.transaction
        return reply(body, truth.dressing)

    def refused(self, code: str) -> HttpReply:
        return reply({"statusCode": code, "statusMessage": "Not now"})

    def unknown(self, asks: Asks) -> HttpReply:
        del asks
        return self.refused("2002")


class MoneybagWire:
    WORDS: ClassVar = {
        OPEN: "PENDING",
        "pending": "PENDING",
        "completed": "SUCCESS",
        "refunded": "REFUNDED",
        ODD: "REVIEW",
        "failed": "FAILED",
        "cancelled": "CANCELLED",
        "expired": "EXPIRED",
    }

    def created(self, truth: Truth, ends_at: datetime) -> HttpReply:
        naive = (
            ends_at + DHAKA if crc32(truth.reference.encode()) % 2 else ends_at
        )  # without its zone, and not always Dhaka's
        data = {
            "session_id": truth.session_id,
            "checkout_url": f"https://pay.example/{truth.session_id}",
            "expires_at": f"{naive:%Y-%m-%dT%H:%M:%S}",
        }
        return reply({"success": True, "data": data}, truth.dressing, 201)

    def asks(self, request: HttpRequest) -> Asks:
        return Asks(by="transaction", id=unquote(request.url.rpartition("/")[2]))

    def told(self, truth: Truth, state: State | None, asks: Asks, moment: datetime) -> HttpReply:
        data = {
            "transaction_id": asks.id,
            "order_id": truth.reference,
            "status": self.WORDS[word(state)],
            "verified": state is not None and state.paid,
            "amount": money(truth, state, moment) + ("" if state is not None and state.garbled else "00"),
            "currency": "BDT",
        }
        return reply({"success": True, "data": data}, truth.dressing)

    def unknown(self, asks: Asks) -> HttpReply:
        del asks
        body = {"success": False, "error": {"code": "NOT_FOUND", "message": "Transaction not found"}}
        return reply(body, status=404)


class SSLCommerzWire:
    """One element for each attempt to pay, in any order; each paid transaction is an attempt of its own."""

    WORDS: ClassVar = {
        OPEN: "PROCESSING",
        "pending": "PENDING",
        "completed": "VALIDATED",
        "refunded": "VALIDATED",
        ODD: "ON_HOLD",
        "failed": "FAILED",
        "cancelled": "CANCELLED",
        "expired": "EXPIRED",
    }

    def created(self, truth: Truth, ends_at: datetime) -> HttpReply:
        del ends_at
        page = f"https://pay.example/{truth.session_id}"
        return reply({"status": "SUCCESS", "sessionkey": truth.session_id, "GatewayPageURL": page}, truth.dressing)

    def asks(self, request: HttpRequest) -> Asks:
        return Asks(by="reference", id=parse_qs(request.url.partition("?")[2])["tran_id"][0])

    def told(self, truth: Truth, state: State | None, asks: Asks, moment: datetime) -> HttpReply:
        del asks
        paid = {one.transaction: one for one in truth.states if state is not None and one.paid and one.at <= state.at}
        shown = [*paid.values()] if state is not None and state.paid else [state]
        elements = [self._element(truth, one, moment) for one in shown]
        if paid or state is None:  # an attempt that failed before ends nothing
            elements.append({"tran_id": truth.reference, "status": "FAILED", "bank_tran_id": f"F-{truth.reference}"})
        order = -1 if moment.second % 2 else 1
        body = {"APIConnect": "DONE", "no_of_trans_found": len(elements), "element": elements[::order]}
        return reply(body, truth.dressing)

    def _element(self, truth: Truth, state: State | None, moment: datetime) -> dict[str, Any]:
        element = {"tran_id": truth.reference, "status": self.WORDS[word(state)], "store_amount": "1.00"}
        if state is not None and state.paid:
            element |= {"bank_tran_id": state.transaction or "", "risk_level": "0"}
        return element | {"currency_amount": money(truth, state, moment), "currency_type": "BDT"}

    def unknown(self, asks: Asks) -> HttpReply:
        element = {"tran_id": asks.id, "status": "INVALID"}
        return reply({"APIConnect": "DONE", "no_of_trans_found": 0, "element": [element]})


WIRES: dict[str, Wire] = {
    "shadhinpay": ShadhinPayWire(),
    "ipay": IPayWire(),
    "payparse": PayParseWire(),
    "onepaybd": OnePayBDWire(),
    "moneybag": MoneybagWire(),
    "sslcommerz": SSLCommerzWire(),
}
