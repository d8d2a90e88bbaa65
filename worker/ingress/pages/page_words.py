"""Every sentence that a buyer may read from us, in English and Bangla.

The pages say no more than we know. The payment company's word is reported as its word. No page says that no money was
taken, and a buyer who may have paid is told not to pay again.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct


class PageWords(Struct, frozen=True, kw_only=True):
    """The sentences of a page: `title` is the outcome, `state` our knowledge, `next` the buyer's choices now."""

    title: str
    state: str
    next: str


class Language(Struct, frozen=True, kw_only=True):
    """A language's words. `own_name` is its name in itself; `lost` is shown while the service cannot be reached."""

    own_name: str
    back: str
    reference: str
    lost: str
    pages: Mapping[str, PageWords]


_TRY_AGAIN_EN = "You may try again from the shop; if money has left your account, ask the shop first."
_ENGLISH = Language(
    own_name="English",
    back="Back to the shop",
    reference="Reference",
    lost="There is no connection right now. This page keeps trying by itself.",
    pages={
        "confirming": PageWords(
            title="Confirming your payment",
            state="We are asking the payment company. This usually takes a few seconds.",
            next="Please do not pay again. You may wait here or close this page; the shop will get the result.",
        ),
        "held": PageWords(
            title="We are checking this by hand",
            state="Your payment needs a person to look at it.",
            next="Please do not pay again. You may close this page; the shop will get the result.",
        ),
        "completed": PageWords(
            title="Payment received",
            state="The payment company has confirmed your payment.",
            next="You may close this page; the shop will get the result.",
        ),
        "refunded": PageWords(
            title="Payment refunded",
            state="The payment company says that your money was sent back.",
            next="It may take a few days to reach your account.",
        ),
        "failed": PageWords(
            title="Payment failed",
            state="The payment company says that no payment was made.",
            next=_TRY_AGAIN_EN,
        ),
        "cancelled": PageWords(
            title="Payment cancelled",
            state="The payment company says that this payment was cancelled.",
            next=_TRY_AGAIN_EN,
        ),
        "expired": PageWords(
            title="Payment expired",
            state="The time for this payment is over, and no payment was confirmed.",
            next=_TRY_AGAIN_EN,
        ),
        "pending": PageWords(
            title="Not confirmed yet",
            state="The payment company has not confirmed your payment yet. We keep asking.",
            next="If you have paid, please do not pay again. You may close this page; the shop will get the result.",
        ),
        "not_found": PageWords(
            title="Nothing to show here",
            state="This link belongs to no payment that we know.",
            next="If you have just paid, please do not pay again; ask the shop.",
        ),
        "noted": PageWords(
            title="Thank you",
            state="We are checking your payment.",
            next="Please do not pay again. You may close this page; the shop will get the result.",
        ),
        "busy": PageWords(
            title="Confirming your payment",
            state="This is taking a little longer than usual.",
            next="Please do not pay again. This page tries again by itself.",
        ),
        "send_again": PageWords(
            title="One moment, please",
            state="This is taking a little longer than usual.",
            next="Please do not pay again. Reload this page in a moment; if your browser asks, let it send again.",
        ),
    },
)

