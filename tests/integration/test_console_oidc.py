"""Signing in at an OpenID Connect provider, and confirming there: what proves a person, and all that does not."""

from __future__ import annotations

import asyncio
import gzip
import math
import time
from functools import partial
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from aiohttp import web

from schemas.words import OperatorRole
from tests import oidc_console
from tests.consoles import PASSWORD, Answer, Console, Signed, operator, running_console
from tests.integration.shops import CONFIG
from tests.oidc_provider import (
    CLIENT,
    CLIENT_SECRET,
    LONGER_THAN_ANY_BOUND,
    Browser,
    Forge,
    TestProvider,
    by_foreign_key,
    by_key_of_the_token,
    by_public_key,
    changed_afterwards,
    ec,
    not_a_token,
    provider_running,
    rsa,
    unsigned,
)
from worker.config import console as config_console
from worker.console import identity_provider
from worker.console.access import COOKIE
from worker.console.oidc_doctor import provider_findings
from worker.console.oidc_flow import CONFIRMED_COOKIE, FLOW_COOKIE
from worker.postgres.database import Database


def without_secrets(name: str, role: OperatorRole) -> config_console.Operator:
    return config_console.Operator(name=name, role=role)


OPERATORS = (
    without_secrets("Abida@shop.example", OperatorRole.APPROVER),
    without_secrets("omar@shop.example", OperatorRole.OPERATOR),
    without_secrets("karim@shop.example", OperatorRole.APPROVER),
    without_secrets("s-Abida", OperatorRole.VIEWER),
    without_secrets("s-abida-2", OperatorRole.VIEWER),
    operator("anis", "approver"),
)
provider, console = oidc_console.provider, oidc_console.console_of(OPERATORS)
ACT = "/held/nothing"
"""A route that confirms. There is no such payment, so an operator who confirmed is told that."""


def refused(answer: Answer, words: str, status: int = 403) -> None:
    assert answer.status == status, answer.text[-1000:]
    assert words in answer.text, answer.text[-1000:]
    assert f"{COOKIE}=" not in answer.headers.get("Set-Cookie", "")


def from_now(value: object) -> object:
    """A number other than 0 as so many seconds from now, so that the names of the tests stay the same."""
    return int(time.time()) + value if isinstance(value, int) and not isinstance(value, bool) and value else value


PROVES_NOTHING = "does not prove who you are"
NO_ANSWER = "gave no answer that can be used"
NOT_ASKED = "did not ask for that answer"


async def test_a_person_of_the_file_signs_in_and_goes_on_to_the_page(console: Console, provider: TestProvider) -> None:
    browser = Browser(console.url)
    page = await browser.get("/session")
    assert page.location == "/sign-in?next=%2Fsession"
    page = await browser.get("/sign-in?next=/session")
    assert "Sign in at localhost" in page.text
    address = await browser.begin()
    assert address.startswith(f"{provider.url}/authorize?")
    query = dict(parse_qsl(urlsplit(address).query))
    assert query["redirect_uri"] == f"{console.url}/sign-in/oidc/callback"
    assert query["scope"] == "openid email"
    assert "prompt" not in query
    assert browser.cookies.keys() == {FLOW_COOKIE}
    assert browser.cookies[FLOW_COOKIE].split(".")[0] not in address
    answer = await browser.get(provider.answer_to(address), from_provider=True)
    assert (answer.status, answer.location) == (303, "/session")
    assert answer.headers["Cache-Control"] == "no-store"
    assert browser.cookies.keys() == {COOKIE}
    session = await browser.get("/session")
    assert "Abida@shop.example" in session.text, "as the file writes it"
    assert (await browser.post("/sign-out")).status == 303
    assert (await browser.get("/session")).status == 303


@pytest.mark.parametrize(("alg", "key"), [("RS256", rsa("rsa-1")), ("PS256", rsa("rsa-1")), ("ES256", ec("ec-1"))])
async def test_each_usual_signature(console: Console, provider: TestProvider, alg: str, key: Any) -> None:
    provider.alg, provider.key = alg, key
    assert (await Browser(console.url).sign_in(provider)).status == 303


