"""The texts of signing in, and of confirming, at an identity provider."""

from __future__ import annotations

from collections.abc import Mapping

OIDC: Mapping[str, tuple[str, str]] = {
    "oidc.sign_in": ("Sign in at {host}", "{host}-এ সাইন ইন"),
    "oidc.again": ("Begin again", "আবার শুরু করুন"),
    "oidc.failed.title": ("You are not signed in", "সাইন ইন হয়নি"),
    "oidc.unconfirmed.title": ("Not confirmed", "নিশ্চিত হয়নি"),
    "oidc.silent": (
        "{host} gave no answer that can be used. Try again in a moment. The reason is in the log.",
        "{host} থেকে ব্যবহারযোগ্য উত্তর আসেনি। একটু পরে আবার চেষ্টা করুন। কারণ লগে আছে।",
    ),
    "oidc.declined": (
        "{host} did not sign you in: it was cancelled there, or your account may not use this console.",
        "{host} আপনাকে সাইন ইন করায়নি: সেখানে বাতিল হয়েছে, অথবা আপনার অ্যাকাউন্ট এই কনসোল ব্যবহার করতে পারে না।",
    ),
    "oidc.mismatch": (
        "This browser did not ask for that answer, asked too long ago, or it was used before. Begin again.",
        "এই ব্রাউজার এই উত্তর চায়নি, অনেক আগে চেয়েছিল, অথবা উত্তরটি আগে ব্যবহার হয়েছে। আবার শুরু করুন।",
    ),
    "oidc.refused": (
        "What {host} answered does not prove who you are. The reason is in the log.",
        "{host} যে উত্তর দিয়েছে তা আপনার পরিচয় প্রমাণ করে না। কারণ লগে আছে।",
    ),
    "oidc.no_name": (
        "{host} did not tell your name so that it can be believed ({claim}). An e-mail address must be verified there.",
        "{host} আপনার নাম বিশ্বাসযোগ্যভাবে জানায়নি ({claim})। ই-মেইল ঠিকানা সেখানে যাচাই করা থাকতে হবে।",
    ),
    "oidc.stranger": (
        "{host} says that you are {name}, and no operator of this console has that name. Ask who runs it to add you.",
        "{host} অনুযায়ী আপনি {name}, কিন্তু এই কনসোলে এই নামের কোনো অপারেটর নেই। যিনি এটি চালান তাঁকে যোগ করতে বলুন।",
    ),
    "oidc.another": (
        "{host} says that you are {name}, and another person is signed in here.",
        "{host} অনুযায়ী আপনি {name}, কিন্তু এখানে অন্য একজন সাইন ইন করা।",
    ),
    "oidc.not_fresh": (
        "{host} did not prove that you signed in just now. Use a code from your authenticator app instead.",
        "{host} প্রমাণ করেনি যে আপনি এইমাত্র সাইন ইন করেছেন। এর বদলে অথেন্টিকেটর অ্যাপের কোড ব্যবহার করুন।",
    ),
    "oidc.confirmed.title": ("Confirmed", "নিশ্চিত হয়েছে"),
    "oidc.confirmed": (
        "Close this tab, go back to the page that you came from, and press its button within {minutes} minutes.",
        "এই ট্যাব বন্ধ করে আগের পাতায় ফিরে যান, এবং {minutes} মিনিটের মধ্যে সেখানকার বোতামটি চাপুন।",
    ),
    "confirm.code": ("A new 6-digit code", "নতুন 6 অঙ্কের কোড"),
    "confirm.provider": (
        "Sign in at {host} again (in a new tab), then come back here",
        "আবার {host}-এ সাইন ইন করুন (নতুন ট্যাবে), তারপর এখানে ফিরে আসুন",
    ),
    "confirm.or_provider": (
        "Or leave it empty: sign in at {host} again (in a new tab), then come back here",
        "অথবা খালি রাখুন: আবার {host}-এ সাইন ইন করুন (নতুন ট্যাবে), তারপর এখানে ফিরে আসুন",
    ),
    "confirm.elsewhere": (
        "You have not confirmed this act, or did so too long ago. Nothing was changed. Go back and confirm it first.",
        "আপনি কাজটি নিশ্চিত করেননি, অথবা সেই নিশ্চয়তা আগে ব্যবহার হয়েছে। কিছুই বদলানো হয়নি। ফিরে গিয়ে নিশ্চিত করে আবার চেষ্টা করুন।",
    ),
}
