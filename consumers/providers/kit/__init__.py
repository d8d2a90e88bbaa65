"""All that a gateway's file imports: `from consumers.providers import kit`.

It has the types of the port, of questions and of answers, and the helpers that several gateways share: requests,
replies, limits, callbacks, signatures and times. Besides it only `msgspec` and the standard library are imported, and
`cryptography` where a gateway signs with certificates.

A gateway that takes its password in a URL is asked by `kit.get(url, query={...}, secret={"store_passwd": self.key})`.
"""

from __future__ import annotations

from consumers.ports.effects import Exchange, HttpReply, HttpRequest, Token
from consumers.ports.gateway import (
    NOBODYS_PAYMENT,
    Capabilities,
    CertificateWanted,
    Forged,
    ListExchange,
    Misconfigured,
    Proof,
    Signed,
    Unsigned,
)
from consumers.ports.openings import FieldError, Opened, Opening, OpeningOutcome, ReferenceUsed
from consumers.providers.kit import field_limits, timestamps
from consumers.providers.kit.bearer_token import read_token, send_with_token
from consumers.providers.kit.callback_fields import body_fields, fields, folded, lower_or_none, text_or_none
from consumers.providers.kit.claimed_outcome import said_of
from consumers.providers.kit.echoed_reference import may_be_ours
from consumers.providers.kit.outgoing import (
    CallPath,
    endpoint,
    get,
    number,
    post,
    post_form,
    segment,
    two_decimals,
    without_nulls,
)
from consumers.providers.kit.pointers import is_pointer, value_at
from consumers.providers.kit.replies import (
    NoAnswer,
    Received,
    exchange,
    expect_reply,
    fetch,
    fetch_answer,
    json_object,
    judge,
    no_answer,
    not_found,
    only_object,
    refusal,
    refusal_in,
    refused,
    undocumented,
    unreadable,
)
from consumers.providers.kit.reply_fields import (
    check_echo,
    money_or_none,
    nested,
    optional_text,
    read_amounts,
    required_text,
    web_address,
)
from consumers.providers.kit.signatures import TOLERANCE_SECONDS, check_signature, never_signed
from consumers.providers.kit.status_table import NotFound, StatusTable
from consumers.providers.kit.timestamps import time_or_none
from schemas.answers import (
    Answer,
    Executed,
    ExecuteReply,
    Expected,
    ForeignTransaction,
    Inconclusive,
    Question,
    QuestionOutcome,
    Trouble,
)
from schemas.callbacks import Callback, CallbackContent
from schemas.numbers import money, whole
from schemas.secret import Secret
from schemas.wire import Number, Told, Unreadable, aside, read_leniently
from schemas.words import Id, MoneyField, QuestionKind, Risk, Said, Source, Status

__all__ = [
    "NOBODYS_PAYMENT",
    "TOLERANCE_SECONDS",
    "Answer",
    "CallPath",
    "Callback",
    "CallbackContent",
    "Capabilities",
    "CertificateWanted",
    "Exchange",
    "ExecuteReply",
    "Executed",
    "Expected",
    "FieldError",
    "ForeignTransaction",
    "Forged",
    "HttpReply",
    "HttpRequest",
    "Id",
    "Inconclusive",
    "ListExchange",
    "Misconfigured",
    "MoneyField",
    "NoAnswer",
    "NotFound",
    "Number",
    "Opened",
    "Opening",
    "OpeningOutcome",
    "Proof",
    "Question",
    "QuestionKind",
    "QuestionOutcome",
    "Received",
    "ReferenceUsed",
    "Risk",
    "Said",
    "Secret",
    "Signed",
    "Source",
    "Status",
    "StatusTable",
    "Token",
    "Told",
    "Trouble",
    "Unreadable",
    "Unsigned",
    "aside",
    "body_fields",
    "check_echo",
    "check_signature",
    "endpoint",
    "exchange",
    "expect_reply",
    "fetch",
    "fetch_answer",
    "field_limits",
    "fields",
    "folded",
    "get",
    "is_pointer",
    "json_object",
    "judge",
    "lower_or_none",
    "may_be_ours",
    "money",
    "money_or_none",
    "nested",
    "never_signed",
    "no_answer",
    "not_found",
    "number",
    "only_object",
    "optional_text",
    "post",
    "post_form",
    "read_amounts",
    "read_leniently",
    "read_token",
    "refusal",
    "refusal_in",
    "refused",
    "required_text",
    "said_of",
    "segment",
    "send_with_token",
    "text_or_none",
    "time_or_none",
    "timestamps",
    "two_decimals",
    "undocumented",
    "unreadable",
    "value_at",
    "web_address",
    "whole",
    "without_nulls",
]
