"""Why a row of a statement differs, in Bangla: the sentences of the verdicts, in the form of `told_wording`."""

from __future__ import annotations

from collections.abc import Mapping

ROWS: Mapping[str, str] = {
    "an attempt that row {row} says was paid": "যে চেষ্টা {row} নম্বর সারি অনুযায়ী পরিশোধিত",
    "the same transaction as row {row}, with another amount": "{row} নম্বর সারির একই লেনদেন, ভিন্ন পরিমাণ",
    "the same as row {row}": "{row} নম্বর সারির মতোই",
    "its ids belong to two payments here, {id} and {other}": "এর আইডিগুলো এখানে দুটি পেমেন্টের, {id} ও {other}",
    "its payment {id} is past its retention, so nothing of it is left to compare": (
        "পেমেন্ট {id}-এর সংরক্ষণের মেয়াদ শেষ, মেলানোর মতো কিছু নেই"
    ),
    "{amount} went back of a payment that is unknown here": "এখানে অজানা একটি পেমেন্টের {amount} ফেরত গেছে",
    "{amount} was paid there, and no payment here has its ids": (
        "সেখানে {amount} দেওয়া হয়েছে, এখানে এই আইডির কোনো পেমেন্ট নেই"
    ),
    "{_status} there and unknown here: no money came": "সেখানে {_status}, এখানে অজানা: টাকা আসেনি",
    "known from a statement alone: held as unexpected until someone claims it": (
        "শুধু স্টেটমেন্ট থেকে জানা: কেউ দাবি না করা পর্যন্ত অপ্রত্যাশিত হিসেবে আটকে আছে"
    ),
    "{refunds} went back there by this statement, and {here} by what is known here": (
        "এই স্টেটমেন্ট অনুযায়ী সেখানে {refunds} ফেরত গেছে, এখানকার হিসাবে {here}"
    ),
    "pending there when it was exported, {_status} here": "স্টেটমেন্ট আনার সময় সেখানে অপেক্ষমাণ, এখানে {_status}",
    "{_status} there for an attempt of its own; another transaction paid it": (
        "নিজের একটি চেষ্টার জন্য সেখানে {_status}; অন্য লেনদেনে টাকা দেওয়া হয়েছে"
    ),
    "{_status} there, and {_here} by an answer newer than this statement": (
        "সেখানে {_status}, আর এই স্টেটমেন্টের পরের উত্তর অনুযায়ী {_here}"
    ),
    "{_status} there, {_here} here": "সেখানে {_status}, এখানে {_here}",
    "{amount} there, {here} here": "সেখানে {amount}, এখানে {here}",
    "paid there by this transaction, and here by another: it may be paid twice": (
        "সেখানে এই লেনদেনে, এখানে অন্য লেনদেনে পরিশোধিত: টাকা দুবার দেওয়া হয়ে থাকতে পারে"
    ),
    "a fee of {fee} there; it should be {due}": "সেখানে ফি {fee}; হওয়ার কথা {due}",
    "{_status} here, and in no line of a statement that covers its time": (
        "এখানে {_status}, কিন্তু এই সময়ের স্টেটমেন্টের কোনো সারিতে নেই"
    ),
}
