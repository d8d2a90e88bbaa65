"""bKash's notifications: which message of Amazon SNS counts as bKash's, and which addresses it may name."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from consumers.ports.gateway import CertificateWanted, Forged, Signed, Unsigned
from consumers.providers.bkash import BKash
from schemas.callbacks import Callback
from schemas.secret import Secret
from schemas.words import Source
from tests.sns import HOST, TOPIC, certificate, key, message

NOON = datetime(2026, 5, 17, 12, 0, tzinfo=UTC)
LIVE, SANDBOX = "https://tokenized.pay.bka.sh/v1.2.0-beta", "http://127.0.0.1:8090/bkash/v1.2.0-beta"
SECRET = Secret("s")


def account(base_url: str = LIVE, topic: str | None = TOPIC) -> BKash:
    return BKash(
        base_url=base_url, app_key=SECRET, app_secret=SECRET, username=SECRET, password=SECRET, topic_arn=topic
    )


def judged(told: dict[str, Any] | bytes, pem: bytes | None = None, gateway: BKash | None = None) -> Any:
    """The judgement of a webhook's body; a CertificateWanted where no `pem` is given."""
    body = told if isinstance(told, bytes) else json.dumps(told).encode()
    callback = Callback(
        source=Source.WEBHOOK, account="shop", method="POST", query=(), headers=(), body=body, received_at=NOON
    )
    found = (gateway or account()).authenticate(callback)
    return found.check(pem) if isinstance(found, CertificateWanted) and pem is not None else found


def right() -> bytes:
    return certificate(key())


@pytest.mark.parametrize("version", ["1", "2"])
@pytest.mark.parametrize("kind", ["Notification", "SubscriptionConfirmation", "UnsubscribeConfirmation"])
def test_each_type_of_message_is_signed_over_its_own_fields(kind: str, version: str) -> None:
    told = message(NOON, kind, version=version)
    assert isinstance(judged(told, right()), Signed)
    covered = {"Message", "MessageId", "Timestamp"} | ({"Token"} if kind != "Notification" else set())
    for name in covered:
        changed = told | {name: "2026-05-17T11:59:59.000Z" if name == "Timestamp" else "changed"}
        assert isinstance(judged(changed, right()), Forged), name


def test_a_message_of_one_type_is_none_of_another() -> None:
    for kind in ("SubscriptionConfirmation", "UnsubscribeConfirmation"):
        assert isinstance(judged(message(NOON) | {"Type": kind}, right()), Forged)
    made = message(NOON, "UnsubscribeConfirmation")
    assert isinstance(judged(made | {"Type": "SubscriptionConfirmation"}, right()), Forged)


@pytest.mark.parametrize(("seconds", "kind"), [(300, Signed), (301, Unsigned), (-300, Signed), (-301, Unsigned)])
def test_a_right_signature_that_is_old_or_early_is_an_unsigned_claim(seconds: int, kind: type) -> None:
    assert isinstance(judged(message(NOON - timedelta(seconds=seconds)), right()), kind)


def test_a_confirmation_is_visited_at_any_age_and_nothing_else_is() -> None:
    old = message(NOON - timedelta(hours=2), "SubscriptionConfirmation")
    assert judged(old, right()) == Signed(visit=old["SubscribeURL"])
    assert judged(message(NOON, "UnsubscribeConfirmation"), right()) == Signed()
    assert judged(message(NOON, SubscribeURL=old["SubscribeURL"]), right()) == Signed()


@pytest.mark.parametrize(
    "topic",
    [
        TOPIC + "x", TOPIC.upper(), TOPIC.replace("ap-southeast-1", "us-east-1"), f" {TOPIC}", f"{TOPIC}\n", "", None,
        TOPIC.replace("123456789012", "999999999999"), [TOPIC], 7,
    ],
)  # fmt: skip
def test_another_topic_is_refused_before_its_certificate_is_wanted(topic: Any) -> None:
    """Any customer of AWS has SNS sign messages of their own topics."""
    found = judged(message(NOON, TopicArn=topic) if isinstance(topic, str) else message(NOON) | {"TopicArn": topic})
    assert isinstance(found, Forged)


