"""Every gateway against its fixtures, and every gateway against noise. The format is tests/fixtures/README.md.

No test here knows a gateway. A new gateway is a folder of fixtures.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, get_args
from urllib.parse import parse_qsl

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import UNSET, Raw, Struct, UnsetType, field

from consumers.ports.effects import HttpReply, HttpRequest, NoReply, Token, TokenWanted
from consumers.ports.gateway import CertificateWanted, Forged, Proof, Unsigned
from consumers.ports.openings import (
    CallbackUrls,
    Customer,
    Opened,
    Opening,
    OpeningOutcome,
    OpeningRefused,
    ReferenceUsed,
)
from consumers.prove_credentials import prove_credentials
from consumers.providers import PROVIDERS
from schemas.answers import (
    Answer,
    Executed,
    Expected,
    ForeignTransaction,
    Inconclusive,
    Question,
    QuestionOutcome,
    Trouble,
)
from schemas.callbacks import Callback, CallbackContent
from schemas.secret import Secret
from schemas.wire import Number, Unreadable, read_json
from schemas.words import QuestionKind, Said, Source

ROOT = Path(__file__).parent.parent / "fixtures"
OUTCOMES = (Answer, Inconclusive, ForeignTransaction, Executed, Opened, OpeningRefused, Proof, ReferenceUsed, Token)
NOON = datetime(2026, 5, 17, 10, 10, tzinfo=UTC)

# -- the format --------------------------------------------------------------------------------------------------------


class Strict(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class Urls(Strict, frozen=True):
    back: str = "https://p.example/r/back"
    success: str = "https://p.example/r/success"
    failure: str = "https://p.example/r/failure"
    cancel: str = "https://p.example/r/cancel"
    ipn: str = "https://p.example/r/ipn"


class OpeningFields(Strict, frozen=True):
    reference: str
    amount: str
    payment_id: str = "pay_00000000000000000000000000"
    currency: str = "BDT"
    description: str = "Order 7831"
    urls: Urls = Urls()
    expires_in: int | None = None
    method: str | None = None
    customer: Customer = Customer()
    options: Raw = Raw(b"{}")

    def opening(self) -> Opening:
        return Opening(
            payment_id=self.payment_id,
            reference=self.reference,
            amount=Decimal(self.amount),
            currency=self.currency,
            description=self.description,
            urls=CallbackUrls(**msgspec.structs.asdict(self.urls)),
            expires_in=self.expires_in,
            method=self.method,
            customer=self.customer,
            options=read_json(bytes(self.options)),
        )


class QuestionFields(Strict, frozen=True):
    kind: QuestionKind = QuestionKind.STATUS
    transaction_id: str | None = None
    session_id: str | None = None


class ExpectedFields(Strict, frozen=True):
    reference: str
    amount: str
    payment_id: str = "pay_00000000000000000000000000"
    currency: str = "BDT"
    session_id: str | None = None
    aliases: tuple[str, ...] = ()


class AskFields(Strict, frozen=True):
    expected: ExpectedFields
    question: QuestionFields = QuestionFields()

    def arguments(self) -> tuple[Question, Expected]:
        wanted = msgspec.structs.asdict(self.expected) | {"amount": Decimal(self.expected.amount)}
        return Question(**msgspec.structs.asdict(self.question)), Expected(**wanted)


class GrantFields(Strict, frozen=True):
    pass


class ProveFields(Strict, frozen=True):
    pass


class RequestFields(Strict, frozen=True):
    method: str
    url: str
    headers: dict[str, str] = field(default_factory=dict)
    json: Raw | UnsetType = UNSET
    form: dict[str, str] | None = None


class ReplyFields(Strict, frozen=True):
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    json: Raw | UnsetType = UNSET
    text: str = ""

    def reply(self) -> HttpReply:
        if isinstance(self.json, UnsetType):
            return http(self.status, self.text.encode(), **self.headers)
        return http(self.status, bytes(self.json), **({"content-type": "application/json"} | self.headers))


class Step(Strict, frozen=True):
    request: RequestFields | None = None
    reply: ReplyFields | None = None
    no_reply: bool = False
    token: str | None = None
    stale: str | None = None


class CallbackFields(Strict, frozen=True):
    source: Source
    method: str = "GET"
    query: tuple[tuple[str, str], ...] = ()
    headers: dict[str, str] = field(default_factory=dict)
    body: str = ""
    received_at: datetime = NOON
    payment_id: str | None = None
    said: Said | None = None

    def callback(self) -> Callback:
        given = msgspec.structs.asdict(self)
        given |= {"headers": tuple(self.headers.items()), "body": self.body.encode(), "account": "shop"}
        return Callback(**given)


class Fixture(Strict, frozen=True):
    source: str
    why: str
    config: Raw
    open: OpeningFields | None = None
    ask: AskFields | None = None
    grant: GrantFields | None = None
    prove: ProveFields | None = None
    check: OpeningFields | None = None
    authenticate: CallbackFields | None = None
    read_claim: CallbackFields | None = None
    exchange: list[Step] | None = None
    outcome: dict[str, Any] | Literal["Signed", "Unsigned", "Forged"] | None = None
    errors: list[str] | None = None
    reading: dict[str, Any] | None = None
    unreadable: bool = False
    recipe: str = ""
    certificate: str = ""

    @property
    def case(self) -> str:
        kinds = ("open", "ask", "grant", "prove", "check", "authenticate", "read_claim")
        (kind,) = [kind for kind in kinds if getattr(self, kind) is not None]
        return kind


# Which keys belong to which case: a fixture's other keys would never be checked.
KEYS = {
    "open": {"exchange", "outcome"},
    "ask": {"exchange", "outcome"},
    "grant": {"exchange", "outcome"},
    "prove": {"exchange", "outcome"},
    "check": {"errors"},
    "authenticate": {"outcome", "recipe", "certificate"},
    "read_claim": {"reading", "unreadable"},
}

FILES = sorted(path for path in ROOT.glob("*/*.json"))


@cache
def fixture(path: Path) -> Fixture:
    return msgspec.json.decode(path.read_bytes(), type=Fixture)


def of_case(*kinds: str) -> list[Path]:
    return [path for path in FILES if fixture(path).case in kinds]


def name(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


def provider(path: Path) -> Any:
    """The gateway a fixture belongs to, configured as it says."""
    return msgspec.convert(
        msgspec.json.decode(fixture(path).config), PROVIDERS[path.parent.name], dec_hook=lambda _, text: Secret(text)
    )


def each(*kinds: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("path", of_case(*kinds), ids=name)


# -- driving a generator -----------------------------------------------------------------------------------------------


def http(status: int, body: bytes, **headers: str) -> HttpReply:
    return HttpReply(status=status, headers=MappingProxyType(headers), body=body)


def begun(case: Fixture, gateway: Any) -> Any:
    if case.open is not None:
        return gateway.open(case.open.opening())
    if case.ask is not None:
        return gateway.ask(*case.ask.arguments())
    return gateway.grant() if case.grant is not None else prove_credentials(gateway)


def replay(case: Fixture, gateway: Any) -> object:
    """Run the generator against the exchange, step by step, and return its outcome."""
    running = begun(case, gateway)
    reply: HttpReply | str | None = None
    silent = False
    for step in [*(case.exchange or ()), None]:
        try:
            effect = running.throw(NoReply()) if silent else running.send(reply)
        except StopIteration as stop:
            assert step is None, f"it ended before {step}"
            return stop.value
        assert step is not None, f"one effect more than the exchange has: {effect}"
        silent, reply = step.no_reply, None
        if isinstance(effect, TokenWanted):
            assert step.token is not None, f"a token was wanted before {step}"
            assert effect.stale == step.stale
            reply = step.token
            continue
        assert step.request is not None, f"unexpected {effect}"
        check_request(effect, step.request)
        assert (step.reply is None) == step.no_reply, "a step has a reply or no_reply"
        if step.reply is not None:
            reply = step.reply.reply()
    raise AssertionError("unreachable")


def check_request(sent: HttpRequest, wanted: RequestFields) -> None:
    assert (sent.method, sent.reveal_url()) == (wanted.method, wanted.url)
    headers = dict(sent.headers)
    assert len(headers) == len(sent.headers)
    assert {key: headers.get(key) for key in wanted.headers} == wanted.headers
    if wanted.form is not None:
        assert sent.body is not None
        assert headers["content-type"] == "application/x-www-form-urlencoded"
        assert sorted(parse_qsl(sent.body.decode(), keep_blank_values=True)) == sorted(wanted.form.items())
    elif isinstance(wanted.json, UnsetType):
        assert sent.body is None
    else:
        assert sent.body is not None
        assert typed(read_json(sent.body)) == typed(read_json(bytes(wanted.json)))


def typed(value: Any) -> Any:
    """JSON with numbers kept apart from strings; 120 is not 120.0 and not "120"."""
    match value:
        case Number():
            return ("number", str(value))
        case dict():
            return {key: typed(item) for key, item in value.items()}
        case list():
            return [typed(item) for item in value]
        case _:
            return value


def plain(value: Any) -> Any:
    """An outcome as a fixture writes it, without null and default values."""
    match value:
        case Struct():
            found = {key: plain(item) for key, item in msgspec.structs.asdict(value).items()}
            return {key: item for key, item in found.items() if item not in (None, [])} | {"type": type(value).__name__}
        case tuple():
            return [plain(item) for item in value]
        case datetime():
            assert value.utcoffset() == timedelta(0)
            return value.isoformat().replace("+00:00", "Z")
        case Decimal():
            return str(value)
        case _:
            return value


def without_nulls(wanted: Any) -> Any:
    if not isinstance(wanted, dict):
        return wanted
    return {key: without_nulls(item) for key, item in wanted.items() if item is not None}


def assert_outcome(outcome: object, wanted: Any) -> None:
    assert isinstance(outcome, OUTCOMES)
    found, wanted = plain(outcome), without_nulls(wanted)
    for one, other in ((found, wanted), (found.get("then", {}), wanted.get("then", {}))):
        if "detail" not in other:
            one.pop("detail", None)
    assert found == wanted


# -- fixtures ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", FILES, ids=name)
def test_a_fixture_has_one_case_and_only_the_keys_that_are_looked_at(path: Path) -> None:
    keys = set(msgspec.json.decode(path.read_bytes()))
    case = fixture(path)
    assert case.source
    assert not re.search(r"(providers|gateways_next|design)\.md", case.source), "it is not in this repository"
    assert case.why.endswith(".")
    assert keys - {"source", "why", "config"} - {case.case} <= KEYS[case.case]
    provider(path)


@each("open", "ask", "grant", "prove")
def test_an_exchange_ends_in_its_outcome(path: Path) -> None:
    assert_outcome(replay(fixture(path), provider(path)), fixture(path).outcome)


@each("check")
def test_limits_are_found_before_the_gateway_is_called(path: Path) -> None:
    opening = fixture(path).check.opening()
    assert sorted(error.field for error in provider(path).check(opening)) == sorted(fixture(path).errors)


@each("open")
def test_what_is_opened_in_a_fixture_passes_its_own_limits(path: Path) -> None:
    assert provider(path).check(fixture(path).open.opening()) == []


@each("authenticate")
def test_a_signature_is_judged(path: Path) -> None:
    case = fixture(path)
    judged = provider(path).authenticate(case.authenticate.callback())
    if isinstance(judged, CertificateWanted):
        judged = judged.check(case.certificate.encode())
    assert type(judged).__name__ == case.outcome


@each("read_claim")
def test_a_claim_is_read(path: Path) -> None:
    case = fixture(path)
    if case.unreadable:
        assert case.reading is None
        with pytest.raises(Unreadable):
            provider(path).read_claim(case.read_claim.callback())
    else:
        found = plain(provider(path).read_claim(case.read_claim.callback()))
        assert found == without_nulls(case.reading) | {"type": "CallbackContent"}


# -- every gateway -----------------------------------------------------------------------------------------------------


def test_every_gateway_has_fixtures_and_every_fixture_a_gateway() -> None:
    assert {path.parent.name for path in FILES} == set(PROVIDERS)
    assert {"open", "ask", "prove", "check", "authenticate", "read_claim"} <= set(KEYS)
    for gateway in PROVIDERS:
        cases = {fixture(path).case for path in FILES if path.parent.name == gateway}
        assert cases >= {"open", "ask", "prove", "check", "authenticate", "read_claim"}, gateway


@pytest.mark.parametrize("gateway", PROVIDERS)
def test_every_row_of_a_status_table_has_a_fixture(gateway: str) -> None:
    answers = [fixture(path).outcome for path in of_case("ask") if path.parent.name == gateway]
    answers += [outcome["then"] for outcome in answers if "then" in outcome]
    shown = {(outcome.get("word"), outcome.get("status")) for outcome in answers}
    table = sys.modules[PROVIDERS[gateway].__module__].STATUSES
    assert {(word, status.value) for word, status in table.items()} <= shown


@each("ask")
def test_a_paid_answer_carries_what_is_declared_and_a_status_that_is_known(path: Path) -> None:
    outcome, always = fixture(path).outcome, provider(path).capabilities.always
    if outcome.get("status") in ("completed", "refunded") and "misfit" not in path.stem:
        assert always <= set(outcome)


@pytest.mark.parametrize("gateway", PROVIDERS)
def test_a_gateway_is_frozen_and_shows_no_secret(gateway: str) -> None:
    path = next(path for path in FILES if path.parent.name == gateway)
    made = provider(path)
    assert made.name == gateway
    with pytest.raises(AttributeError):
        made.base_url = "https://elsewhere.example"
    secrets = list(secrets_in(read_json(bytes(fixture(path).config))))
    assert secrets
    assert not any(secret in repr(made) for secret in secrets)


def secrets_in(config: dict[str, Any], *, all_of: bool = False) -> Iterator[str]:
    for key, value in config.items():
        if isinstance(value, dict):
            yield from secrets_in(value, all_of=key in ("headers", "secrets"))
        elif all_of or any(word in key for word in ("key", "secret", "password")):
            yield value


TROUBLES = {
    "silence": (None, Trouble.NO_REPLY),
    "500": (http(500, b'{"message": "sorry"}'), Trouble.SERVER_ERROR),
    "503 with a page": (http(503, b"<html>maintenance</html>"), Trouble.SERVER_ERROR),
    "429": (http(429, b"{}", **{"retry-after": "7"}), Trouble.RATE_LIMITED),
    "401": (http(401, b'{"message": "Invalid API key"}'), Trouble.KEY_REFUSED),
    "403": (http(403, b"<html>blocked</html>"), Trouble.KEY_REFUSED),
    "a page": (http(200, b"\n<!doctype html><p>Paid!", **{"content-type": "text/html"}), Trouble.UNREADABLE),
    "a page of 404": (http(404, b"<html>nothing here</html>"), Trouble.UNREADABLE),
    "nothing": (http(200, b""), Trouble.UNREADABLE),
    "a list": (http(200, b"[]"), Trouble.UNREADABLE),
    "no UTF-8": (http(200, b'{"status": "\xff"}'), Trouble.UNREADABLE),
    "a key twice": (http(200, b'{"status": "a", "status": "b"}'), Trouble.UNREADABLE),
    "an empty object": (http(200, b"{}"), Trouble.UNREADABLE),
    "elsewhere": (http(302, b"", location="https://elsewhere.example"), Trouble.UNREADABLE),
}
# Users take one of these for the "not found" of a gateway: an object without its fields, a list, any 404.
QUIET = ("an empty object", "no UTF-8", "a key twice", "a list", "a page of 404")


def different_calls() -> list[Path]:
    """One fixture for each call of a gateway: under the same reply, fixtures with the same call end the same."""
    calls = {
        (path.parent.name, bytes(case.config), repr(case.open), repr(case.ask)): path
        for path in of_case("open", "ask")
        if (case := fixture(path)).ask is None or case.ask.question.kind is QuestionKind.STATUS
    }
    return sorted(calls.values())


@pytest.mark.parametrize("gateway", PROVIDERS)
def test_trouble_proves_no_credentials_and_opens_nothing(gateway: str) -> None:
    for path in [path for path in of_case("prove", "ask") if path.parent.name == gateway]:
        for trouble, (reply, wanted) in TROUBLES.items():
            proof, sent = constant(prove_credentials(provider(path)), reply)
            if gateway == "eps" and trouble == "a page of 404":
                continue  # the granted token is the proof, and EPS knows nobody's payment
            assert not isinstance(proof, Proof) or proof.verdict == "unknown", trouble
            if sent and wanted is Trouble.KEY_REFUSED:
                assert isinstance(proof, Inconclusive)
                assert proof.trouble is wanted


@pytest.mark.parametrize("path", different_calls(), ids=name)
def test_trouble_is_never_an_answer(path: Path) -> None:
    for trouble, (reply, wanted) in TROUBLES.items():
        outcome, sent = constant(begun(fixture(path), provider(path)), reply)
        assert isinstance(outcome, Inconclusive), trouble
        if sent:  # a gateway that cannot be asked asks nothing and says so
            quiet = outcome.trouble is Trouble.UNDOCUMENTED and trouble in QUIET
            assert outcome.trouble is wanted or quiet, trouble
            assert outcome.retry_after == (7 if trouble == "429" else None)


def constant(running: Any, reply: HttpReply | None) -> tuple[object, int]:
    """Run with the same reply to every request. Returns the outcome and the number of requests."""
    return driven(running, lambda _: reply)


def driven(running: Any, reply_to: Callable[[int], HttpReply | None]) -> tuple[object, int]:
    """Run with the reply to the first, second, … request, None for silence.

    Returns the outcome and the number of requests.
    """
    sent = 0
    try:
        effect = next(running)
        while True:
            if isinstance(effect, TokenWanted):
                effect = running.send("token")
                continue
            assert sent < 8, "it asks on and on"
            reply, sent = reply_to(sent), sent + 1
            effect = running.throw(NoReply()) if reply is None else running.send(reply)
    except StopIteration as stop:
        return stop.value, sent


# -- noise -------------------------------------------------------------------------------------------------------------

modest = settings(max_examples=100, deadline=None, database=None, suppress_health_check=list(HealthCheck))

STATUSES = st.sampled_from([200, 200, 200, 201, 204, 302, 400, 401, 404, 409, 422, 429, 500])
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-5, 2**70)
    | st.floats()  # NaN and Infinity too: json writes them, but no reader may accept them
    | st.text(max_size=12)
    | st.sampled_from(
        ["", "0.00", "1500.50", "1e999", "১২", "1_000", "PAID", "x" * 201, "a\nb", "\x00", "\ud800", "https://"]
    )
)
JSON = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
CUT = object()


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every part of a JSON value, the whole included."""
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, item in parts for place in places(item, (*path, key)))]


