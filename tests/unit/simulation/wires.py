"""How each gateway writes what is true, byte for byte as its file under `consumers/providers` reads it.

These bytes follow the gateways' documentation (see the tables of the providers), never what our own reader happens to
accept.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any, ClassVar, Literal
from urllib.parse import unquote
from zlib import crc32

from msgspec import Struct

from consumers.ports.effects import HttpReply, HttpRequest
from schemas.words import Status
from tests.unit.simulation.dressing import reply
from tests.unit.simulation.truth import ODD, State, Truth

OPEN, DHAKA = "open", timedelta(hours=6)


class Asks(Struct, frozen=True, kw_only=True):
    """What a request is about, and by which id."""

    by: Literal["session", "reference", "transaction"]
    id: str
    executes: bool = False
    list: bool = False


class Wire:
    """One gateway's bytes.

    `ENDS`: the ends for which it has a word. Any other end reads there like a payment that is still open. `SCHEME`:
    what stands before the token in `authorization`; None for a gateway without tokens. `PROVES_UNKNOWN`: its reply
    about a payment that it does not know is documented, and says that nobody paid it.
    """

    ENDS: ClassVar[frozenset[Status]] = frozenset({Status.FAILED, Status.CANCELLED, Status.EXPIRED})
    SCHEME: ClassVar[str | None] = None
    PROVES_UNKNOWN: ClassVar[bool] = True

    def created(self, truth: Truth, ends_at: datetime) -> HttpReply:
        raise NotImplementedError

    def asks(self, request: HttpRequest) -> Asks:
        raise NotImplementedError

    def told(self, truth: Truth, state: State | None, asks: Asks, moment: datetime) -> HttpReply:
        """The gateway's reply about a payment that it knows; no state is a checkout that was never used."""
        raise NotImplementedError

    def unknown(self, asks: Asks) -> HttpReply:
        raise NotImplementedError

    def knows(self, truth: Truth, state: State | None) -> bool:
        """Whether it knows a checkout of its own that nobody has paid yet."""
        del truth, state
        return True

    def shown_beside(self, truth: Truth, state: State | None) -> list[State]:
        """The paid states that one reply shows, which at most gateways is the last one alone."""
        del truth
        return [state] if state is not None and state.paid else []

    def granted(self, token: str) -> HttpReply:
        """The reply to the grant of a token."""
        raise NotImplementedError

    def stale(self, day: int) -> HttpReply:
        """The refusal of yesterday's token, in the form of this day."""
        del day
        return self.key_refused()

    def key_refused(self) -> HttpReply:
        return reply({"message": "Unauthorized"}, status=401)


def money(truth: Truth, state: State | None, moment: datetime) -> str:
    if state is not None and state.garbled is not None and (state.clean_at is None or moment < state.clean_at):
        return state.garbled
    amount = truth.amount if state is None or state.amount is None else state.amount
    return f"{amount:.2f}"


def word(state: State | None) -> str:
    return OPEN if state is None else str(state.status)


class ShadhinPayWire(Wire):
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


class IPayWire(Wire):
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


class PayParseWire(Wire):
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


class OnePayBDWire(Wire):
    SCHEME: ClassVar[str | None] = "Bearer "
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

    def granted(self, token: str) -> HttpReply:
        return reply({"statusCode": "0000", "id_token": token, "expires_in": "3600", "token_type": "Bearer"})

    def stale(self, day: int) -> HttpReply:
        """By an HTTP status, or by a code of the gateway's under a 200."""
        body = {"message": "Forbidden"} if day % 3 else {"statusCode": "2079", "statusMessage": "Invalid app Token"}
        return reply(body, status=(200, 401, 403)[day % 3])

    def refused(self, code: str) -> HttpReply:
        return reply({"statusCode": code, "statusMessage": "Not now"})

    def unknown(self, asks: Asks) -> HttpReply:
        del asks
        return self.refused("2002")


class MoneybagWire(Wire):
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


WIRES: dict[str, Wire] = {
    "shadhinpay": ShadhinPayWire(),
    "ipay": IPayWire(),
    "payparse": PayParseWire(),
    "onepaybd": OnePayBDWire(),
    "moneybag": MoneybagWire(),
}
