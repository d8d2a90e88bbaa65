"""Words that portals write above their columns, and in their status and type columns, in English and Bangla.

These lists serve proposals only. A word that stands in none of them is reported to the person who writes the map, and
is never replaced by the nearest one.
"""

from __future__ import annotations

import re
import unicodedata

HEADER_WORDS: dict[str, tuple[str, ...]] = {
    "transaction_id": (
        "transaction id", "trx id", "txn id", "tran id", "trans id", "transaction no", "transaction number", "trx no",
        "txn no", "bank transaction id", "bank tran id", "gateway transaction id", "লেনদেন আইডি", "লেনদেন নম্বর",
        "ট্রানজেকশন আইডি", "ট্রানজ্যাকশন আইডি", "ট্রানজেকশন নম্বর",
    ),
    "session_id": ("session id", "payment id", "checkout id", "session key", "পেমেন্ট আইডি", "সেশন আইডি"),
    "reference": (
        "reference", "merchant reference", "reference no", "reference number", "reference id", "ref no", "ref id",
        "ref",
        "merchant invoice number", "merchant invoice no", "merchant invoice", "invoice number", "invoice no",
        "invoice id", "invoice", "merchant order id", "order id", "order no", "order number", "order reference",
        "merchant transaction id", "merchant trx id", "merchant txn id", "mer txnid", "রেফারেন্স", "রেফারেন্স নম্বর",
        "ইনভয়েস নম্বর", "ইনভয়েস", "অর্ডার আইডি", "অর্ডার নম্বর",
    ),
    "amount": (
        "amount", "transaction amount", "trx amount", "txn amount", "paid amount", "payment amount", "gross amount",
        "total amount", "order amount", "পরিমাণ", "টাকার পরিমাণ", "লেনদেনের পরিমাণ", "মোট টাকা", "টাকা",
    ),
    "currency": ("currency", "currency code", "মুদ্রা"),
    "fee": (
        "fee", "fees", "transaction fee", "gateway fee", "processing fee", "service fee", "charge", "charges",
        "service charge", "transaction charge", "gateway charge", "commission", "mdr", "mdr amount", "ফি", "চার্জ",
        "সার্ভিস চার্জ", "কমিশন",
    ),
    "at": (
        "paid at", "payment time", "payment date", "payment date time", "completed at", "completion time",
        "transaction time", "transaction date", "transaction date time", "trx date", "trx time", "txn date", "txn time",
        "date time", "date and time", "date & time", "datetime", "date", "time", "initiation time", "created at",
        "created", "created on", "লেনদেনের সময়", "লেনদেনের তারিখ", "তারিখ ও সময়", "তারিখ", "সময়",
    ),
    "status": (
        "status", "transaction status", "trx status", "txn status", "payment status", "state", "অবস্থা", "স্ট্যাটাস",
        "লেনদেনের অবস্থা",
    ),
    "kind": (
        "transaction type", "trx type", "txn type", "payment type", "type", "kind", "লেনদেনের ধরন", "ধরন", "প্রকার",
    ),
}  # fmt: skip
"""By the keys of the map. Within a key the surer headers come first."""

STATUS_WORDS: dict[str, tuple[str, ...]] = {
    "completed": (
        "completed", "complete", "success", "successful", "succeeded", "paid", "valid", "validated", "settled",
        "approved", "captured", "সফল", "সম্পন্ন", "পরিশোধিত",
    ),
    "failed": ("failed", "failure", "fail", "declined", "rejected", "error", "unsuccessful", "ব্যর্থ"),
    "cancelled": ("cancelled", "canceled", "cancel", "aborted", "বাতিল"),
    "expired": ("expired", "timeout", "timed out", "মেয়াদোত্তীর্ণ"),
    "pending": ("pending", "processing", "initiated", "in progress", "unattempted", "অপেক্ষমাণ", "প্রক্রিয়াধীন"),
    "refunded": ("refunded", "refund", "reversed", "ফেরত"),
}  # fmt: skip

KINDS: dict[str, tuple[str, ...]] = {
    "refunds": ("refund", "refunded", "payment refund", "refund payment", "reversal", "ফেরত", "রিফান্ড"),
    "payments": (
        "payment", "merchant payment", "customer payment", "sale", "purchase", "checkout", "পেমেন্ট", "বিক্রয়",
    ),
}  # fmt: skip

_UNITS = re.compile(r"[\s(\[]*(?:bdt|tk\.?|taka|৳)[)\]]?\s*$", re.IGNORECASE)


def header_key(header: str) -> tuple[str, int] | None:
    """The key of the map that this header is known for, and its place in that key's list (0 is the surest).

    None if unknown.
    """
    bare = _bare(_UNITS.sub("", header)) or _bare(header)
    return _HEADERS.get(bare)


def word_key(lists: dict[str, tuple[str, ...]], word: str) -> str | None:
    return next((key for key, words in lists.items() if _bare(word) in map(_bare, words)), None)


def _bare(text: str) -> str:
    """Letters and digits alone: `Trx_ID`, `Trx ID` and `TrxID` are the same word."""
    kept = unicodedata.normalize("NFC", text.casefold())
    return "".join(sign for sign in kept if sign.isalnum() or unicodedata.category(sign) in ("Mn", "Mc"))


_HEADERS = {_bare(word): (key, place) for key, words in HEADER_WORDS.items() for place, word in enumerate(words)}