def changed(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """The value with the part at `path` replaced, or cut out."""
    if not path:
        return {} if new is CUT else new
    copy = value.copy()
    if len(path) == 1 and new is CUT:
        del copy[path[0]]
    else:
        copy[path[0]] = changed(value[path[0]], path[1:], new)
    return copy


@st.composite
def nearly_documented(draw: st.DrawFn, gateway: str) -> tuple[Path, list[HttpReply]]:
    """A fixture with an exchange, and its replies with one part of one of them changed."""
    path = draw(st.sampled_from([path for path in of_case("open", "ask") if path.parent.name == gateway]))
    replies = [step.reply.reply() for step in fixture(path).exchange or () if step.reply is not None]
    replies = replies or [http(200, b"{}")]
    at = draw(st.integers(0, len(replies) - 1))
    try:
        body = json.loads(replies[at].body)
    except ValueError:
        body = {}
    new = changed(body, draw(st.sampled_from(places(body))), draw(JSON | st.just(CUT)))
    status = draw(st.just(replies[at].status) | STATUSES)
    return path, [*replies[:at], http(status, json.dumps(new).encode()), *replies[at + 1 :]]


def assert_sound(path: Path, outcome: object) -> None:
    case = fixture(path)
    assert isinstance(outcome, get_args(OpeningOutcome if case.open is not None else QuestionOutcome))
    for part in (outcome, getattr(outcome, "then", None)):
        assert not isinstance(part, Struct) or all(
            is_sound(key, item) for key, item in msgspec.structs.asdict(part).items()
        )


def is_sound(key: str, value: object) -> bool:
    """Text that a log and Postgres can hold, and money in two decimals; a gateway's fee may have more."""
    if isinstance(value, Decimal):
        return value.is_finite() and value >= 0 and (key == "fee" or value.as_tuple().exponent == -2)
    return not isinstance(value, str) or (value.isprintable() and (len(value) <= 200 or key == "checkout_url"))


@pytest.mark.parametrize("gateway", PROVIDERS)
def test_any_reply_ends_in_an_outcome(gateway: str) -> None:
    paths = [path for path in of_case("open", "ask") if path.parent.name == gateway]

    @modest
    @given(
        st.sampled_from(paths), STATUSES, st.binary(max_size=30) | JSON.map(lambda value: json.dumps(value).encode())
    )
    def holds(path: Path, status: int, body: bytes) -> None:
        assert_sound(path, constant(begun(fixture(path), provider(path)), http(status, body))[0])

    holds()


@pytest.mark.parametrize("gateway", PROVIDERS)
def test_a_documented_reply_with_one_part_changed_ends_in_an_outcome(gateway: str) -> None:
    @modest
    @given(nearly_documented(gateway))
    def holds(near: tuple[Path, list[HttpReply]]) -> None:
        path, replies = near
        outcome, _ = driven(begun(fixture(path), provider(path)), lambda sent: replies[min(sent, len(replies) - 1)])
        assert_sound(path, outcome)

    holds()


DIGITS = st.text("0123456789abcdefABCDEF", min_size=64, max_size=64)
STAMPS = st.sampled_from([str(int(NOON.timestamp())), "0", "-1", "9" * 12, "9" * 13, "১২", "", "1e3", "\udcff"])
HEADERS = (
    st.tuples(STAMPS, DIGITS).map(lambda pair: f"t={pair[0]},v1={pair[1]}")
    | DIGITS.map(lambda digits: f"sha256={digits}")
    | STAMPS
    | st.text(max_size=20)
    | st.sampled_from(["t=,v1=", "v1", "t=1,t=2,v1=", "sha256=", "sha256=é", ",,,", "t=1779012600,v1=\udcff"])
)


@pytest.mark.parametrize("gateway", PROVIDERS)
def test_any_callback_is_judged_and_read_and_a_random_signature_is_never_signed(gateway: str) -> None:
    paths = [path for path in of_case("authenticate", "read_claim") if path.parent.name == gateway]
    given_ones = [fixture(path).authenticate or fixture(path).read_claim for path in paths]
    names = sorted({name for one in given_ones for name in one.headers}) or ["x-signature"]
    fields = sorted({key for one in given_ones for key, _ in one.query}) or ["status"]
    bodies = st.sampled_from([one.body.encode() for one in given_ones]) | st.binary(max_size=40)
    bodies |= JSON.map(lambda value: json.dumps({"payload": value, "data": value, "status": value}).encode())
    made = provider(paths[0])

    @modest
    @given(
        st.sampled_from([Source.WEBHOOK, Source.RETURN, Source.IPN]),
        st.lists(st.tuples(st.sampled_from(fields), st.text(max_size=20) | st.just("\udcff")), max_size=4),
        st.lists(st.tuples(st.sampled_from(names), HEADERS), max_size=4),
        bodies,
    )
    def holds(source: Source, query: list[tuple[str, str]], headers: list[tuple[str, str]], body: bytes) -> None:
        callback = Callback(
            source=source,
            account="shop",
            method="POST",
            query=tuple(query),
            headers=tuple(headers),
            body=body,
            received_at=NOON,
        )
        reserved = made.authenticate(callback)
        if isinstance(reserved, CertificateWanted):
            reserved = reserved.check(body)
        assert isinstance(reserved, Unsigned | Forged)
        assert source is not Source.WEBHOOK or isinstance(reserved, Forged)
        try:
            reading = made.read_claim(callback)
        except Unreadable:
            return
        assert isinstance(reading, CallbackContent)
        assert all(is_sound(key, value) for key, value in msgspec.structs.asdict(reading).items())

    holds()
