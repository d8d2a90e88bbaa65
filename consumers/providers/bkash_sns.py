"""bKash's notifications: messages of Amazon SNS, signed by RSA.

Sources: BK, as `bkash_checkout.py` names it; github.com/bKash-developer/webhook-endpoint-php; AWS on SNS signatures.

Any customer of AWS can have SNS sign a message, so a right signature proves nothing unless the topic is bKash's. The
addresses of the certificate and of the confirmation are a stranger's words until the signature is checked. So they have
to be at SNS itself, in the topic's region.
"""

from __future__ import annotations

import base64
import re
from functools import partial
from urllib.parse import parse_qsl, urlsplit

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from consumers.providers import kit

TOPIC_PATTERN = r"\Aarn:aws(-cn)?:sns:[a-z]{2}(-[a-z]+)+-[0-9]{1,2}:[0-9]{12}:[A-Za-z0-9_-]{1,256}\Z"

CONFIRMATION = "SubscriptionConfirmation"
NOTIFICATION = "Notification"

# What is signed of each type of message: these fields in this order, without absent and empty ones.
_OF_A_SUBSCRIPTION = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
_SIGNED = {
    NOTIFICATION: ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    CONFIRMATION: _OF_A_SUBSCRIPTION,
    "UnsubscribeConfirmation": _OF_A_SUBSCRIPTION,
}
# bKash's own client checks SHA-1, which SNS uses unless a topic chose version 2.
_HASHES: dict[str, hashes.HashAlgorithm] = {"1": hashes.SHA1(), "2": hashes.SHA256()}  # noqa: S303
_LEAST_KEY_BITS = 2048

# A file without a query. SNS answers calls of its API at the same host, with texts that any customer of AWS chooses.
_CERTIFICATE = re.compile(r"https?://[^/?#]+/[A-Za-z0-9_/-]*[A-Za-z0-9_-]\.pem", re.ASCII)


def check_message(callback: kit.Callback, topic: str | None, base_url: str) -> kit.Forged | kit.CertificateWanted:
    """Check all but the signature: the shape, the topic, and where the certificate is.

    Only where `base_url` is plain http, which the configuration allows for sandboxes alone, a certificate may also be
    at the host of `base_url`.
    """
    try:
        message = kit.body_fields(callback) if callback.body.lstrip()[:1] == b"{" else kit.Told()
        signed = _SIGNED.get(_text(message, "Type"))
        algorithm = _HASHES.get(_text(message, "SignatureVersion"))
        if signed is None or algorithm is None:
            return kit.Forged("it is no message of SNS")
        if topic is None or _text(message, "TopicArn") != topic:
            why = "it comes from another topic than topic_arn" if topic else "the account has no topic_arn"
            return kit.Forged(f"{why}: {_origin(_text(message, 'TopicArn'))}")
        url = _text(message, "SigningCertURL")
        if not _of_sns(url, topic, base_url) or not _CERTIFICATE.fullmatch(url):
            return kit.Forged("its certificate is not at the address of SNS")
        signature = base64.b64decode(_text(message, "Signature"), validate=True)
        covered = "".join(f"{name}\n{text}\n" for name in signed if (text := _text(message, name)))
        at = kit.timestamps.iso(_text(message, "Timestamp"))
        visit = _confirmation(message, topic, base_url)
    except kit.Unreadable as error:
        return kit.Forged(f"it is no message of SNS: {error}")
    except ValueError:
        return kit.Forged("it is no message of SNS: no base64, or no URL")
    age = abs((callback.received_at - at).total_seconds())
    proven: kit.Signed | kit.Unsigned = kit.Signed() if age <= kit.TOLERANCE_SECONDS else kit.Unsigned()
    if visit is not None:  # of any age, since SNS repeats it for hours, and it says nothing about a payment
        proven = kit.Signed(visit=visit)
    check = partial(_check, callback=callback, signature=signature, covered=covered.encode(), algorithm=algorithm)
    return kit.CertificateWanted(url=url, check=partial(check, proven=proven))


