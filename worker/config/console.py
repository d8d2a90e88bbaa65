"""`[console]`: the people who may use the console, what each may do, and from which amount two of them decide.

A password is kept as its Argon2id hash alone. With an identity proxy or an OpenID Connect provider, sign-in is theirs,
so an operator may have no password here.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Any, Protocol

from msgspec import Meta, Struct

from schemas.secret import ElsewhereSecret, Secret
from schemas.words import OperatorRole
from worker.config.oidc import Oidc, check_oidc

NEVER = "never"
APPROVERS = 2
LEAST_TOTP_BYTES = 16
_PHC = re.compile(
    r"\$argon2id\$v=19\$m=(?P<memory>\d{1,9}),t=(?P<passes>\d{1,4}),p=(?P<lanes>\d{1,3})"
    r"\$(?P<salt>[A-Za-z0-9+/]{11,})\$(?P<digest>[A-Za-z0-9+/]{22,})"
)
_MEMORY, _PASSES, _LANES = range(8 * 1024, 256 * 1024 + 1), range(1, 17), range(1, 17)
"""KiB of memory, passes and lanes: less is guessed too quickly, more would let sign-ins take the machine's memory."""

OperatorName = Annotated[
    str,
    Meta(
        pattern=r"\A[A-Za-z0-9][A-Za-z0-9._@+-]{0,99}\Z",
        extra={"say": "a name is 1 to 100 of A-Z, a-z, 0-9 and . _ @ + -, and begins with a letter or a digit"},
    ),
]
HeaderName = Annotated[
    str, Meta(pattern=r"\A[A-Za-z][A-Za-z0-9-]{0,99}\Z", extra={"say": "must be the name of an HTTP header"})
]
Limit = Annotated[
    str,
    Meta(
        pattern=r"\A(?:never|[0-9]{1,12}(?:\.[0-9]{1,2})?)\Z",
        extra={"say": 'must be an amount in taka such as "5000.00", or "never"'},
    ),
]


class Operator(Struct, frozen=True, kw_only=True):
    """A person. Without `merchants`, of all merchants. `password` is its Argon2id hash, `totp` a secret in base32."""

    name: OperatorName
    role: OperatorRole
    merchants: Annotated[tuple[str, ...], Meta(min_length=1)] | None = None
    password: Secret | None = None
    totp: Secret | None = None

    def sees(self, merchant: str) -> bool:
        return self.merchants is None or merchant in self.merchants

    @property
    def totp_key(self) -> bytes | None:
        return None if self.totp is None else totp_key(self.totp.reveal())


class Proxy(Struct, frozen=True, kw_only=True):
    """An identity proxy: it names the operator in `header`, which is believed from `peers` alone."""

    header: HeaderName
    peers: Annotated[tuple[str, ...], Meta(min_length=1)]

    @property
    def networks(self) -> tuple[IPv4Network | IPv6Network, ...]:
        return tuple(ip_network(peer) for peer in self.peers)


class Console(Struct, frozen=True, kw_only=True):
    """`[console]` in the file. From `second_person_from` taka on, two people decide about a payment."""

    second_person_from: Limit = "0.00"
    proxy: Proxy | None = None
    oidc: Oidc | None = None
    operators: tuple[Operator, ...] = ()

    def operator(self, name: str) -> Operator | None:
        """The operator of this name, in any case."""
        return next((one for one in self.operators if one.name.lower() == name.lower()), None)

    @property
    def second_person_limit(self) -> Decimal | None:
        """The amount in taka from which a second person decides. None: never, or nobody is configured."""
        return None if self.second_person_from == NEVER or not self.operators else Decimal(self.second_person_from)


class Notes(Protocol):
    """Where problems are noted. `literals` are the paths of secrets that the file itself holds."""

    literals: list[str]

    def note(self, path: str, message: str) -> object: ...


def check_operator(notes: Notes, values: Mapping[str, Any], path: str) -> None:
    password, totp = values.get("password"), values.get("totp")
    if password is not None and not isinstance(password, ElsewhereSecret) and not is_password_hash(password.reveal()):
        notes.note(f"{path}.password", "must be an Argon2id hash, as `payproof operator` prints it")
    if f"{path}.password" in notes.literals:
        notes.literals.remove(f"{path}.password")  # a hash may stand in the file
    if totp is not None and not isinstance(totp, ElsewhereSecret):
        try:
            totp_key(totp.reveal())
        except ValueError as error:
            notes.note(f"{path}.totp", str(error))


