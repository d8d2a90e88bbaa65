"""Messages as Amazon SNS signs them, with a key and a certificate made for the tests."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.x509.oid import NameOID

HOST = "https://sns.ap-southeast-1.amazonaws.com"
TOPIC = "arn:aws:sns:ap-southeast-1:123456789012:bpt_01700000000"
PAID = {
    "dateTime": "20260517160900",
    "debitMSISDN": "8801700000001",
    "trxID": "6H7801QFYM",
    "transactionStatus": "Completed",
    "transactionType": "10002294",
    "amount": "100",
    "currency": "BDT",
    "transactionReference": "typed by the payer",
    "merchantInvoiceNumber": "order-7831-a1",
}
_SUBSCRIPTION = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
_NOTIFICATION = ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type")


@cache
def key(bits: int = 2048, *, another: int = 0) -> rsa.RSAPrivateKey:
    """One key for each of the arguments; making a key takes a moment."""
    assert another >= 0
    return rsa.generate_private_key(65537, bits)


def certificate(
    signs: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, since: datetime | None = None, days: int = 3650
) -> bytes:
    """A self-signed certificate of this key as PEM; valid since 2020 unless told otherwise."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
    since = since or datetime(2020, 1, 1, tzinfo=UTC)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(signs.public_key())
    made = made.serial_number(7831).not_valid_before(since).not_valid_after(since + timedelta(days=days))
    return made.sign(signs, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def message(
    at: datetime,
    kind: str = "Notification",
    *,
    version: str = "1",
    signs: rsa.RSAPrivateKey | None = None,
    host: str = HOST,
    **changes: Any,
) -> dict[str, Any]:
    """A signed message. `changes` are made before it is signed; None takes a field out."""
    told: dict[str, Any] = {
        "Type": kind,
        "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
        "TopicArn": TOPIC,
        "Message": json.dumps(PAID),
        "Timestamp": at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        "SignatureVersion": version,
        "SigningCertURL": f"{host}/SimpleNotificationService-1.pem",
        "UnsubscribeURL": f"{host}/?Action=Unsubscribe",
    }
    if kind != "Notification":
        told |= {
            "Message": "You have chosen to subscribe.",
            "Token": "2336412f37f",
            "SubscribeURL": f"{host}/?Action=ConfirmSubscription&TopicArn={TOPIC}&Token=2336412f37f",
        }
    told = {name: value for name, value in (told | changes).items() if value is not None}
    covered = "".join(
        f"{name}\n{told[name]}\n"
        for name in (_NOTIFICATION if kind == "Notification" else _SUBSCRIPTION)
        if told.get(name)
    )
    algorithm = hashes.SHA1() if version == "1" else hashes.SHA256()
    signature = (signs or key()).sign(covered.encode(), PKCS1v15(), algorithm)
    return told | {"Signature": base64.b64encode(signature).decode()}