_TRY_AGAIN_BN = "দোকানে ফিরে আবার চেষ্টা করতে পারেন; তবে টাকা কাটা গিয়ে থাকলে আগে দোকানের সঙ্গে কথা বলুন।"
_DO_NOT_PAY_AGAIN_BN = "অনুগ্রহ করে আবার পেমেন্ট করবেন না।"
_CLOSE_BN = "এই পেজটি বন্ধ করতে পারেন; দোকান ফলাফল পেয়ে যাবে।"
_BANGLA = Language(
    own_name="বাংলা",
    back="দোকানে ফিরে যান",
    reference="রেফারেন্স",
    lost="এই মুহূর্তে সংযোগ পাওয়া যাচ্ছে না। পেজটি নিজে থেকেই চেষ্টা করতে থাকবে।",
    pages={
        "confirming": PageWords(
            title="আপনার পেমেন্ট যাচাই করা হচ্ছে",
            state="আমরা পেমেন্ট কোম্পানির কাছে জানতে চেয়েছি। সাধারণত কয়েক সেকেন্ড সময় লাগে।",
            next=f"{_DO_NOT_PAY_AGAIN_BN} এখানে অপেক্ষা করতে পারেন, চাইলে পেজটি বন্ধও করতে পারেন; দোকান ফলাফল পেয়ে যাবে।",
        ),
        "held": PageWords(
            title="আমরা নিজেরা যাচাই করে দেখছি",
            state="আপনার পেমেন্টটি একজন কর্মী নিজে দেখবেন।",
            next=f"{_DO_NOT_PAY_AGAIN_BN} {_CLOSE_BN}",
        ),
        "completed": PageWords(
            title="পেমেন্ট পাওয়া গেছে",
            state="পেমেন্ট কোম্পানি আপনার পেমেন্ট নিশ্চিত করেছে।",
            next=_CLOSE_BN,
        ),
        "refunded": PageWords(
            title="টাকা ফেরত দেওয়া হয়েছে",
            state="পেমেন্ট কোম্পানি জানিয়েছে, আপনার টাকা ফেরত পাঠানো হয়েছে।",
            next="টাকা আপনার অ্যাকাউন্টে পৌঁছাতে কয়েক দিন লাগতে পারে।",
        ),
        "failed": PageWords(
            title="পেমেন্ট হয়নি",
            state="পেমেন্ট কোম্পানি জানিয়েছে, কোনো পেমেন্ট হয়নি।",
            next=_TRY_AGAIN_BN,
        ),
        "cancelled": PageWords(
            title="পেমেন্ট বাতিল হয়েছে",
            state="পেমেন্ট কোম্পানি জানিয়েছে, এই পেমেন্ট বাতিল করা হয়েছে।",
            next=_TRY_AGAIN_BN,
        ),
        "expired": PageWords(
            title="পেমেন্টের সময় শেষ",
            state="পেমেন্টের সময় শেষ হয়ে গেছে; এর মধ্যে কোনো পেমেন্ট নিশ্চিত হয়নি।",
            next=_TRY_AGAIN_BN,
        ),
        "pending": PageWords(
            title="পেমেন্ট এখনো নিশ্চিত হয়নি",
            state="পেমেন্ট কোম্পানি এখনো আপনার পেমেন্ট নিশ্চিত করেনি। আমরা খোঁজ নিতে থাকব।",
            next=f"টাকা দিয়ে থাকলে আবার পেমেন্ট করবেন না। {_CLOSE_BN}",
        ),
        "not_found": PageWords(
            title="এখানে দেখানোর মতো কিছু নেই",
            state="এই লিংকের কোনো পেমেন্ট আমরা খুঁজে পাইনি।",
            next="এইমাত্র টাকা দিয়ে থাকলে আবার পেমেন্ট করবেন না; দোকানের সঙ্গে কথা বলুন।",
        ),
        "noted": PageWords(
            title="ধন্যবাদ",
            state="আমরা আপনার পেমেন্ট যাচাই করছি।",
            next=f"{_DO_NOT_PAY_AGAIN_BN} {_CLOSE_BN}",
        ),
        "busy": PageWords(
            title="আপনার পেমেন্ট যাচাই করা হচ্ছে",
            state="স্বাভাবিকের চেয়ে একটু বেশি সময় লাগছে।",
            next=f"{_DO_NOT_PAY_AGAIN_BN} পেজটি নিজে থেকেই আবার চেষ্টা করবে।",
        ),
        "send_again": PageWords(
            title="একটু অপেক্ষা করুন",
            state="স্বাভাবিকের চেয়ে একটু বেশি সময় লাগছে।",
            next=f"{_DO_NOT_PAY_AGAIN_BN} একটু পরে পেজটি রিলোড করুন; ব্রাউজার জানতে চাইলে আবার পাঠাতে দিন।",
        ),
    },
)

LANGUAGES: Mapping[str, Language] = {"en": _ENGLISH, "bn": _BANGLA}