def read_message(callback: kit.Callback) -> kit.CallbackContent:
    """The ids of a notification. A payment's `trxID` and invoice stand in `Message`, which is a text of JSON.

    A QR payment to the same wallet has no invoice. The payer can type the `transactionReference`, so it is not read.
    """
    message = kit.body_fields(callback)
    kind, event_id = kit.text_or_none(message, "Type"), kit.text_or_none(message, "MessageId")
    told = _payment(message) if kind == NOTIFICATION else kit.Told()
    return kit.CallbackContent(
        said=kit.said_of(callback, kit.text_or_none(told, "transactionStatus")),
        reference=kit.text_or_none(told, "merchantInvoiceNumber"),
        transaction_id=kit.text_or_none(told, "trxID"),
        event_id=event_id,
        event_type=kind,
    )


def _check(
    pem: bytes,
    *,
    callback: kit.Callback,
    signature: bytes,
    covered: bytes,
    algorithm: hashes.HashAlgorithm,
    proven: kit.Signed | kit.Unsigned,
) -> kit.Signed | kit.Unsigned | kit.Forged:
    """Check the signature of the bytes `covered` with the certificate. Returns `proven` if it is right."""
    try:
        certificate = x509.load_pem_x509_certificate(pem)
        key = certificate.public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return kit.Forged("at the certificate's address there is no certificate")
    if not certificate.not_valid_before_utc <= callback.received_at <= certificate.not_valid_after_utc:
        return kit.Forged("its certificate is not valid at this time")
    if not isinstance(key, RSAPublicKey) or key.key_size < _LEAST_KEY_BITS:
        return kit.Forged("its certificate has no RSA key of 2048 bits or more")
    try:
        key.verify(signature, covered, PKCS1v15(), algorithm)
    except InvalidSignature:
        return kit.Forged("the signature does not fit")
    return proven


def _confirmation(message: kit.Told, topic: str, base_url: str) -> str | None:
    """The address that confirms the subscription to our topic; None for other messages. Raises Unreadable."""
    if _text(message, "Type") != CONFIRMATION:
        return None
    url = _text(message, "SubscribeURL")
    query = dict(parse_qsl(urlsplit(url).query))
    confirms = query.get("Action") == "ConfirmSubscription" and query.get("TopicArn", topic) == topic
    if not _of_sns(url, topic, base_url) or not confirms:
        raise kit.Unreadable("it asks for another visit than to confirm our subscription")
    return url


def _of_sns(url: str, topic: str, base_url: str) -> bool:
    """Whether the address is at SNS in the topic's region, with no user, no port, and no sign but printable ASCII.

    The whole host is compared: `sns.s3-us-west-2.amazonaws.com` would be anybody's bucket.
    """
    _, partition, _, region, *_ = topic.split(":")
    host = f"sns.{region}.amazonaws.com" + (".cn" if partition == "aws-cn" else "")
    if re.fullmatch(r"https://" + re.escape(host) + r"/[!-\[\]-~]*", url, re.ASCII):
        return True
    sandbox = urlsplit(base_url)
    plain = re.fullmatch(r"https?://[!-?A-\[\]-~]+", url, re.ASCII) is not None
    return plain and sandbox.scheme == "http" and urlsplit(url).hostname == sandbox.hostname


def _payment(message: kit.Told) -> kit.Told:
    """The payment in `Message`; empty where it is no JSON object."""
    try:
        inner = kit.read_leniently(_text(message, "Message").encode(errors="replace"))
    except kit.Unreadable:
        return kit.Told()
    return inner if isinstance(inner, kit.Told) else kit.Told()


def _text(message: kit.Told, name: str) -> str:
    """The field's text; "" where it is absent or null. Raises Unreadable for any other value."""
    value = message.get(name)
    if value is not None and not isinstance(value, str):
        raise kit.Unreadable(f"{name} is no text")
    return str(value or "")


def _origin(topic: str) -> str:
    """What a log may show of a stranger's topic: region and account, not its name, in which bKash writes a wallet."""
    return topic.rpartition(":")[0] if re.fullmatch(TOPIC_PATTERN, topic) else "no topic of SNS"
