"""How the gateways of the second facts sheet write what is true, byte for byte; see `wires.py` for the first ones.

Where a gateway's documents leave a form open, each payment gets one of the forms that were seen, so that a seed tries
them all. No source shows these forms: what aamarPay says of an open or an unknown payment, what EPS says of an open
one, and how UddoktaPay refuses a key. Each of them has several plausible forms here.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, ClassVar
from urllib.parse import parse_qs
from zlib import crc32

from consumers.ports.gateway import HttpReply, HttpRequest
from schemas.words import Status
from tests.unit.simulation.dressing import JSON, dressed, reply
from tests.unit.simulation.truth import ODD, State, Truth
from tests.unit.simulation.wires import OPEN, Asks, OnePayBDWire, Wire, money, word


def _one_of(forms: tuple[Any, ...], name: str) -> Any:
    """One of these forms, always the same for a name."""
    return forms[crc32(name.encode()) % len(forms)]


class SSLCommerzWire(Wire):
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
        """Every attempt until `state`, and some that were begun beside them and say nothing of the money."""
        del asks
        attempts: dict[str | None, State | None] = {}
        for one in truth.states if state is not None else ():
            if state is not None and one.at <= state.at:
                attempts[one.transaction] = one
        elements = [self._element(truth, one, moment) for one in attempts.values() or [None]]
        if state is None or state.paid or state.status is Status.PENDING:  # they end nothing
            elements.append(self._idle(truth, "FAILED", f"F-{truth.reference}"))
        if state is not None and state.paid:
            elements += [self._idle(truth, "PROCESSING", ""), self._idle(truth, "UNATTEMPTED", "")][: moment.second % 3]
        order = -1 if moment.second % 2 else 1
        count: int | str = len(elements) if moment.minute % 4 else str(len(elements))
        bare = len(elements) == 1 and moment.minute % 3 == 0
        body = {
            "APIConnect": "DONE",
            "no_of_trans_found": count,
            "element": elements[0] if bare else elements[::order],
        }
        return reply(body, truth.dressing)

    def shown_beside(self, truth: Truth, state: State | None) -> list[State]:
        return [one for one in truth.states if state is not None and one.at <= state.at and one.paid]

    def _element(self, truth: Truth, state: State | None, moment: datetime) -> dict[str, Any]:
        element = {"tran_id": truth.reference, "status": self.WORDS[word(state)], "store_amount": "1.00"}
        if state is not None and state.paid:
            risk = _one_of(("0", "0", "1"), truth.reference)
            transaction = state.transaction or ""
            element |= {"val_id": f"V-{transaction}", "bank_tran_id": transaction, "risk_level": risk}
            if moment.second % 3 == 0:
                element["status"] = "VALID"
        paid = money(truth, state, moment)
        return element | {"amount": paid, "currency": "BDT", "currency_amount": paid, "currency_type": "BDT"}

    def _idle(self, truth: Truth, status: str, bank: str) -> dict[str, Any]:
        return {"tran_id": truth.reference, "status": status, "val_id": "", "bank_tran_id": bank, "store_amount": ""}

    def unknown(self, asks: Asks) -> HttpReply:
        element = {"tran_id": asks.id, "status": "INVALID"}
        return reply({"APIConnect": "DONE", "no_of_trans_found": 0, "element": [element]})

    def key_refused(self) -> HttpReply:
        return reply({"APIConnect": "INACTIVE", "no_of_trans_found": 0, "element": []})


class BKashWire(OnePayBDWire):
    """As at OnePayBD, with the token as it is."""

    SCHEME: ClassVar[str | None] = ""


class ShurjoPayWire(Wire):
    """An array of one order about a known checkout, an object about an unknown one, and amounts of four decimals."""

    ENDS: ClassVar = frozenset({Status.FAILED, Status.CANCELLED})
    SCHEME: ClassVar[str | None] = "Bearer "
    CODES: ClassVar[dict[str, tuple[str, ...]]] = {
        OPEN: ("1065", "1066", "1068"),
        "pending": ("2005",),
        "completed": ("1000", "1000", "1000", "2000", "2001", "2006"),
        "refunded": ("2002", "3000"),
        ODD: ("4711",),
        "failed": ("1001", "1005", "1006", "1007", "1008", "1009", "1061", "1067", "2009"),
        "cancelled": ("1002",),
        "expired": ("1004", "2007", "1068"),
    }

    def created(self, truth: Truth, ends_at: datetime) -> HttpReply:
        del ends_at
        body = {
            "checkout_url": f"https://pay.example/{truth.session_id}",
            "amount": float(truth.amount),
            "currency": "BDT",
            "sp_order_id": truth.session_id,
            "customer_order_id": truth.reference,
            "intent": "sale",
            "transactionStatus": "Initiated",
        }
        return reply(body, truth.dressing)

    def asks(self, request: HttpRequest) -> Asks:
        return Asks(by="session", id=json.loads(request.body or b"{}")["order_id"])

    def told(self, truth: Truth, state: State | None, asks: Asks, moment: datetime) -> HttpReply:
        del asks
        amount, paid = money(truth, state, moment), state is not None and state.paid
        order = {
            "id": 7831,
            "order_id": truth.session_id,
            "currency": "BDT",
            "amount": amount + ("" if state is not None and state.garbled else "00"),
            "payable_amount": "1.0000",
            "received_amount": "1.0000",
            "bank_trx_id": state.transaction if state is not None and paid else _one_of(("0", None), truth.reference),
            "bank_status": "Success" if moment.second % 2 else "Failed",  # which contradicts sp_code at paid orders
            "customer_order_id": truth.reference,
            "sp_code": _one_of(self.CODES[word(state)], truth.reference),
            "sp_message": "as the code says",
            "transaction_status": None,
            "method": "bKash",
            "date_time": "2026-05-17 18:09:00",
        }
        raw = b"[" + dressed(order, truth.dressing).removeprefix(b"\xef\xbb\xbf") + b"]"
        if truth.dressing == "plain" and moment.second % 5 == 0:
            raw = json.dumps(raw.decode()).encode()  # a JSON string that holds the JSON
        return HttpReply(status=200, headers={"content-type": JSON}, body=raw)

    def unknown(self, asks: Asks) -> HttpReply:
        del asks
        return reply({"sp_code": "1011", "message": "Invalid order id"})

    def granted(self, token: str) -> HttpReply:
        body = {
            "token": token,
            "store_id": 7,
            "execute_url": "https://pay.example/api/secret-pay",
            "token_type": "Bearer",
            "sp_code": "200",
            "message": "Ok",
            "token_create_time": "2026-05-29 12:46:01pm",
            "expires_in": 3600,
        }
        return reply(body)

    def stale(self, day: int) -> HttpReply:
        body = {"sp_code": "1004", "message": "Session expired"} if day % 2 else {"sp_code": "1064", "message": "no"}
        return reply(body, status=200 if day % 3 else 401)

    def key_refused(self) -> HttpReply:
        return reply({"sp_code": "1003", "message": "Invalid credentials"})


class AamarPayWire(Wire):
    """Only the word of a paid payment is published, so every other word ends nothing."""

    PROVES_UNKNOWN: ClassVar[bool] = False
    ENDS: ClassVar = frozenset[Status]()
    WORDS: ClassVar = {
        OPEN: ("Initiated", "1"),
        "pending": ("Pending", "3"),
        "completed": ("Successful", "2"),
        "refunded": ("Successful", "2"),
        ODD: ("Successful", "5"),
        "failed": ("Failed", "7"),
        "cancelled": ("Cancelled", "9"),
        "expired": ("Expired", "8"),
    }

    def created(self, truth: Truth, ends_at: datetime) -> HttpReply:
        del ends_at
        track = f"paynow.php?track={truth.session_id}"
        page = _one_of((f"https://sandbox.aamarpay.com/{track}", f"/{track}", track), truth.reference)
        return reply({"result": "true", "payment_url": page}, truth.dressing)

    def asks(self, request: HttpRequest) -> Asks:
        return Asks(by="reference", id=parse_qs(request.url.partition("?")[2])["request_id"][0])

    def told(self, truth: Truth, state: State | None, asks: Asks, moment: datetime) -> HttpReply:
        del asks
        status, code = self.WORDS[word(state)]
        amount, paid = money(truth, state, moment), state is not None and state.paid
        body: dict[str, Any] = {
            "pg_txnid": state.transaction if state is not None else None,
            "mer_txnid": truth.reference,
            "amount": amount,
            "amount_currency": amount,
            "amount_bdt": amount,
            "store_amount": "1.00",
            "currency": "BDT",
            "currency_merchant": "BDT",
            "pay_status": status,
            "status_code": int(code) if moment.second % 2 else code,
            "risk_level": "0",
            "error_code": "0000" if paid else "7831",
            "date": "2026-03-17 15:20:55",
            "opt_a": "another-order",
        }
        if truth.dressing == "plain" and moment.second % 3 == 0:
            return HttpReply(status=200, headers={"content-type": JSON}, body=b"[" + json.dumps(body).encode() + b"]")
        return reply(body, truth.dressing)

    def knows(self, truth: Truth, state: State | None) -> bool:
        """It is UNKNOWN whether it knows a checkout that nobody used."""
        return state is not None or _one_of((True, False), truth.payment_id)

    def unknown(self, asks: Asks) -> HttpReply:
        """The form is UNKNOWN."""
        raw = _one_of((b"[]", b"{}", b'{"msg":"No transaction found"}', b'{"status":"invalid"}', b"null"), asks.id)
        return HttpReply(status=200, headers={"content-type": JSON}, body=raw)

    def key_refused(self) -> HttpReply:
        return reply({"result": "Invalid Store ID"})


class EPSWire(Wire):
    """A flat object without a currency. A reply about an unknown reference echoes none."""

    PROVES_UNKNOWN: ClassVar[bool] = False
    ENDS: ClassVar = frozenset({Status.FAILED, Status.CANCELLED})
    SCHEME: ClassVar[str | None] = "Bearer "
    WORDS: ClassVar[dict[str, tuple[str, ...]]] = {
        OPEN: ("Initiated", "PENDING", "Processing"),
        "pending": ("PENDING", "Processing"),
        "completed": ("Success", "SUCCESS", "COMPLETED"),
        "refunded": ("Success",),
        ODD: ("OnReview",),
        "failed": ("Failed", "FAILURE"),
        "cancelled": ("Cancel", "CANCELED"),
        "expired": ("Timeout", "Initiated"),
    }

    def created(self, truth: Truth, ends_at: datetime) -> HttpReply:
        del ends_at
        body = {
            "TransactionId": truth.session_id,
            "RedirectURL": f"https://pay.example/{truth.session_id}",
            "ErrorMessage": "",
            "ErrorCode": None,
            "FinancialEntityList": None,
        }
        return reply(body, truth.dressing)

    def asks(self, request: HttpRequest) -> Asks:
        query = parse_qs(request.url.partition("?")[2])
        return Asks(by="reference", id=query["merchantTransactionId"][0])

    def told(self, truth: Truth, state: State | None, asks: Asks, moment: datetime) -> HttpReply:
        del asks
        amount = money(truth, state, moment)
        clean = state is None or state.garbled is None
        body = {
            "Status": _one_of(self.WORDS[word(state)], truth.reference),
            "MerchantTransactionId": truth.reference,
            "EPSTransactionId": state.transaction if state is not None else None,
            "TotalAmount": float(amount) if clean and moment.second % 2 else amount,
            "StoreAmount": "1.00",
            "FinancialEntity": "bKash",
            "TransactionDate": "2026-08-19 12:00:00",
        }
        return reply(body, truth.dressing)

    def knows(self, truth: Truth, state: State | None) -> bool:
        """It is UNKNOWN whether it knows a checkout that nobody used."""
        return state is not None or _one_of((True, False), truth.payment_id)

    def unknown(self, asks: Asks) -> HttpReply:
        if _one_of((True, False), asks.id):
            return reply({"message": "Transaction not found"}, status=404)
        return reply({"Status": "Failed", "MerchantTransactionId": None, "TotalAmount": None})

    def granted(self, token: str) -> HttpReply:
        return reply({"token": token, "expireDate": "2026-08-19T13:00:00Z"})


class UddoktaPayWire(Wire):
    """Only the words COMPLETED and PENDING. ERROR says that it does not know the invoice, or does not know it yet."""

    PROVES_UNKNOWN: ClassVar[bool] = False
    ENDS: ClassVar = frozenset[Status]()

    def created(self, truth: Truth, ends_at: datetime) -> HttpReply:
        """Without the invoice's id."""
        del ends_at
        page = f"https://pay.example/payment/{crc32(truth.reference.encode()):08x}"
        return reply({"status": True, "message": "Payment Url", "payment_url": page}, truth.dressing)

    def asks(self, request: HttpRequest) -> Asks:
        return Asks(by="session", id=json.loads(request.body or b"{}")["invoice_id"])

    def told(self, truth: Truth, state: State | None, asks: Asks, moment: datetime) -> HttpReply:
        del asks
        paid, odd = state is not None and state.paid, state is not None and state.status == ODD
        body = {
            "full_name": "Jos Rahman",
            "email": "buyer@shop.example",
            "amount": money(truth, state, moment),
            "fee": "0.00",
            "charged_amount": "1.00",
            "invoice_id": truth.session_id,
            "metadata": {"reference": truth.reference},
            "payment_method": "bkash",
            "sender_number": "01700000000",
            "transaction_id": state.transaction if state is not None else "",
            "date": "2026-05-17 18:09:00",
            "status": "COMPLETED" if paid else "REVIEWED" if odd else "PENDING",
        }
        return reply(body, truth.dressing)

    def knows(self, truth: Truth, state: State | None) -> bool:
        """It is UNKNOWN whether it knows an invoice before an SMS or a person approves it."""
        return (state is not None and (state.paid or state.status == ODD)) or _one_of((True, False), truth.payment_id)

    def unknown(self, asks: Asks) -> HttpReply:
        del asks
        return reply({"status": "ERROR", "message": "Invoice not found"})

    def key_refused(self) -> HttpReply:
        """The form is UNKNOWN: this one looks like the reply about an unknown invoice."""
        return reply({"status": "ERROR", "message": "Invalid API key"})


