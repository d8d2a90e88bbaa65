"""Amazon's SNS, simulated: the sender of bKash's notifications, with its key, its certificate and its subscription.

A message is signed by RSA over its fields in a fixed order; its certificate lies at the address that it names. The
name of the certificate's file contains the key's digest, so that a new key never stands behind an address that a
receiver remembers. Departures from Amazon: the addresses are the sandbox's own, and notifications go out before the
subscription is confirmed too.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Literal
from urllib.parse import urlencode

import msgspec
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

from worker.playground.sandbox.announcing import FORGER
from worker.playground.sandbox.granted_tokens import LETTERS
from worker.playground.sandbox.state import State
from worker.playground.sandbox.times import iso_ms_z

SIGNED = ("Message", "MessageId", "Subject", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
"""The fields of a message that are signed, in their order; those that it does not have are left out."""
Version = Literal["1", "2"]
_HASHES: Mapping[str, hashes.HashAlgorithm] = {"1": hashes.SHA1(), "2": hashes.SHA256()}  # noqa: S303 - as SNS signs
_PLACE = "/sns"
_CONFIRMED = "sns confirmed"


class SimulatedSns:
    """One topic at `base`, the gateway's base URL. The key is made when the first message needs it."""

    def __init__(self, state: State, base: str, topic_arn: str) -> None:
        self._state = state
        self._at = base + _PLACE
        self.topic_arn = topic_arn

    def notification(self, message: str, message_id: str, *, at: float, version: Version = "1") -> dict[str, Any]:
        """An unsigned Notification, written at the real time `at`."""
        unsubscribe = f"{self._at}/unsubscribe?{urlencode({'SubscriptionArn': f'{self.topic_arn}:sandbox'})}"
        return self._message("Notification", message, message_id, at, version) | {"UnsubscribeURL": unsubscribe}

    def confirmation(self, message_id: str, *, at: float, version: Version = "1") -> dict[str, Any]:
        """An unsigned SubscriptionConfirmation. A GET of its SubscribeURL confirms the subscription."""
        query = {"Action": "ConfirmSubscription", "TopicArn": self.topic_arn, "Token": self._token()}
        told = f"You have chosen to subscribe to the topic {self.topic_arn}. Visit the SubscribeURL to confirm."
        return self._message("SubscriptionConfirmation", told, message_id, at, version) | {
            "Token": query["Token"],
            "SubscribeURL": f"{self._at}/confirm?{urlencode(query)}",
        }

    def signed(self, message: dict[str, Any], *, at: float, secret: str = "") -> tuple[bytes, dict[str, str]]:
        """The body with its signature, and its headers. An `at` well before its Timestamp makes that older."""
        written = datetime.fromisoformat(message["Timestamp"]).timestamp()
        message = message | ({"Timestamp": iso_ms_z(at)} if at < written - 60 else {})
        key = _forgers_key() if secret == FORGER else self._key()
        told = "".join(f"{name}\n{message[name]}\n" for name in SIGNED if message.get(name))
        signature = key.sign(told.encode(), padding.PKCS1v15(), _HASHES[message["SignatureVersion"]])
        headers = {
            "Content-Type": "text/plain; charset=UTF-8",
            "x-amz-sns-message-type": message["Type"],
            "x-amz-sns-message-id": message["MessageId"],
            "x-amz-sns-topic-arn": message["TopicArn"],
        }
        return msgspec.json.encode(message | {"Signature": base64.b64encode(signature).decode()}), headers

    def certificate(self) -> bytes:
        """The certificate of the key, in PEM."""
        key = self._key()
        names = [(NameOID.ORGANIZATION_NAME, "Amazon"), (NameOID.COMMON_NAME, "Simulated by Payproof's sandbox")]
        name = x509.Name([x509.NameAttribute(which, value) for which, value in names])
        begins = datetime(2026, 1, 1, tzinfo=UTC)
        made = (
            x509.CertificateBuilder(name, name, key.public_key(), serial_number=1)
            .not_valid_before(begins)
            .not_valid_after(begins + timedelta(days=36_500))
            .sign(key, hashes.SHA256())
        )
        return made.public_bytes(serialization.Encoding.PEM)

    def certificate_name(self) -> str:
        public = self._key().public_key()
        told = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        return f"SimpleNotificationService-{hashlib.sha256(told).hexdigest()[:32]}.pem"

    def certificate_url(self) -> str:
        return f"{self._at}/{self.certificate_name()}"

    def confirm(self, token: str) -> bool:
        """Confirm the subscription. False for a token that was never sent."""
        fits = token != "" and token == self._state.setting("sns token")
        if fits:
            self._state.set(_CONFIRMED, str(self.confirmed() + 1))
        return fits

    def confirmed(self) -> int:
        """How often the subscription was confirmed."""
        return int(self._state.setting(_CONFIRMED) or 0)

    def _message(self, kind: str, message: str, message_id: str, at: float, version: Version) -> dict[str, Any]:
        return {
            "Type": kind,
            "MessageId": message_id,
            "TopicArn": self.topic_arn,
            "Message": message,
            "Timestamp": iso_ms_z(at),
            "SignatureVersion": version,
            "SigningCertURL": self.certificate_url(),
        }

    def _token(self) -> str:
        token = self._state.setting("sns token")
        if token is None:
            token = "".join(self._state.draw("bkash", "sns token").choices(LETTERS, k=64))
            self._state.set("sns token", token)
        return token

    def _key(self) -> rsa.RSAPrivateKey:
        stored = self._state.setting("sns key")
        if stored is None:
            stored = _own_key()
            self._state.set("sns key", stored)
        return _read_key(stored)


def sns_routes(topic: Callable[[], SimulatedSns], name: str) -> list[web.RouteDef]:
    """The certificate's and the confirmation's addresses, below the gateway's base URL."""

    async def certificate(request: web.Request) -> web.Response:
        sns = topic()
        if request.match_info["file"] != sns.certificate_name():
            raise web.HTTPNotFound(text="There is no such certificate.")
        return web.Response(body=sns.certificate(), content_type="application/x-pem-file")

    async def confirm(request: web.Request) -> web.Response:
        sns = topic()
        if request.query.get("TopicArn") != sns.topic_arn or not sns.confirm(request.query.get("Token", "")):
            raise web.HTTPBadRequest(text="<ErrorResponse><Error><Code>InvalidParameter</Code></Error></ErrorResponse>")
        arn = f"<SubscriptionArn>{sns.topic_arn}:sandbox</SubscriptionArn>"
        xml = f"<ConfirmSubscriptionResponse><ConfirmSubscriptionResult>{arn}</ConfirmSubscriptionResult>"
        return web.Response(text=f"{xml}</ConfirmSubscriptionResponse>", content_type="text/xml")

    return [web.get(f"/{name}{_PLACE}/confirm", confirm), web.get(f"/{name}{_PLACE}/{{file:.+\\.pem}}", certificate)]


def _new_key() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return pem.decode()


@cache
def _read_key(pem: str) -> rsa.RSAPrivateKey:
    key = serialization.load_pem_private_key(pem.encode(), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    return key


@cache
def _own_key() -> str:
    """One for all states of this process, as making a key takes a while."""
    return _new_key()


@cache
def _forgers_key() -> rsa.RSAPrivateKey:
    return _read_key(_new_key())