def test_without_a_topic_no_message_is_accepted_and_the_words_hold_no_wallet() -> None:
    found = judged(message(NOON), gateway=account(topic=None))
    assert found == Forged("the account has no topic_arn: arn:aws:sns:ap-southeast-1:123456789012")


ELSEWHERE = (
    "http://sns.ap-southeast-1.amazonaws.com/a.pem",
    "https://sns.us-east-1.amazonaws.com/a.pem",  # another region than the topic's
    "https://sns.s3-us-west-2.amazonaws.com/a.pem",  # anybody's bucket of that name
    "https://sns.ap-southeast-1.amazonaws.com.cn/a.pem",
    "https://sns.ap-southeast-1.amazonaws.com.evil.example/a.pem",
    "https://sns.ap-southeast-1.amazonaws.com:8443/a.pem",
    "https://sns.ap-southeast-1.amazonaws.com:443/a.pem",
    "https://sns.ap-southeast-1.amazonaws.com@evil.example/a.pem",
    "https://evil.example@sns.ap-southeast-1.amazonaws.com/a.pem",
    "https://user:pw@sns.ap-southeast-1.amazonaws.com/a.pem",
    "https://SNS.AP-SOUTHEAST-1.AMAZONAWS.COM/a.pem",
    "https://sns.ap-southeast-1.amazonaws.com./a.pem",
    "https://sns.evil.com/amazonaws.com/a.pem",
    "https://sns.evil.com/sns.ap-southeast-1.amazonaws.com/a.pem",
    "https://evil.example/#https://sns.ap-southeast-1.amazonaws.com/a.pem",
    "https://evil.example/?sns.ap-southeast-1.amazonaws.com/a.pem",
    "https://evil.example\\@sns.ap-southeast-1.amazonaws.com/a.pem",
    "https://sns.ap-southeast-1.amazonaws.com\\.evil.example/a.pem",
    "https://sns.ap-southeast-1.amazonaws.com/a.pem\n",
    "\nhttps://sns.ap-southeast-1.amazonaws.com/a.pem",
    "https://sns.ap-southeast-1.amazonaws.com\t/a.pem",
    "https://sns。ap-southeast-1。amazonaws。com/a.pem",
    "https://ѕns.ap-southeast-1.amazonaws.com/a.pem",
    "https://sns.ap-southeast-1.amazonaws.com/ä.pem",
    "https://sns.ap-southeast-1.amazonaws.com",
    "//sns.ap-southeast-1.amazonaws.com/a.pem",
    "https://127.0.0.1/a.pem",
    "https://[::1]/a.pem",
    "https://[::1/a.pem",
    "file:///etc/ssl/a.pem",
    "",
)


@pytest.mark.parametrize("url", ELSEWHERE)
def test_a_certificate_or_confirmation_elsewhere_is_refused(url: str) -> None:
    assert isinstance(judged(message(NOON, SigningCertURL=url)), Forged)
    assert isinstance(judged(message(NOON, "SubscriptionConfirmation", SubscribeURL=url)), Forged)


@pytest.mark.parametrize(
    "path",
    [
        "/a.txt", "/", "/a.pem/x", "/a.txt?x=a.pem", "/a.txt#a.pem", "/.PEM",
        # calls of SNS's API, whose answers can hold a certificate of the caller's
        "/a.pem?Action=GetTopicAttributes", "/?Action=GetTopicAttributes&x=/a.pem", "/a.pem?", "/a.pem#a.pem",
        "/%3FAction=GetTopicAttributes&x=/a.pem", "/a.pem;/a.pem", "/../a.pem",
    ],
)  # fmt: skip
def test_a_certificate_is_a_file_of_sns(path: str) -> None:
    assert isinstance(judged(message(NOON, SigningCertURL=HOST + path)), Forged)


