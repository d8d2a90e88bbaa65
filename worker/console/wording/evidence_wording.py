"""The words for a payment's fields and for evidence, wherever they are shown."""

from __future__ import annotations

from collections.abc import Mapping

_WORDS: Mapping[str, tuple[str, str]] = {
    "field.status": ("Status", "স্ট্যাটাস"),
    "field.hold": ("Hold", "আটকের কারণ"),
    "field.amount": ("Amount", "পরিমাণ"),
    "field.currency": ("Currency", "মুদ্রা"),
    "field.reference": ("Reference", "রেফারেন্স"),
    "field.session": ("Session", "সেশন"),
    "field.transaction": ("Transaction", "লেনদেন"),
    "field.refunded": ("Refunded", "ফেরত দেওয়া"),
    "field.late": ("Late", "দেরিতে"),
    "field.amount_verified": ("Amount verified", "পরিমাণ যাচাইকৃত"),
    "field.refunded_amount": ("Refunded amount", "ফেরতের পরিমাণ"),
    "field.transaction_id": ("Transaction", "লেনদেন"),
    "field.session_id": ("Session", "সেশন"),
    "field.accepted_amount": ("Accepted amount", "গৃহীত পরিমাণ"),
    "field.completed_at": ("Completed at", "সম্পন্নের সময়"),
    "field.fee": ("Fee", "ফি"),
    "field.method": ("Method", "মাধ্যম"),
    "field.risk": ("Risk", "ঝুঁকি"),
    "field.checked_at": ("Checked at", "যাচাইয়ের সময়"),
}
_EVIDENCE: Mapping[str, tuple[str, str]] = {
    "evidence.field": ("Field", "তথ্য"),
    "evidence.answered": ("Answered", "উত্তর"),
    "evidence.expected": ("Expected", "প্রত্যাশিত"),
    "evidence.asked": ("Asked by", "যা দিয়ে জিজ্ঞাসা"),
    "evidence.differs": ("differs", "মেলে না"),
    "evidence.answer": ("Answer of {by}, {at} in Dhaka", "{by}-এর উত্তর, {at} (ঢাকা)"),
    "evidence.gateway": ("the gateway", "গেটওয়ে"),
    "evidence.none": ("The gateway gave no answer.", "গেটওয়ে কোনো উত্তর দেয়নি।"),
}
EVIDENCE: Mapping[str, tuple[str, str]] = {**_WORDS, **_EVIDENCE}