async def test_the_client_names_itself_as_the_provider_wants(console: Console, provider: TestProvider) -> None:
    provider.discovery["token_endpoint_auth_methods_supported"] = ["client_secret_post", "client_secret_basic"]
    assert (await Browser(console.url).sign_in(provider)).status == 303


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"nonce": "another"}, "nonce"),
        ({"nonce": None}, "nonce"),
        ({"iss": "https://evil.example"}, "iss"),
        ({"iss": None}, "iss"),
        ({"aud": "another-client"}, "aud"),
        ({"aud": ["another-client"]}, "aud"),
        ({"aud": None}, "aud"),
        ({"aud": [CLIENT, "another-client"]}, "azp"),
        ({"azp": "another-client"}, "azp"),
        ({"exp": -3600}, "expired"),
        ({"exp": None}, "exp"),
        ({"exp": "9999999999"}, "exp"),
        ({"iat": 3600}, "iat"),
        ({"iat": -3600}, "too old"),
        ({"iat": None}, "iat"),
        ({"nbf": 3600}, "nbf"),
        ({"sub": None}, "sub"),
        ({"auth_time": "now"}, "invalid_claim"),
    ],
    ids=str,
)
async def test_a_claim_that_is_not_ours_proves_nothing(
    console: Console, provider: TestProvider, claims: dict[str, Any], reason: str, capfd: pytest.CaptureFixture[str]
) -> None:
    provider.claims = {name: from_now(value) for name, value in claims.items()}
    refused(await Browser(console.url).sign_in(provider), PROVES_NOTHING)
    (line,) = [one for one in capfd.readouterr().out.splitlines() if "operator.refused" in one]
    assert reason in line


async def test_the_right_audience_among_others_with_the_authorized_party(
    console: Console, provider: TestProvider
) -> None:
    provider.claims = {"aud": [CLIENT, "another-client"], "azp": CLIENT}
    assert (await Browser(console.url).sign_in(provider)).status == 303


@pytest.mark.parametrize(
    "forge", [unsigned, by_public_key, by_foreign_key, by_key_of_the_token, changed_afterwards, not_a_token]
)
async def test_a_signature_that_is_not_the_providers_proves_nothing(
    console: Console, provider: TestProvider, forge: Forge
) -> None:
    provider.forge = forge
    refused(await Browser(console.url).sign_in(provider), PROVES_NOTHING)


async def test_new_keys_are_fetched_when_a_token_names_one_and_not_for_every_stranger(
    console: Console, provider: TestProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await Browser(console.url).sign_in(provider)).status == 303
    provider.key = rsa("rsa-2")
    provider.keys = [provider.key]
    refused(await Browser(console.url).sign_in(provider), PROVES_NOTHING)
    assert provider.calls["/keys"] == 1, "the keys are as new as they may be asked for"
    monkeypatch.setattr(identity_provider, "ANEW_SECONDS", -1.0)
    assert (await Browser(console.url).sign_in(provider)).status == 303
    assert provider.calls["/keys"] == 2
    monkeypatch.undo()
    provider.key = rsa("unknown")
    for _ in range(3):
        refused(await Browser(console.url).sign_in(provider), PROVES_NOTHING)
    assert provider.calls["/keys"] == 2
    provider.key = provider.keys[0]
    assert provider.calls["/.well-known/openid-configuration"] == 1
    monkeypatch.setattr(identity_provider, "KEPT_SECONDS", -1.0)
    assert (await Browser(console.url).sign_in(provider)).status == 303
    assert provider.calls["/.well-known/openid-configuration"] > 1


