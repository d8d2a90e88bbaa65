"""The sentences of `explain` about a payment, in Bangla: an English form with fields, and the Bangla for it.

A field keeps its text. One whose name begins with `_` is a phrase that has a form of its own, with `any_` a phrase that
may have one, and with `list_` several of those between commas. A status, a hold or a field is said in the console's own
words.
"""

from __future__ import annotations

from collections.abc import Mapping

_SUMMARY: Mapping[str, str] = {
    "Not proven: {_money} is held as {_hold}, and a person must decide.": (
        "প্রমাণিত নয়: {_money} আটকে আছে ({_hold}), একজনকে সিদ্ধান্ত নিতে হবে।"
    ),
    "Paid: {_money}, {_word}.": "পরিশোধিত: {_money}, {_word}।",
    "Paid, late: {_money}, {_word}.": "দেরিতে পরিশোধিত: {_money}, {_word}।",
    "Paid, but held as {_hold}: {_money}, {_word}.": "পরিশোধিত, কিন্তু আটকে আছে ({_hold}): {_money}, {_word}।",
    "Paid, late, but held as {_hold}: {_money}, {_word}.": (
        "দেরিতে পরিশোধিত, কিন্তু আটকে আছে ({_hold}): {_money}, {_word}।"
    ),
    "Paid back: {_money}, {_word}.": "ফেরত দেওয়া হয়েছে: {_money}, {_word}।",
    "Paid back, but held as {_hold}: {_money}, {_word}.": (
        "ফেরত দেওয়া হয়েছে, কিন্তু আটকে আছে ({_hold}): {_money}, {_word}।"
    ),
    "Not paid: {_money} is {_status}, {_word}.": "পরিশোধ হয়নি: {_money} {_status}, {_word}।",
    "Not paid, but held as {_hold}: {_money} is {_status}, {_word}.": (
        "পরিশোধ হয়নি, কিন্তু আটকে আছে ({_hold}): {_money} {_status}, {_word}।"
    ),
    "Not paid so far: {_money} is pending, {_so}.": "এখনো পরিশোধ হয়নি: {_money} অপেক্ষমাণ, {_so}।",
    "{money}, {part} of it paid back": "{money}, এর মধ্যে {part} ফেরত দেওয়া হয়েছে",
    "as {actor} decided at {time}": "{time} সময়ে {actor}-এর সিদ্ধান্ত অনুযায়ী",
    "as the gateway itself said at {time}": "গেটওয়ে নিজেই {time} সময়ে বলেছে",
    "as its time was over at {time}": "{time} সময়ে মেয়াদ শেষ হয়েছে",
    "as {_row} says, recorded at {time}": "{_row} অনুযায়ী, {time} সময়ে লেখা",
    "since {time}": "{time} থেকে",
    "the gateway last said so at {time}": "গেটওয়ে শেষবার {time} সময়ে তা বলেছে",
    "and the gateway has given no answer yet": "গেটওয়ে এখনো কোনো উত্তর দেয়নি",
    "and the gateway cannot be asked": "গেটওয়েকে জিজ্ঞাসা করা যায় না",
    "and the gateway cannot be asked yet": "গেটওয়েকে এখনো জিজ্ঞাসা করা যায় না",
    "Someone said success at {time}, and that proves nothing.": "{time} সময়ে কেউ সফল বলেছে, তাতে কিছুই প্রমাণ হয় না।",
    "The gateway rates its risk as high, and advises to look at it before the goods leave.": (
        "গেটওয়ের মতে এর ঝুঁকি বেশি, পণ্য ছাড়ার আগে দেখে নিতে বলেছে।"
    ),
    "row {row} of {name}": "{name}-এর {row} নম্বর সারি",
    "entry {row} of {name}": "{name}-এর {row} নম্বর লেখা",
}
_HELD: Mapping[str, str] = {
    "the gateway answered about another payment than the one asked about": (
        "যে পেমেন্টের কথা জিজ্ঞাসা করা হয়েছে, গেটওয়ে তার বদলে অন্য পেমেন্টের উত্তর দিয়েছে"
    ),
    "the gateway names another currency than was asked for": "গেটওয়ে চাওয়া মুদ্রার বদলে অন্য মুদ্রা বলছে",
    "the gateway names another amount than was asked for, or one that is no money": (
        "গেটওয়ে চাওয়া পরিমাণের বদলে অন্য পরিমাণ বলছে, বা এমন কিছু যা টাকার পরিমাণ নয়"
    ),
    "this transaction was already recorded for another payment": "এই লেনদেন আগেই অন্য পেমেন্টের জন্য লেখা আছে",
    "the order is paid twice": "অর্ডারটির টাকা দুবার দেওয়া হয়েছে",
    "the gateway said paid, and later took it back": "গেটওয়ে আগে পরিশোধিত বলেছে, পরে তা ফিরিয়ে নিয়েছে",
    "it is paid at the gateway, and was unknown here": "গেটওয়েতে পরিশোধ হয়েছে, এখানে তা অজানা ছিল",
    "the gateway used a status word that is not in its documentation": ("গেটওয়ে এমন স্ট্যাটাস বলেছে যা তার ডকুমেন্টেশনে নেই"),
    "someone says it is paid, and this gateway cannot be asked": (
        "কেউ বলছে পরিশোধ হয়েছে, আর এই গেটওয়েকে জিজ্ঞাসা করা যায় না"
    ),
    "it was asked about until the schedule ended, and no answer settled it": (
        "সূচি শেষ হওয়া পর্যন্ত জিজ্ঞাসা করা হয়েছে, কোনো উত্তরে মীমাংসা হয়নি"
    ),
    "what is known of it cannot be recorded: {_why}; see payproof dead list": (
        "এর সম্পর্কে জানা তথ্য লেখা যাচ্ছে না: {_why}; payproof dead list দেখুন"
    ),
    "it was said to be paid by {ids}, which the gateway never came to know": (
        "বলা হয়েছিল {ids} দিয়ে পরিশোধ হয়েছে, গেটওয়ে তা কখনো জানতে পারেনি"
    ),
    "no question could be asked: no callback brought an id that the gateway can be asked by": (
        "জিজ্ঞাসা করা যায়নি: কোনো কলব্যাক এমন আইডি আনেনি যা দিয়ে গেটওয়েকে জিজ্ঞাসা করা যায়"
    ),
    "find it in the gateway's panel by our reference; resolve it as what stands there": (
        "গেটওয়ের প্যানেলে আমাদের রেফারেন্স দিয়ে খুঁজুন; সেখানে যা আছে সেই সিদ্ধান্ত দিন"
    ),
    "look in the panel what was paid; completed if you accept it, else pay it back: refunded": (
        "প্যানেলে দেখুন কত দেওয়া হয়েছে; মেনে নিলে সম্পন্ন, না হলে টাকা ফেরত দিন: ফেরত দেওয়া"
    ),
    "one payment of money, two orders: ship the first; resolve this one as failed": (
        "টাকা একবার, অর্ডার দুটি: প্রথমটির পণ্য পাঠান; এটির সিদ্ধান্ত দিন ব্যর্থ"
    ),
    "pay one of the two back at the gateway; refunded if it was this one, else completed": (
        "গেটওয়েতে দুটির একটির টাকা ফেরত দিন; এটি হলে ফেরত দেওয়া, না হলে সম্পন্ন"
    ),
    "look in the panel if the money is there: completed if so, else refunded; ship nothing before": (
        "প্যানেলে দেখুন টাকা আছে কি না: থাকলে সম্পন্ন, না হলে ফেরত দেওয়া; তার আগে পণ্য পাঠাবেন না"
    ),
    "find whose money it is; ship and resolve it as completed, or pay it back: refunded": (
        "টাকাটি কার খুঁজে বের করুন; পণ্য পাঠিয়ে সম্পন্ন করুন, অথবা টাকা ফেরত দিন: ফেরত দেওয়া"
    ),
    "ask the gateway what its word means; resolve it, or wait for a later answer": (
        "গেটওয়েকে জিজ্ঞাসা করুন তার কথাটির অর্থ কী; সিদ্ধান্ত দিন, অথবা পরের উত্তরের অপেক্ষা করুন"
    ),
    "look for the money in the gateway's panel or statement; completed if it is there, else failed": (
        "গেটওয়ের প্যানেলে বা স্টেটমেন্টে টাকা খুঁজুন; থাকলে সম্পন্ন, না হলে ব্যর্থ"
    ),
    "look in the gateway's panel; resolve it as what stands there, or as pending to ask on": (
        "গেটওয়ের প্যানেলে দেখুন; সেখানে যা আছে সেই সিদ্ধান্ত দিন, অথবা আরও জিজ্ঞাসার জন্য অপেক্ষমাণ"
    ),
    "Transaction {id} was recorded first for {payment}": "লেনদেন {id} প্রথমে {payment}-এর জন্য লেখা হয়েছিল",
    "Session {id} is that of {payment}": "সেশন {id} {payment}-এর",
    "The order {order} is paid by {payment}": "অর্ডার {order}-এর টাকা {payment} দিয়ে দেওয়া হয়েছে",
    "The last claim of success came at {time}, and named {list_ids}; expected is {reference}": (
        "সাফল্যের শেষ দাবি {time} সময়ে এসেছে, তাতে ছিল {list_ids}; প্রত্যাশিত {reference}"
    ),
    "The last claim of success came at {time}; expected is {reference}": (
        "সাফল্যের শেষ দাবি {time} সময়ে এসেছে; প্রত্যাশিত {reference}"
    ),
    "{_field} {any_answered}, expected {any_expected}": "{_field} {any_answered}, প্রত্যাশিত {any_expected}",
    "{_status} ({word})": "{_status} ({word})",
    "{_field} missing": "{_field} নেই",
    "missing": "নেই",
    "no money": "টাকার পরিমাণ নয়",
}
_PLANS: Mapping[str, str] = {
    "a later answer lifts the hold, or a person (payproof payments resolve)": ("পরের কোনো উত্তর বা একজন মানুষ এটি ছাড়াবেন"),
    "a person resolves it (payproof payments resolve)": "একজন মানুষ সিদ্ধান্ত দেবেন",
    "the shop announces its reference or its session, or a person resolves it (payproof payments resolve)": (
        "দোকান এর রেফারেন্স বা সেশন জানাবে, অথবা একজন মানুষ সিদ্ধান্ত দেবেন"
    ),
    "nothing until a claim comes in": "কোনো দাবি না আসা পর্যন্ত কিছু নয়",
    "nothing; it is settled": "কিছু নয়; মীমাংসা হয়ে গেছে",
    "nothing is asked while the account {account} is not in the configuration": (
        "অ্যাকাউন্ট {account} কনফিগারেশনে না থাকা পর্যন্ত জিজ্ঞাসা করা হয় না"
    ),
    "nothing more is asked by itself, because {_why} (payproof dead list)": (
        "নিজে থেকে আর জিজ্ঞাসা করা হয় না, কারণ {_why} (payproof dead list)"
    ),
    "a question is on its way; without a reply by then we ask again": (
        "প্রশ্ন পাঠানো হয়েছে; ততক্ষণে উত্তর না এলে আবার জিজ্ঞাসা করা হবে"
    ),
    "the gateway is not asked, because {_why}": "গেটওয়েকে জিজ্ঞাসা করা হয় না, কারণ {_why}",
    "it cannot be asked": "জিজ্ঞাসা করা যায় না",
    "a question is due, because {_why}; {_waits}": "এখনই জিজ্ঞাসা করার কথা, কারণ {_why}; {_waits}",
    "we ask the gateway again, because {_why}; {_waits}": "গেটওয়েকে আবার জিজ্ঞাসা করা হবে, কারণ {_why}; {_waits}",
    "we ask the gateway again, because {_why}": "গেটওয়েকে আবার জিজ্ঞাসা করা হবে, কারণ {_why}",
    "a running `payproof serve` asks it": "চালু থাকা payproof serve জিজ্ঞাসা করবে",
    "someone says that it is paid, and the gateway does not confirm it yet": (
        "কেউ বলছে পরিশোধ হয়েছে, গেটওয়ে এখনো তা নিশ্চিত করেনি"
    ),
    "it is not paid yet": "এখনো পরিশোধ হয়নি",
    "money may come late": "টাকা দেরিতে আসতে পারে",
    "it may be refunded": "টাকা ফেরত যেতে পারে",
    "its time is over then": "তখন এর মেয়াদ শেষ",
    "a signed claim came in or a person wants to know": "স্বাক্ষরিত দাবি এসেছে বা কেউ জানতে চান",
    "a claim came in": "একটি দাবি এসেছে",
    "a claim named our reference": "একটি দাবিতে আমাদের রেফারেন্স ছিল",
    "the buyer approved, and another attempt of the order may be over by then": (
        "ক্রেতা সম্মতি দিয়েছেন, ততক্ষণে অর্ডারের অন্য পেমেন্ট শেষ হতে পারে"
    ),
    "the gateway does not know {_id} yet, which a callback named": "কলব্যাকের {_id} গেটওয়ে এখনো জানে না",
    "one answer that nobody paid is not enough: a second one, {minutes} minutes later, closes it": (
        "কেউ টাকা দেয়নি, এমন একটি উত্তর যথেষ্ট নয়: {minutes} মিনিট পরে দ্বিতীয় উত্তরে এটি বন্ধ হবে"
    ),
    "the gateway gave {count} times in a row no answer, so nobody asks it before {until}": (
        "গেটওয়ে পরপর {count} বার উত্তর দেয়নি, তাই {until}-এর আগে জিজ্ঞাসা করা হবে না"
    ),
    "the account's budget of {rate} calls a second is used up just now": (
        "অ্যাকাউন্টের সেকেন্ডে {rate} কলের সীমা এই মুহূর্তে শেষ"
    ),
    "the gateway asked us to wait, or its account's budget was used up": (
        "গেটওয়ে অপেক্ষা করতে বলেছে, অথবা অ্যাকাউন্টের কলের সীমা শেষ হয়েছিল"
    ),
    "no payment of the account closes on `not found`, which its gateway said of several in a row": (
        "গেটওয়ে পরপর কয়েকটির কথা বলেছে পাওয়া যায়নি, তাই এই কারণে অ্যাকাউন্টের কোনো পেমেন্ট বন্ধ হয় না"
    ),
    "it closes as expired by the clock": "ঘড়ি অনুযায়ী মেয়াদোত্তীর্ণ হিসেবে বন্ধ হবে",
    "it closes as expired, once two answers {minutes} minutes apart say that nobody paid": (
        "{minutes} মিনিট ব্যবধানে দুটি উত্তরে কেউ টাকা দেয়নি জানা গেলে মেয়াদোত্তীর্ণ হিসেবে বন্ধ হবে"
    ),
    "it closes as expired, once two answers {minutes} minutes apart say that it is pending still": (
        "{minutes} মিনিট ব্যবধানে দুটি উত্তরে এখনো অপেক্ষমাণ জানা গেলে মেয়াদোত্তীর্ণ হিসেবে বন্ধ হবে"
    ),
    "its time is over; then it closes if the gateway says so": "মেয়াদ শেষ; গেটওয়ে বললে তখন বন্ধ হবে",
    "it is not closed while someone says that it is paid and no answer came since": (
        "কেউ পরিশোধের কথা বলেছে অথচ এরপর উত্তর আসেনি, তাই বন্ধ হয় না"
    ),
    "we give up asking, and it is put before a person as unresolved": (
        "জিজ্ঞাসা বন্ধ হবে, অমীমাংসিত হিসেবে একজন মানুষের সামনে আসবে"
    ),
    "we give up asking": "জিজ্ঞাসা বন্ধ হবে",
    "{type} did not reach {endpoint}, and is not sent again by itself (payproof webhooks replay)": (
        "{type} {endpoint}-এ পৌঁছায়নি, নিজে থেকে আর পাঠানো হবে না"
    ),
    "{type} waits until somebody enables {endpoint}, which said that it is gone (payproof webhooks enable)": (
        "{endpoint} জানিয়েছে এটি আর নেই; কেউ চালু না করা পর্যন্ত {type} অপেক্ষায়"
    ),
    "{type} is to be sent to {endpoint}; {_failed}": "{type} {endpoint}-এ পাঠানো হবে; {_failed}",
    "{type} is to be sent to {endpoint}": "{type} {endpoint}-এ পাঠানো হবে",
    "{type} is sent to {endpoint} again; {_failed}": "{type} {endpoint}-এ আবার পাঠানো হবে; {_failed}",
    "{type} is sent to {endpoint} again": "{type} {endpoint}-এ আবার পাঠানো হবে",
    "1 attempt failed: {_answer}": "1টি চেষ্টা ব্যর্থ: {_answer}",
    "{count} attempts failed, the last: {_answer}": "{count}টি চেষ্টা ব্যর্থ, শেষ উত্তর: {_answer}",
    "it answered {http}": "উত্তর {http}",
    "it failed by itself {count} times since {time}: {reason}": (
        "{time} থেকে এটি নিজে থেকে {count} বার ব্যর্থ হয়েছে: {reason}"
    ),
}
EXPLAINED: Mapping[str, str] = {**_SUMMARY, **_HELD, **_PLANS}