@pytest.mark.parametrize(
    "query",
    ["", "?Action=DeleteTopic", "?Action=Unsubscribe&TopicArn=" + TOPIC, "?Action=ConfirmSubscription&TopicArn=other"],
)
def test_only_our_own_subscription_is_confirmed(query: str) -> None:
    told = message(NOON, "SubscriptionConfirmation", SubscribeURL=f"{HOST}/{query}")
    assert isinstance(judged(told), Forged)


NEAR = "http://127.0.0.1:9090/sns/a.pem"


def test_a_sandbox_may_have_an_sns_at_its_own_host_and_a_live_account_may_not() -> None:
    assert isinstance(judged(message(NOON, SigningCertURL=NEAR), gateway=account(SANDBOX)), CertificateWanted)
    assert isinstance(judged(message(NOON, SigningCertURL=NEAR)), Forged)
    secure = account(SANDBOX.replace("http:", "https:"))
    assert isinstance(judged(message(NOON, SigningCertURL=NEAR), gateway=secure), Forged)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.2:8090/a.pem", "http://localhost:8090/a.pem", "http://x@127.0.0.1/a.pem",
        "http://127.0.0.1#/a.pem",
        "http://127.0.0.1.evil.example/a.pem", "http://evil.example/?127.0.0.1/a.pem", "ftp://127.0.0.1/a.pem",
        *ELSEWHERE[1:6],
    ],
)  # fmt: skip
def test_a_sandbox_has_no_sns_at_another_host(url: str) -> None:
    assert isinstance(judged(message(NOON, SigningCertURL=url), gateway=account(SANDBOX)), Forged)


CERTIFICATES = {
    "another key": lambda: certificate(key(another=1)),
    "not yet valid": lambda: certificate(key(), NOON + timedelta(minutes=1)),
    "ended": lambda: certificate(key(), NOON - timedelta(days=30), 29),
    "another kind of key": lambda: certificate(ec.generate_private_key(ec.SECP256R1())),
    "a page": lambda: b"<html>",
    "nothing": lambda: b"",
    "half a certificate": lambda: right()[:300],
}


@pytest.mark.parametrize("what", CERTIFICATES)
def test_a_certificate_that_does_not_prove_the_signature(what: str) -> None:
    assert isinstance(judged(message(NOON), CERTIFICATES[what]()), Forged)


def test_a_short_key_proves_nothing() -> None:
    short = key(1024)
    assert isinstance(judged(message(NOON, signs=short), certificate(short)), Forged)


@pytest.mark.parametrize(
    "changes",
    [
        {"Signature": ""}, {"Signature": "AAAA"}, {"Signature": "no base64!"}, {"Signature": "é"}, {"Signature": None},
        {"Signature": 5}, {"SignatureVersion": "3"}, {"SignatureVersion": None}, {"Type": "Other"}, {"Type": None},
        {"Timestamp": "yesterday"}, {"Timestamp": None}, {"SigningCertURL": None}, {"Message": {"a": 1}},
    ],
)  # fmt: skip
def test_a_message_without_one_of_its_parts_is_forged(changes: dict[str, Any]) -> None:
    assert isinstance(judged(message(NOON) | changes, right()), Forged)


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"{", b"a=b", b"\xff", b'{"Type": "Notification"}'])
def test_a_body_that_is_no_message_is_forged(body: bytes) -> None:
    assert isinstance(judged(body, right()), Forged)


def test_a_field_that_stands_twice_is_not_read() -> None:
    twice = json.dumps(message(NOON)).replace('{"Type"', '{"TopicArn": "x", "Type"', 1)
    assert isinstance(judged(twice.encode(), right()), Forged)


@pytest.mark.parametrize(
    "topic", ["bpt_01700000000", "arn:aws:sqs:ap-southeast-1:123456789012:q", TOPIC + "\n", "arn:aws:sns:..:1:x"]
)
def test_a_topic_is_an_arn(topic: str) -> None:
    wanted = {"base_url": LIVE, "app_key": "a", "app_secret": "b", "username": "c", "password": "d", "topic_arn": topic}
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(wanted, BKash, dec_hook=lambda _, text: Secret(text))