def check_console(notes: Notes, values: Mapping[str, Any], path: str) -> None:
    """Note operators of one name or one secret, those who cannot sign in, and two who would sign people in."""
    operators: Sequence[Operator] = values.get("operators", ())
    proxied, by_provider = values.get("proxy") is not None, values.get("oidc") is not None
    if proxied and by_provider:
        notes.note(f"{path}.oidc", "and console.proxy would both sign people in; keep one of them")
    first: dict[tuple[str, object], str] = {}
    for index, operator in enumerate(operators):
        place = f"{path}.operators[{index}]"
        for key, message in _sign_in(operator, proxied=proxied, by_provider=by_provider):
            notes.note(f"{place}.{key}", message)
        for key, value in _distinct(operator):
            if (other := first.setdefault((key, value), place)) != place:
                notes.note(f"{place}.{key}", f"is the {key} of {other} too; each person has their own")


def check_proxy(notes: Notes, values: Mapping[str, Any], path: str) -> None:
    for index, peer in enumerate(values.get("peers", ())):
        try:
            network = ip_network(peer)
        except ValueError:
            notes.note(f"{path}.peers[{index}]", "must be an address or a network, such as 10.0.0.5 or 10.0.0.0/24")
        else:
            if network.prefixlen == 0:
                notes.note(f"{path}.peers[{index}]", "is every address, so that anyone could be any operator")


def check_merchants(notes: Notes, values: Mapping[str, Any], _: str) -> None:
    """Note operators of unknown merchants, and merchants with too few people who could approve.

    `values` are the keys of the file that could be read.
    """
    console: Console | None = values.get("console")
    merchants = values.get("merchants")
    if console is None or merchants is None or not console.operators:
        return
    ids = [merchant.id for merchant in merchants]
    for index, operator in enumerate(console.operators):
        for number, merchant in enumerate(operator.merchants or ()):
            if merchant not in ids:
                notes.note(f"console.operators[{index}].merchants[{number}]", "there is no merchant with this id")
    if console.second_person_limit is None:
        return
    approvers = [one for one in console.operators if one.role is OperatorRole.APPROVER]
    few = [merchant for merchant in ids if sum(one.sees(merchant) for one in approvers) < APPROVERS]
    if few:
        notes.note(
            "console.second_person_from",
            f"needs two operators with the role approver for each merchant, and {', '.join(few)} has fewer; "
            'for a shop of one person set it to "never"',
        )


def is_password_hash(text: str) -> bool:
    """Whether the text is an Argon2id hash in the PHC format, and one that is neither too weak nor too costly."""
    match = _PHC.fullmatch(text)
    return (
        match is not None
        and int(match["memory"]) in _MEMORY
        and int(match["passes"]) in _PASSES
        and int(match["lanes"]) in _LANES
    )


def totp_key(text: str) -> bytes:
    """The bytes of a TOTP secret in base32, with or without spaces and padding. Raises ValueError."""
    plain = text.replace(" ", "").rstrip("=").upper()
    try:
        key = base64.b32decode(plain + "=" * (-len(plain) % 8))
    except binascii.Error:
        key = b""
    if len(key) < LEAST_TOTP_BYTES:
        raise ValueError(f"must be the base32 of {LEAST_TOTP_BYTES} bytes or more, as `payproof operator` prints it")
    return key


def _sign_in(operator: Operator, *, proxied: bool, by_provider: bool) -> Iterator[tuple[str, str]]:
    if by_provider:
        if operator.password is not None and operator.totp is None:
            yield "totp", "is missing; nobody signs in by a password alone"
        return
    if operator.password is None and not proxied:
        yield "password", "is missing; `payproof operator` prints it"
    if operator.totp is None and not (proxied and operator.role is OperatorRole.VIEWER):
        yield "totp", "is missing; `payproof operator` prints it"


def _distinct(operator: Operator) -> Iterator[tuple[str, object]]:
    yield "name", operator.name.lower()
    for key, secret in (("password", operator.password), ("totp", operator.totp)):
        if secret is not None and not isinstance(secret, ElsewhereSecret):
            yield key, secret.reveal()


CONSOLE_RULES: dict[type, Any] = {
    Operator: check_operator,
    Proxy: check_proxy,
    Oidc: check_oidc,
    Console: check_console,
}
