"""The sentences of a payment's timeline in Bangla, in the same form as those of `told_wording`."""

from __future__ import annotations

from collections.abc import Mapping

_LATE = "দেরিতে আসা টাকাও গণ্য হয়, আর এক পেমেন্টের payment.completed একবারই লেখা হয়"
_FITS = "যে উত্তর মেলে তা বিশ্বাস করা হয়, আর এক পেমেন্টের payment.completed একবারই লেখা হয়"
_EARLIER: Mapping[str, str] = {
    "late money counts, and a payment is told completed once": _LATE,
    "an answer that fits is believed, and a payment is told completed once": _FITS,
}
"""Rules in the words of the releases up to 0.3.0, which stand in the entries that it wrote."""
_RULES: Mapping[str, str] = {
    "an answer about another payment is not believed, and held": "অন্য পেমেন্টের উত্তর বিশ্বাস করা হয় না, আটকে রাখা হয়",
    "money that does not fit is held": "যে টাকা মেলে না তা আটকে রাখা হয়",
    "one transaction pays one payment, the one recorded first": "একটি লেনদেনে একটি পেমেন্ট, যেটি প্রথমে লেখা হয়েছে",
    "an order is paid once, and what is paid twice is held": "একটি অর্ডারের টাকা একবার; দুবার দেওয়া টাকা আটকে রাখা হয়",
    "paid money that the gateway takes back is held": "পরিশোধের পরে গেটওয়ে ফিরিয়ে নিলে তা আটকে রাখা হয়",
    "money that nobody asked for is held": "যে টাকা কেউ চায়নি তা আটকে রাখা হয়",
    "a word that is not in the gateway's documentation means nothing, and is held": (
        "গেটওয়ের ডকুমেন্টেশনে নেই এমন কথার অর্থ ধরা হয় না, আটকে রাখা হয়"
    ),
    "a claim is never believed, so where nobody can be asked a person decides": (
        "দাবি কখনো বিশ্বাস করা হয় না; যেখানে জিজ্ঞাসার উপায় নেই সেখানে একজন মানুষ সিদ্ধান্ত নেন"
    ),
    "nobody gives up in silence: what stays open is put before a person": (
        "নীরবে কিছু ছেড়ে দেওয়া হয় না: যা খোলা থাকে তা একজন মানুষের সামনে আসে"
    ),
    "where nobody is asked, the gateway's own statement counts, as of its own time": (
        "যেখানে জিজ্ঞাসা করা হয় না, সেখানে গেটওয়ের নিজের স্টেটমেন্ট গণ্য হয়, তার সময় অনুযায়ী"
    ),
    "a person's word settles what is held": "যা আটকে আছে, মানুষের সিদ্ধান্তে তার মীমাংসা হয়",
    "late money counts, and payment.completed is written once for a payment": _LATE,
    "an answer that fits is believed, and payment.completed is written once for a payment": _FITS,
    "what nobody paid closes when its time is over": "কেউ টাকা না দিলে মেয়াদ শেষে বন্ধ হয়",
    "the gateway's own word, asked by us, closes a payment": "আমাদের প্রশ্নে গেটওয়ের নিজের কথায় পেমেন্ট বন্ধ হয়",
    "the greatest refund that the gateway shows counts": "গেটওয়ের দেখানো সবচেয়ে বড় ফেরত গণ্য হয়",
    "a later answer that fits lifts what only waited": "পরের যে উত্তর মেলে, তাতে শুধু অপেক্ষায় থাকা আটক ওঠে",
    "a payment is expected before anyone can pay it": "টাকা দেওয়ার আগেই পেমেন্ট প্রত্যাশিত থাকে",
    "what fails by itself each time is not asked in a loop: a person is told": (
        "যা প্রতিবার নিজে থেকে ব্যর্থ হয় তা বারবার জিজ্ঞাসা করা হয় না: একজন মানুষকে জানানো হয়"
    ),
}
_DECIDED: Mapping[str, str] = {
    "Decided: {list_change}. The rule: {_rule}.": "সিদ্ধান্ত: {list_change}। নিয়ম: {_rule}।",
    "Decided: {list_change}, by {_row}. The rule: {_rule}.": "সিদ্ধান্ত: {list_change}, {_row} অনুযায়ী। নিয়ম: {_rule}।",
    "Decided: {list_change} ({_why}). The rule: {_rule}.": "সিদ্ধান্ত: {list_change} ({_why})। নিয়ম: {_rule}।",
    "Decided: {list_change} ({_why}).": "সিদ্ধান্ত: {list_change} ({_why})।",
    "Decided: {list_change}.": "সিদ্ধান্ত: {list_change}।",
    "refunded amount rose to {amount}": "ফেরতের পরিমাণ বেড়ে {amount}",
    "{_before} rose to {_after}": "{_before} থেকে {_after}",
    "held: {_hold}": "আটকানো হলো: {_hold}",
    "{_hold} was lifted": "আটক উঠল: {_hold}",
    "no checkout": "চেকআউট নেই",
    "nothing more is asked in a loop": "বারবার আর জিজ্ঞাসা করা হয় না",
    "Decided: the shop announced it: {terms}.": "সিদ্ধান্ত: দোকান এটি জানিয়েছে: {terms}।",
    "{actor} resolved it as {_status}: {reason}.": "{actor} সিদ্ধান্ত দিয়েছেন {_status}: {reason}।",
    "{actor} resolved it as {_status}: {reason}, approved by {second}.": (
        "{actor} সিদ্ধান্ত দিয়েছেন {_status}: {reason}, অনুমোদন করেছেন {second}।"
    ),
    "{actor} resolved it as {_status}: {reason} (evidence: {evidence}).": (
        "{actor} সিদ্ধান্ত দিয়েছেন {_status}: {reason} (প্রমাণ: {evidence})।"
    ),
    "{actor} resolved it as {_status}: {reason} (evidence: {evidence}), approved by {second}.": (
        "{actor} সিদ্ধান্ত দিয়েছেন {_status}: {reason} (প্রমাণ: {evidence}), অনুমোদন করেছেন {second}।"
    ),
}
_STORY: Mapping[str, str] = {
    "The shop asked for {money} through {through}, reference {reference}, order {order}: {id}.": (
        "দোকান {through} দিয়ে {money} চেয়েছে, রেফারেন্স {reference}, অর্ডার {order}: {id}।"
    ),
    "The shop asked for {money} through {through}, reference {reference}: {id}.": (
        "দোকান {through} দিয়ে {money} চেয়েছে, রেফারেন্স {reference}: {id}।"
    ),
    "A statement named money through {through} that nobody had asked for here: {id}.": (
        "একটি স্টেটমেন্টে {through} দিয়ে এমন টাকা আছে যা এখানে কেউ চায়নি: {id}।"
    ),
    "Until {time} more happened than fits here: {list_kinds}. The timeline has all of it.": (
        "{time} পর্যন্ত যা ঘটেছে তা এখানে ধরে না: {list_kinds}। সব ঘটনা payproof timeline-এ আছে।"
    ),
    "{count} × {_kind}": "{count} × {_kind}",
    "a webhook": "ওয়েবহুক",
    "a notification": "নোটিফিকেশন",
    "a browser that came back": "ফিরে আসা ব্রাউজার",
    "a person, or the shop's API, asking": "মানুষ বা দোকানের API-এর জিজ্ঞাসা",
    "our schedule's turn": "আমাদের সূচির পালা",
    "a question to the gateway": "গেটওয়েকে প্রশ্ন",
    "its reply": "গেটওয়ের উত্তর",
    "Our schedule said that it was time, and nothing could be asked just then.": (
        "সূচি অনুযায়ী সময় হয়েছিল, কিন্তু তখন জিজ্ঞাসা করা যায়নি।"
    ),
    "Wrote {type}, version {version}, to the shop's log.": "দোকানের ইভেন্ট লগে {type} লেখা হয়েছে, সংস্করণ {version}।",
    "A person, or the shop's API, wants it looked at, {_then}.": "একজন মানুষ বা দোকানের API এটি দেখতে বলেছে, {_then}।",
    "{_source} {_said}. It is signed, {_then}.": "{_source} {_said}। এটি স্বাক্ষরিত, {_then}।",
    "{_source} {_said}. Anyone could have sent it, {_then}.": "{_source} {_said}। যে কেউ এটি পাঠাতে পারত, {_then}।",
    "A webhook of the gateway": "গেটওয়ের একটি ওয়েবহুক",
    "A notification in the gateway's name": "গেটওয়ের নামে একটি নোটিফিকেশন",
    "A browser that came back": "ফিরে আসা একটি ব্রাউজার",
    "named this payment": "এই পেমেন্টের কথা বলেছে",
    "named this payment ({note})": "এই পেমেন্টের কথা বলেছে ({note})",
    "named this payment and transaction {id}": "এই পেমেন্ট ও লেনদেন {id}-এর কথা বলেছে",
    "said {any_said}": "বলেছে {any_said}",
    "said {any_said} ({note})": "বলেছে {any_said} ({note})",
    "said {any_said} and transaction {id}": "বলেছে {any_said}, লেনদেন {id}",
    "said {any_said} and transaction {id} ({note})": "বলেছে {any_said}, লেনদেন {id} ({note})",
    "success": "সফল",
    "cancel": "বাতিল",
    "failure": "ব্যর্থ",
    "so we ask the gateway": "তাই গেটওয়েকে জিজ্ঞাসা করা হলো",
    "and nothing is asked: the gateway was asked since it came in, and answered already": (
        "কিছু জিজ্ঞাসা করা হয়নি: এটি আসার পরে গেটওয়ে আগেই উত্তর দিয়েছে"
    ),
    "and it counts once: the same came before": "এটি একবারই গণ্য হয়: একই দাবি আগে এসেছে",
    "and we ask when there is room: too many that anyone could have sent came within the hour": (
        "সুযোগ হলে জিজ্ঞাসা করা হবে: যে কেউ পাঠাতে পারে এমন দাবি এক ঘণ্টায় বেশি এসেছে"
    ),
    "and this gateway cannot be asked, so it proves nothing": "এই গেটওয়েকে জিজ্ঞাসা করা যায় না, তাই কিছু প্রমাণ হয় না",
    "and nothing is asked: {_why}": "কিছু জিজ্ঞাসা করা হয়নি: {_why}",
    "no id is known yet that the gateway can be asked by": "গেটওয়েকে জিজ্ঞাসা করার মতো কোনো আইডি এখনো জানা নেই",
    "no id is known yet that it can be asked by": "জিজ্ঞাসা করার মতো কোনো আইডি এখনো জানা নেই",
}
_ASKED: Mapping[str, str] = {
    "We asked the gateway {_what} because {_trigger}; {_reply}": "গেটওয়েকে জিজ্ঞাসা ({_what}), কারণ {_trigger}; {_reply}",
    "We asked the gateway {_what} by our own schedule; {_reply}": "সূচি অনুযায়ী গেটওয়েকে জিজ্ঞাসা ({_what}); {_reply}",
    "We asked the gateway {_what}; {_reply}": "গেটওয়েকে জিজ্ঞাসা ({_what}); {_reply}",
    "We asked the gateway {_what} because of {_trigger}; {_reply}": (
        "গেটওয়েকে জিজ্ঞাসা ({_what}), কারণ {_trigger}; {_reply}"
    ),
    "what happened": "কী হয়েছে",
    "what happened about {_id}": "কী হয়েছে, {_id}",
    "to take the money (Execute)": "টাকা নিতে, Execute",
    "transaction {id}": "লেনদেন {id}",
    "session {id}": "সেশন {id}",
    "reference {id}": "রেফারেন্স {id}",
    "a claim that anyone could have sent": "যে কেউ পাঠাতে পারে এমন একটি দাবি",
    "a claim that named no more than our reference": "একটি দাবি, যাতে শুধু আমাদের রেফারেন্স ছিল",
    "the buyer approved, and its order was free": "ক্রেতা সম্মতি দিয়েছেন, আর অর্ডারটি ফাঁকা ছিল",
    "no reply is recorded, it may be on its way.": "কোনো উত্তর লেখা নেই, পথে থাকতে পারে।",
    "the reply, if any, is among what is left out.": "উত্তর এসে থাকলে তা এখানে বাদ দেওয়া অংশে আছে।",
    "it answered after {_took} s: {_answer}.": "{_took} সেকেন্ডে উত্তর: {_answer}।",
    "It answered after {_took} s: {_answer}.": "{_took} সেকেন্ডে উত্তর: {_answer}।",
    "after {_took} s it said that it does not know that id; the claim is refused.": (
        "{_took} সেকেন্ডে জানিয়েছে, আইডিটি সে জানে না; দাবিটি গ্রহণ করা হয়নি।"
    ),
    "After {_took} s it said that it does not know that id; the claim is refused.": (
        "{_took} সেকেন্ডে জানিয়েছে, আইডিটি সে জানে না; দাবিটি গ্রহণ করা হয়নি।"
    ),
    "after {_took} s it said that it knows it as another payment's; the claim is refused.": (
        "{_took} সেকেন্ডে জানিয়েছে, এটি অন্য পেমেন্টের; দাবিটি গ্রহণ করা হয়নি।"
    ),
    "After {_took} s it said that it knows it as another payment's; the claim is refused.": (
        "{_took} সেকেন্ডে জানিয়েছে, এটি অন্য পেমেন্টের; দাবিটি গ্রহণ করা হয়নি।"
    ),
    "no answer after {_took} s: {why}. That means nothing for the money.": (
        "{_took} সেকেন্ডে উত্তর নেই: {why}। এতে টাকার বিষয়ে কিছু বোঝা যায় না।"
    ),
    "No answer after {_took} s: {why}. That means nothing for the money.": (
        "{_took} সেকেন্ডে উত্তর নেই: {why}। এতে টাকার বিষয়ে কিছু বোঝা যায় না।"
    ),
    "at most {seconds}": "সর্বোচ্চ {seconds}",
    "it does not know that one, or not yet": "সে এটি জানে না, বা এখনো জানে না",
    "{_status} (its word: {word})": "{_status} (তার কথা: {word})",
    "{_status} (its word: {word}), {list_more}": "{_status} (তার কথা: {word}), {list_more}",
    "{amount} paid back": "{amount} ফেরত",
    "risk {_risk}": "ঝুঁকি {_risk}",
    "high": "বেশি",
    "low": "কম",
    "unreadable: {list_fields}": "পড়া যায়নি: {list_fields}",
    "Execute, which takes the money, was to be asked and was not sent: {why}. "
    "Nothing was taken, and it is tried again.": (
        "টাকা নেওয়ার Execute পাঠানোর কথা ছিল, পাঠানো হয়নি: {why}। কিছুই নেওয়া হয়নি, আবার চেষ্টা করা হবে।"
    ),
    "{row}, {_listed}, says that {_said}.": "{row}, {_listed}, বলছে {_said}।",
    "Two people decide about it.": "এ বিষয়ে দুজন মানুষ সিদ্ধান্ত নেন।",
    "the gateway's own list, which we fetched": "গেটওয়ের নিজের তালিকা, যা আমরা এনেছি",
    "exported by an accountant": "হিসাবরক্ষকের আনা",
    "{amount} of it was paid back by {at}": "{at} পর্যন্ত {amount} ফেরত দেওয়া হয়েছে",
    "as of {at} it is {_answer}": "{at} সময়ে এটি {_answer}",
    "Sent {type}, version {version}, to {endpoint}; {_answer} after {_took} s: {_then}.": (
        "{endpoint}-এ {type}, সংস্করণ {version}, পাঠানো হয়েছে; {_answer} ({_took} সেকেন্ড): {_then}।"
    ),
    "no answer": "উত্তর নেই",
    "no answer within {seconds} s": "{seconds} সেকেন্ডে উত্তর নেই",
    "no answer: {why}": "উত্তর নেই: {why}",
    "delivered": "পৌঁছেছে",
    "not delivered, and it is sent again": "পৌঁছায়নি, আবার পাঠানো হবে",
    "not delivered, and given up; payproof webhooks replay sends it again": "পৌঁছায়নি, চেষ্টা বন্ধ",
    "the endpoint says that it is gone, and nothing is sent there until payproof webhooks enable": (
        "এন্ডপয়েন্ট জানিয়েছে এটি আর নেই; চালু না করা পর্যন্ত কিছু পাঠানো হবে না"
    ),
}
TIMELINE: Mapping[str, str] = {**_EARLIER, **_RULES, **_DECIDED, **_STORY, **_ASKED}