@pytest.mark.parametrize("how", ["silent", "trickles", "huge", "compressed", "elsewhere", "broken", "500", "no json"])
async def test_a_provider_that_gives_no_usable_answer_is_a_page_in_words(
    console: Console, provider: TestProvider, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(identity_provider, "SECONDS", 0.5)
    monkeypatch.setattr(identity_provider, "FAILED_SECONDS", 0.0)
    provider.answers["/reached"] = lambda _: web.json_response({})
    for path in ("/.well-known/openid-configuration", "/keys", "/token"):
        provider.answers[path] = partial(useless, how)
        browser = Browser(console.url)
        answer = await browser.get("/sign-in/oidc?next=/session")
        if answer.status == 303:
            answer = await browser.get(provider.answer_to(answer.location or ""), from_provider=True)
        refused(answer, NO_ANSWER, 503)
        assert "Begin again" in answer.text
        del provider.answers[path]
    assert not provider.calls["/reached"]
    assert (await console.by_form("anis"))[1].status == 303, "who has a password signs in all the same"


async def useless(how: str, request: web.Request) -> web.StreamResponse:
    match how:
        case "silent":
            await asyncio.sleep(20)
        case "trickles":
            slow = web.StreamResponse()
            await slow.prepare(request)
            for _ in range(100):
                await slow.write(b" ")
                await asyncio.sleep(0.1)
        case "huge":
            return web.json_response({"keys": [], "rest": "x" * LONGER_THAN_ANY_BOUND})
        case "compressed":
            return web.Response(body=gzip.compress(b'{"keys": []}'), headers={"Content-Encoding": "gzip"})
        case "elsewhere":
            raise web.HTTPFound("/reached")
        case "broken":
            assert request.transport is not None
            request.transport.close()
        case "500":
            return web.json_response({}, status=500)
    return web.Response(text="<html>")


async def test_a_provider_that_is_away_is_not_asked_again_by_everybody(
    console: Console, provider: TestProvider
) -> None:
    provider.answers["/.well-known/openid-configuration"] = lambda _: web.json_response({}, status=500)
    for _ in range(5):
        refused(await Browser(console.url).get("/sign-in/oidc"), NO_ANSWER, 503)
    assert provider.calls["/.well-known/openid-configuration"] == 1


@pytest.mark.parametrize(
    "discovery",
    [
        {"issuer": "https://another.example"},
        {"token_endpoint": "http://192.0.2.1/token"},
        {"jwks_uri": "file:///etc/passwd"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"token_endpoint": None},
    ],
    ids=str,
)
async def test_a_discovery_document_that_leads_elsewhere_is_refused(
    console: Console, provider: TestProvider, discovery: dict[str, Any]
) -> None:
    provider.discovery = discovery
    refused(await Browser(console.url).get("/sign-in/oidc"), NO_ANSWER, 503)


async def test_an_answer_names_its_issuer_where_the_provider_says_so(console: Console, provider: TestProvider) -> None:
    provider.discovery["authorization_response_iss_parameter_supported"] = True
    for said in ("", "&iss=https%3A%2F%2Fevil.example"):
        browser = Browser(console.url)
        refused(await browser.get(provider.answer_to(await browser.begin()) + said, from_provider=True), PROVES_NOTHING)
    browser = Browser(console.url)
    answer = await browser.get(f"{provider.answer_to(await browser.begin())}&iss={provider.url}", from_provider=True)
    assert answer.status == 303


async def test_a_code_and_its_state_count_once(console: Console, provider: TestProvider) -> None:
    browser = Browser(console.url)
    back = provider.answer_to(await browser.begin())
    kept = dict(browser.cookies)
    assert (await browser.get(back, from_provider=True)).status == 303
    refused(await browser.get(back, from_provider=True), NOT_ASKED)
    browser.cookies = kept
    refused(await browser.get(back, from_provider=True), PROVES_NOTHING)


async def test_the_answer_to_another_browser_is_refused(console: Console, provider: TestProvider) -> None:
    one, other = Browser(console.url), Browser(console.url)
    first, second = provider.answer_to(await one.begin()), provider.answer_to(await other.begin())
    refused(await other.get(first, from_provider=True), NOT_ASKED)
    refused(await Browser(console.url).get(first, from_provider=True), NOT_ASKED)
    code = dict(parse_qsl(urlsplit(first).query))["code"]
    state = dict(parse_qsl(urlsplit(second).query))["state"]
    mixed = f"/sign-in/oidc/callback?code={code.replace('/', '%2F')}&state={state}"
    refused(await other.get(mixed, from_provider=True), PROVES_NOTHING)


async def test_a_stolen_code_is_refused_by_the_nonce_where_the_provider_looks_at_no_verifier(
    console: Console, provider: TestProvider, capfd: pytest.CaptureFixture[str]
) -> None:
    provider.checks_pkce = False
    one, other = Browser(console.url), Browser(console.url)
    first, second = provider.answer_to(await one.begin()), provider.answer_to(await other.begin())
    code = dict(parse_qsl(urlsplit(first).query))["code"]
    state = dict(parse_qsl(urlsplit(second).query))["state"]
    mixed = f"/sign-in/oidc/callback?code={code.replace('/', '%2F')}&state={state}"
    refused(await other.get(mixed, from_provider=True), PROVES_NOTHING)
    assert "nonce" in capfd.readouterr().out


@pytest.mark.parametrize("query", ["", "?code=x", "?state=x", "?code=x&state=", "?error=access_denied&state=x"])
async def test_a_made_up_answer_is_refused(console: Console, query: str) -> None:
    browser = Browser(console.url)
    await browser.begin()
    for one in (browser, Browser(console.url)):
        refused(await one.get(f"/sign-in/oidc/callback{query}", from_provider=True), NOT_ASKED)


@pytest.mark.parametrize("cookie", ["", ".", "x", "x.%%%", "x.aHR0cHM6Ly9ldmlsLmV4YW1wbGU=", "x.Ly9ldmls"])
async def test_a_made_up_cookie_is_refused(console: Console, cookie: str) -> None:
    browser = Browser(console.url)
    browser.cookies[FLOW_COOKIE] = cookie
    refused(await browser.get("/sign-in/oidc/callback?code=x&state=x", from_provider=True), NOT_ASKED)


async def test_a_person_who_gives_up_at_the_provider_is_told_so(
    console: Console, provider: TestProvider, capfd: pytest.CaptureFixture[str]
) -> None:
    browser = Browser(console.url)
    state = dict(parse_qsl(urlsplit(await browser.begin()).query))["state"]
    for error in ("access_denied", "secret%20words"):
        if error != "access_denied":
            state = dict(parse_qsl(urlsplit(await browser.begin()).query))["state"]
        answer = await browser.get(f"/sign-in/oidc/callback?error={error}&state={state}", from_provider=True)
        refused(answer, "did not sign you in")
    out = capfd.readouterr().out
    assert "access_denied" in out
    assert "secret words" not in out


async def test_a_person_who_is_not_in_the_file_is_told_so_by_name(
    console: Console, provider: TestProvider, capfd: pytest.CaptureFixture[str]
) -> None:
    provider.person["email"] = "stranger<b>@shop.example"
    answer = await Browser(console.url).sign_in(provider)
    refused(answer, "no operator of this console has that name")
    assert "stranger&lt;b&gt;@shop.example" in answer.text
    assert "stranger" not in capfd.readouterr().out


@pytest.mark.parametrize("verified", [False, None, "true", 1])
async def test_an_address_that_the_provider_has_not_verified_is_nobodys(
    console: Console, provider: TestProvider, verified: object
) -> None:
    provider.claims = {"email_verified": verified}
    refused(await Browser(console.url).sign_in(provider), "must be verified there")


@pytest.mark.parametrize(
    "name", ["anis", "ＡBIDA@shop.example", "\u212aarim@shop.example", "", ["abida@shop.example"], 5]
)
async def test_no_other_name_passes_for_an_operators(console: Console, provider: TestProvider, name: Any) -> None:
    """`anis` is an operator, so a provider that verifies such an `email` does name him: the file says who he is."""
    provider.person["email"] = name
    answer = await Browser(console.url).sign_in(provider)
    assert answer.status == (303 if name == "anis" else 403)


async def test_the_claim_that_is_configured_names_the_operator(database: Database, provider: TestProvider) -> None:
    for claim, status in (("sub", 303), ("preferred_username", 403)):
        settings = config_console.Console(operators=OPERATORS, oidc=provider.oidc(claim))  # type: ignore[arg-type]
        async with running_console(database, console=settings) as console:
            assert (await Browser(console.url).sign_in(provider)).status == status
            provider.person["sub"] = "S-ABIDA"
            assert (await Browser(console.url).sign_in(provider)).status == 403, "the case of a `sub` counts"
            provider.person["sub"] = "s-Abida"


async def test_failures_slow_down_the_address_and_a_success_forgets_them(
    console: Console, provider: TestProvider
) -> None:
    provider.claims = {"nonce": "another"}
    for _ in range(4):
        refused(await Browser(console.url).sign_in(provider), PROVES_NOTHING)
    calls = provider.calls["/token"]
    refused(await Browser(console.url).sign_in(provider), "Too many failed attempts", 429)
    assert provider.calls["/token"] == calls, "the provider is not asked"


async def test_no_token_code_state_or_secret_is_logged(
    console: Console, provider: TestProvider, capfd: pytest.CaptureFixture[str]
) -> None:
    tokens = []

    def forge(one: TestProvider, claims: dict[str, Any]) -> str:
        tokens.append(by_foreign_key(one, claims))
        return tokens[-1]

    browsers = [Browser(console.url) for _ in range(3)]
    backs = [provider.answer_to(await one.begin()) for one in browsers]
    secrets = [one.cookies[FLOW_COOKIE].split(".")[0] for one in browsers]
    assert (await browsers[0].get(backs[0], from_provider=True)).status == 303
    provider.forge = forge
    refused(await browsers[1].get(backs[1], from_provider=True), PROVES_NOTHING)
    provider.grants.clear()
    refused(await browsers[2].get(backs[2], from_provider=True), PROVES_NOTHING)
    queries = [dict(parse_qsl(urlsplit(one).query)) for one in backs]
    said = [value for query in queries for value in query.values()]
    out = "".join(capfd.readouterr())
    assert out.count("operator.refused") == 2
    for never in (
        *said,
        *tokens,
        *secrets,
        CLIENT_SECRET,
        "an-access-token",
        "secret words",
        browsers[0].cookies[COOKIE],
    ):
        assert never not in out


async def test_the_password_stays_a_way_in_for_those_who_have_one(console: Console, provider: TestProvider) -> None:
    assert 'name="password"' in (await Browser(console.url).get("/sign-in")).text
    _, answer = await console.by_form("anis")
    assert answer.status == 303
    for name in ("Abida@shop.example", "omar@shop.example"):
        nobody = console.nobody()
        for password, code in (("", ""), (PASSWORD, "000000")):
            answer = await nobody.post("/sign-in", {"name": name, "password": password, "code": code})
            assert answer.status in (403, 429)
    nobody_has = config_console.Console(operators=OPERATORS[:2], oidc=provider.oidc())
    console.operators.console = nobody_has
    page = (await Browser(console.url).get("/sign-in")).text
    assert 'name="password"' not in page
    assert "Sign in at localhost" in page


async def test_without_a_provider_its_pages_are_not_there(console: Console) -> None:
    signed = await console.signed_in("anis")
    console.operators.console = config_console.Console(operators=OPERATORS)
    for path in ("/sign-in/oidc", "/sign-in/oidc/callback?code=x&state=y", "/confirm?act=/held/x"):
        assert (await signed.get(path)).status == 404
    assert "Sign in at" not in (await console.nobody().get("/sign-in")).text


async def test_another_provider_counts_from_the_next_sign_in_on(console: Console, provider: TestProvider) -> None:
    assert (await Browser(console.url).sign_in(provider)).status == 303
    async with provider_running() as other:
        console.operators.console = config_console.Console(operators=OPERATORS, oidc=other.oidc())
        assert (await Browser(console.url).begin()).startswith(other.url)
        assert (await Browser(console.url).sign_in(other)).status == 303


# -- confirming --------------------------------------------------------------------------------------------------------


async def signed_in(console: Console, provider: TestProvider) -> Browser:
    browser = Browser(console.url)
    assert (await browser.sign_in(provider)).status == 303
    return browser


async def confirmed(browser: Browser, provider: TestProvider, act: str = ACT) -> Answer:
    return await browser.get(provider.answer_to(await browser.begin(f"/confirm?act={act}")), from_provider=True)


def is_done(answer: Answer) -> bool:
    """Whether the act reached its handler, which knows no such payment."""
    assert answer.status in (403, 404, 422), answer.text[-500:]
    return answer.status != 403


async def test_an_act_is_confirmed_by_signing_in_again_once(console: Console, provider: TestProvider) -> None:
    browser = await signed_in(console, provider)
    assert not is_done(await browser.post(ACT)), "the session alone confirms nothing"
    answer = await confirmed(browser, provider)
    assert (provider.asked[-1]["prompt"], provider.asked[-1]["max_age"]) == ("login", "0")
    assert answer.status == 200
    assert "press its button within 5 minutes" in answer.text
    assert browser.cookies.keys() == {COOKIE, CONFIRMED_COOKIE}
    assert CONFIRMED_COOKIE in browser.strict
    assert is_done(await browser.post(ACT))
    assert not is_done(await browser.post(ACT)), "it counts once"


async def test_it_confirms_the_act_that_was_named_and_no_other(console: Console, provider: TestProvider) -> None:
    browser = await signed_in(console, provider)
    await confirmed(browser, provider, "/approvals/prp_1/approve")
    assert not is_done(await browser.post(ACT))


async def test_a_stolen_session_alone_confirms_nothing(console: Console, provider: TestProvider) -> None:
    """Not even while its owner confirms the same act: the proof is in the owner's browser."""
    owner = await signed_in(console, provider)
    thief = Signed(console.url, owner.cookies[COOKIE])
    await confirmed(owner, provider)
    assert not is_done(await thief.post(ACT))
    assert not is_done(await thief.post(ACT, {"confirm": ""}))
    assert is_done(await owner.post(ACT))


async def test_another_session_cannot_use_the_proof(console: Console, provider: TestProvider) -> None:
    owner, other = await signed_in(console, provider), await signed_in(console, provider)
    await confirmed(owner, provider)
    other.cookies[CONFIRMED_COOKIE] = owner.cookies[CONFIRMED_COOKIE]
    assert not is_done(await other.post(ACT))
    assert is_done(await owner.post(ACT))


@pytest.mark.parametrize("auth_time", [None, 0, -600, 3600, True, math.inf, pytest.param(10**400, id="huge")])
async def test_a_sign_in_from_before_confirms_nothing(
    console: Console, provider: TestProvider, auth_time: object
) -> None:
    """A provider that did not ask again, or does not say that it did."""
    browser = await signed_in(console, provider)
    provider.claims = {"auth_time": from_now(auth_time)}
    refused(await confirmed(browser, provider), "did not prove that you signed in just now")
    assert CONFIRMED_COOKIE not in browser.cookies
    assert not is_done(await browser.post(ACT))


async def test_another_person_at_the_provider_confirms_nothing(console: Console, provider: TestProvider) -> None:
    browser = await signed_in(console, provider)
    provider.person["email"] = "omar@shop.example"
    refused(await confirmed(browser, provider), "another person is signed in here")
    assert not is_done(await browser.post(ACT))


async def test_a_sign_in_is_no_confirmation_and_a_confirmation_no_sign_in(
    console: Console, provider: TestProvider
) -> None:
    """Not even for somebody who changes the cookie, in which one of them says that it is the other."""
    browser = await signed_in(console, provider)
    back = provider.answer_to(await browser.begin())
    secret = browser.cookies[FLOW_COOKIE].split(".")[0]
    browser.cookies[FLOW_COOKIE] = f"{secret}."
    refused(await browser.get(back, from_provider=True), NOT_ASKED)
    browser.cookies[CONFIRMED_COOKIE] = secret
    assert not is_done(await browser.post(ACT))
    back = provider.answer_to(await browser.begin(f"/confirm?act={ACT}"))
    secret = browser.cookies[FLOW_COOKIE].split(".")[0]
    browser.cookies[FLOW_COOKIE] = f"{secret}.Lw=="
    assert (await browser.get(back, from_provider=True)).status == 303
    browser.cookies[CONFIRMED_COOKIE] = secret
    assert not is_done(await browser.post(ACT))


@pytest.mark.parametrize(("column", "age"), [("confirmed_at", "5 min 1 s"), ("asked_at", "10 min 1 s")])
async def test_a_confirmation_is_over_after_minutes(
    console: Console, provider: TestProvider, column: str, age: str
) -> None:
    browser = await signed_in(console, provider)
    change = f"UPDATE console_confirmations SET {column} = {column} - interval '{age}'"
    if column == "confirmed_at":
        await confirmed(browser, provider)
        await console.database.execute(change)
    else:
        back = provider.answer_to(await browser.begin(f"/confirm?act={ACT}"))
        await console.database.execute(change)
        refused(await browser.get(back, from_provider=True), NOT_ASKED)
    assert not is_done(await browser.post(ACT))


async def test_a_confirmation_ends_with_its_session(console: Console, provider: TestProvider) -> None:
    browser = await signed_in(console, provider)
    back = provider.answer_to(await browser.begin(f"/confirm?act={ACT}"))
    everywhere = Signed(console.url, browser.cookies[COOKIE])
    assert (await everywhere.post("/sign-out-everywhere")).status == 303
    refused(await browser.get(back, from_provider=True), NOT_ASKED)
    assert (await browser.post(ACT)).status == 401


async def test_a_code_of_the_authenticator_confirms_as_well(console: Console) -> None:
    signed = await console.signed_in("anis")
    assert is_done(await signed.post(ACT, {"confirm": console.code("anis")}))
    assert not is_done(await signed.post(ACT, {"confirm": "000000"}))
    assert not is_done(await signed.post(ACT))


async def test_old_confirmations_are_deleted(console: Console, provider: TestProvider) -> None:
    browser = await signed_in(console, provider)
    await browser.begin("/confirm?act=/held/a")
    await console.database.execute("UPDATE console_confirmations SET asked_at = asked_at - interval '1 hour'")
    await browser.begin("/confirm?act=/held/b")
    rows = await console.database.fetch("SELECT path FROM console_confirmations")
    assert [row["path"] for row in rows] == ["/held/b"]


# -- doctor ------------------------------------------------------------------------------------------------------------


async def test_the_doctor_asks_the_provider(provider: TestProvider) -> None:
    (found,) = await provider_findings(provider.oidc())
    assert found.mark == "ok"
    assert "/sign-in/oidc/callback" in found.words
    provider.discovery = {"issuer": "https://another.example"}
    (found,) = await provider_findings(provider.oidc())
    assert (found.mark, found.subject) == ("no", "console.oidc.issuer")
    assert "another issuer" in found.words
    provider.discovery = {"claims_supported": ["sub"]}
    provider.answers["/keys"] = lambda _: web.json_response({"keys": []})
    (found,) = await provider_findings(provider.oidc())
    assert found.mark == "no"
    assert CONFIG.console.oidc is None