class PayStationWire(Wire):
    """PayStation, whose account is `generic`: only its words for paid, open and failed are known."""

    ENDS: ClassVar = frozenset({Status.FAILED})
    WORDS: ClassVar[dict[str, tuple[str, ...]]] = {
        OPEN: ("processing", "Processing"),
        "pending": ("processing",),
        "completed": ("Success", "success", "successful"),
        "refunded": ("success",),
        ODD: ("reversed",),
        "failed": ("failed", "Failed"),
        "cancelled": ("processing",),
        "expired": ("processing",),
    }

    def created(self, truth: Truth, ends_at: datetime) -> HttpReply:
        del ends_at
        body = {
            "status_code": "200",
            "status": "success",
            "message": "Payment Link Created Successfully.",
            "invoice_number": truth.reference,
            "payment_url": f"https://pay.example/{truth.session_id}",
        }
        return reply(body, truth.dressing)

    def asks(self, request: HttpRequest) -> Asks:
        return Asks(by="reference", id=parse_qs((request.body or b"").decode())["invoice_number"][0])

    def told(self, truth: Truth, state: State | None, asks: Asks, moment: datetime) -> HttpReply:
        del asks
        amount = money(truth, state, moment)
        clean = state is None or state.garbled is None
        data = {
            "invoice_number": truth.reference,
            "trx_status": _one_of(self.WORDS[word(state)], truth.reference),
            "trx_id": state.transaction if state is not None else None,
            "payment_amount": float(amount) if clean else amount,
            "order_date_time": "2026-06-19 11:57:04",
        }
        return reply({"status_code": "200", "status": "success", "message": "ok", "data": data}, truth.dressing)

    def unknown(self, asks: Asks) -> HttpReply:
        del asks
        return reply({"status_code": "1006", "status": "failed", "message": "Invalid invoice"})

    def key_refused(self) -> HttpReply:
        return reply({"status_code": "1001", "status": "failed", "message": "Invalid merchant"})


NEWER_WIRES: dict[str, Wire] = {
    "sslcommerz": SSLCommerzWire(),
    "bkash": BKashWire(),
    "shurjopay": ShurjoPayWire(),
    "aamarpay": AamarPayWire(),
    "eps": EPSWire(),
    "uddoktapay": UddoktaPayWire(),
    "generic": PayStationWire(),
}
