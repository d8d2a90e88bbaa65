"""The console over HTTP: who gets in, which role may use which route, and which requests are refused."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web
from msgspec.structs import replace

from consumers.ports.unavailable import DatabaseUnavailable
from schemas.words import OperatorRole
from tests.console_tables import NOBODY, TABLE
from tests.consoles import OPERATORS, PASSWORD, ROLES, Console, Signed, operator, running_console, tokens_in
from tests.integration.shops import CONFIG
from tests.logins import LOGINS, as_user, make_logins
from tests.processes import until
from worker.config import console as config_console
from worker.console.access import COOKIE
from worker.console.console_routes import ROUTES
from worker.console.page_script import REFRESHES, SCRIPT
from worker.console.route_table import Route
from worker.console.visit import form_token
from worker.postgres.console_sessions import end_sessions
from worker.postgres.database import Database, connect
from worker.postgres.pools import READ_SECONDS


@pytest.fixture
async def console(database: Database) -> AsyncIterator[Console]:
    async with running_console(database) as console:
        yield console


def filled(path: str) -> str:
    """The path with something that there is not in its variable parts."""
    return re.sub(r"\{[^}]+\}", "nothing", path)


def test_every_route_is_in_the_table_with_its_roles() -> None:
    assert {(one.method, one.path) for one in ROUTES} == set(TABLE)
    for one in ROUTES:
        allowed = TABLE[one.method, one.path]
        assert (allowed == NOBODY) != isinstance(one, Route), one.path
        if isinstance(one, Route):
            assert {str(role) for role in one.roles} == allowed, one.path
            assert one.method == "POST" or not one.confirms, one.path


async def test_the_application_serves_the_table_alone(console: Console) -> None:
    app: web.Application = console.app
    served = {(route.method, route.resource.canonical) for route in app.router.routes() if route.resource is not None}
    assert served == set(TABLE)


@pytest.mark.parametrize("role", OperatorRole)
async def test_each_role_may_do_what_the_table_says_and_nothing_else(console: Console, role: OperatorRole) -> None:
    for (method, path), allowed in TABLE.items():
        signed = await console.signed_in(ROLES[role])
        ask = signed.get if method == "GET" else signed.post
        answer = await ask(filled(path))
        told = (method, path, answer.status, answer.text[-300:])
        assert answer.status < 500, told
        if allowed and role not in allowed:
            assert answer.status == 403, told
            assert "Your role may not do this" in answer.text, told
        elif allowed:
            assert "Your role may not do this" not in answer.text, told
            assert answer.status != 401, told


async def test_without_a_session_nothing_is_shown_and_nothing_is_done(console: Console) -> None:
    for (method, path), allowed in TABLE.items():
        if allowed == NOBODY:
            continue
        nobody = console.nobody()
        nobody.token = "made-up"
        answer = await (nobody.get(filled(path)) if method == "GET" else nobody.post(filled(path)))
        if method == "GET":
            assert (answer.status, (answer.location or "")[:9]) == (303, "/sign-in?"), path
            assert (await nobody.get(filled(path), Sec_Fetch_Mode="cors")).status == 401, path
        else:
            assert answer.status == 401, path


async def test_a_path_or_a_method_that_is_not_there_is_a_page_in_words(console: Console) -> None:
    signed = await console.signed_in("abida")
    for answer in (await signed.get("/nothing"), await signed.post("/"), await console.nobody().get("/etc/passwd")):
        assert answer.status == 404
        assert "There is no such page" in answer.text


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
    ids=str,
)
async def test_a_change_from_another_site_is_refused(console: Console, headers: dict[str, str]) -> None:
    signed = await console.signed_in("abida")
    assert (await signed.post("/sign-out-everywhere", **headers)).status == 403
    assert (await signed.get("/session")).status == 200, "nothing was changed"
    assert (await console.nobody().post("/sign-in", {"name": "abida", "password": PASSWORD}, **headers)).status == 403


def of_a_form(console: Console, signed: Signed, charset: str = "") -> dict[str, str]:
    """The headers of a form of this operator."""
    kind = f"application/x-www-form-urlencoded{charset}"
    return {"Origin": console.url, "Cookie": f"{COOKIE}={signed.token}", "Content-Type": kind}


@pytest.mark.parametrize("ending", ["signed out", "removed", "role"])
async def test_what_comes_slowly_is_not_done_for_somebody_who_is_out_by_then(console: Console, ending: str) -> None:
    """The head of the request comes while the operator is in, and the form afterwards."""
    signed, form = await console.signed_in("omar"), asyncio.Queue[bytes]()

    async def body() -> AsyncIterator[bytes]:
        while piece := await form.get():
            yield piece

    async def known() -> bool:
        return not await console.database.fetch("SELECT FROM console_sessions WHERE seen_at < now() - interval '2 min'")

    await console.database.execute("UPDATE console_sessions SET seen_at = now() - interval '5 min'")
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http:
        url, headers = f"{console.url}/sign-out-everywhere", of_a_form(console, signed)
        posting = asyncio.create_task(http.post(url, data=body(), headers=headers, allow_redirects=False))
        form.put_nowait(b"token=")
        await until(known, what="the console to know the session")
        match ending:
            case "signed out":
                await end_sessions(console.database, "omar")
            case "removed":
                others = tuple(one for one in OPERATORS if one.name != "omar")
                console.operators.console = config_console.Console(operators=others)
            case "role":
                lower = tuple(
                    replace(one, role=OperatorRole.VIEWER) if one.name == "omar" else one for one in OPERATORS
                )
                console.operators.console = config_console.Console(operators=lower)
        form.put_nowait(form_token(signed.token).encode())
        form.put_nowait(b"")
        async with await posting as answer:
            assert (answer.status, "Sign in" in await answer.text()) == (401, True)
    assert await console.database.fetch("SELECT FROM audit WHERE action = 'operator.signed_out_everywhere'") == []


@pytest.mark.parametrize("path", ["/sign-in", "/find"])
@pytest.mark.parametrize(
    ("charset", "body"),
    [("bogus", b"q=1"), ("zlib", b"q=1"), ("utf-16-le", b"q"), ("raw_unicode_escape", b"q=\\ud800"), ("", b"q=\xff")],
    ids=lambda one: str(one),
)
async def test_a_form_in_another_encoding_is_refused_and_no_fault_of_ours(
    console: Console, path: str, charset: str, body: bytes
) -> None:
    signed = await console.signed_in("omar")
    headers = of_a_form(console, signed, f"; charset={charset}" if charset else "")
    whole = body + b"&token=" + form_token(signed.token).encode()
    async with (
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http,
        http.post(f"{console.url}{path}", data=whole, headers=headers, allow_redirects=False) as answer,
    ):
        assert answer.status in (400, 403)


async def test_a_change_without_its_own_sessions_token_is_refused(console: Console) -> None:
    signed, other = await console.signed_in("abida"), await console.signed_in("abida")
    (others,) = tokens_in((await other.get("/session")).text)
    for token in ("", "0" * 64, others):
        assert (await signed.post("/sign-out-everywhere", {"token": token})).status == 403
    assert (await signed.get("/session")).status == 200
    (own,) = tokens_in((await signed.get("/session")).text)
    assert (await signed.post("/sign-out-everywhere", {"token": own})).status == 303


async def test_a_person_signs_in_and_the_browser_keeps_the_token_from_scripts_and_other_sites(console: Console) -> None:
    signed, answer = await console.by_form("Abida")
    assert (answer.status, answer.location) == (303, "/")
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith(f"{COOKIE}={signed.token}; ")
    assert {"HttpOnly", "Secure", "Path=/", "SameSite=Strict", "Max-Age=43200"} <= set(cookie.split("; "))
    assert "Domain" not in cookie
    page = await signed.get("/")
    assert page.status == 200
    assert "abida" in page.text
    stored = await console.database.fetch("SELECT * FROM console_sessions")
    assert signed.token not in str([dict(row) for row in stored]), "only a hash is stored"


async def test_what_a_browser_is_told_with_every_page(console: Console) -> None:
    signed = await console.signed_in("vera")
    for answer in (await signed.get("/"), await console.nobody().get("/sign-in"), await signed.get("/nothing")):
        assert answer.headers["Cache-Control"] == "no-store"
        policy = answer.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; style-src 'self'; script-src 'self'")
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["X-Frame-Options"] == "DENY"
        assert "Server" not in answer.headers
        assert not re.search(r"""(?:src|href|action)=["'](?:https?:)?//""", answer.text), "all is our own"
        assert not re.search(r"<style|<script(?! src)| style=| on[a-z]+=", answer.text)


@pytest.mark.parametrize("path", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)"])
async def test_signing_in_leads_to_a_page_of_ours(console: Console, path: str) -> None:
    fields = {"name": "abida", "password": PASSWORD, "code": console.code("abida"), "next": path}
    assert (await console.nobody().post("/sign-in", fields)).location == "/"


async def test_a_code_is_accepted_once(console: Console) -> None:
    code = console.code("abida")
    assert (await console.by_form("abida", code=code))[1].status == 303
    assert (await console.by_form("abida", code=code))[1].status == 403


@pytest.mark.parametrize("code", ["", "000000", "12345", "1234567", "abcdef", "১২৩৪৫৬"])
async def test_the_password_alone_is_not_enough(console: Console, code: str) -> None:
    signed, answer = await console.by_form("abida", code=code)
    assert (answer.status, signed.token) == (403, "")


async def test_unknown_names_and_wrong_passwords_get_the_same_answer(console: Console) -> None:
    _, unknown = await console.by_form("nobody", code=console.code("abida"))
    _, wrong = await console.by_form("abida", "a wrong password")
    assert unknown.status == wrong.status == 403
    assert unknown.text == wrong.text


async def test_failures_slow_down_the_name_and_the_right_password_waits_too(console: Console) -> None:
    for _ in range(4):
        assert (await console.by_form("abida", "guessed"))[1].status == 403
    _, answer = await console.by_form("abida")
    assert answer.status == 429
    assert 1 <= int(answer.headers["Retry-After"]) <= 3
    assert "Try again in" in answer.text


async def test_a_session_ends_by_time_and_by_want_of_use(console: Console) -> None:
    for column, kept, over in (("created_at", "11:59", "12:01"), ("seen_at", "00:29", "00:31")):
        signed = await console.signed_in("abida")
        for age, status in ((kept, 200), (over, 303)):
            await console.database.execute(
                f"UPDATE console_sessions SET {column} = clock_timestamp() - interval '{age}'"
            )
            assert (await signed.get("/session")).status == status, (column, age)


async def test_a_page_that_refreshes_itself_keeps_no_session_alive(console: Console) -> None:
    signed = await console.signed_in("abida")
    await console.database.execute("UPDATE console_sessions SET seen_at = clock_timestamp() - interval '29 min'")
    before = await console.database.fetch("SELECT seen_at FROM console_sessions")
    for headers in ({"Sec_Fetch_Mode": "cors"}, {"Payproof_Refresh": "yes"}):
        assert (await signed.get("/", **headers)).status == 200
    assert await console.database.fetch("SELECT seen_at FROM console_sessions") == before
    assert (await signed.get("/", Sec_Fetch_Mode="navigate")).status == 200
    assert await console.database.fetch("SELECT seen_at FROM console_sessions") > before


def test_the_script_says_that_nobody_asked_for_its_requests() -> None:
    """Browsers without fetch metadata say nothing else of it."""
    assert SCRIPT.count("fetch(") == SCRIPT.count(f'const headers = {{ "{REFRESHES}": "yes" }};') == 1


async def test_signing_out_ends_one_session_and_everywhere_ends_all_of_the_person(console: Console) -> None:
    one, two, three = [await console.signed_in("abida") for _ in range(3)]
    other = await console.signed_in("omar")
    assert (await one.post("/sign-out")).status == 303
    one.token = one.token or "gone"
    assert [(await each.get("/session")).status for each in (two, three)] == [200, 200]
    kept = three.token
    assert (await two.post("/sign-out-everywhere")).status == 303
    three.token = kept
    assert (await three.get("/session")).status == 303
    assert (await other.get("/session")).status == 200


async def test_an_operator_who_was_taken_out_or_got_another_password_is_signed_out(console: Console) -> None:
    abida, omar, vera = [await console.signed_in(name) for name in ("abida", "omar", "vera")]
    changed = operator("omar", "viewer")
    changed = config_console.Operator(
        name="omar", role=OperatorRole.OPERATOR, password=OPERATORS[0].password, totp=changed.totp
    )
    rest = [one for one in OPERATORS if one.name not in ("abida", "omar")]
    console.operators.console = config_console.Console(operators=(*rest, changed))
    assert [(await one.get("/")).status for one in (abida, omar, vera)] == [303, 303, 200]


@pytest.mark.parametrize("secrets", [True, False], ids=["with a password", "named by a provider or a proxy"])
async def test_a_session_that_did_not_fit_does_not_come_back_with_the_operators_lines(
    console: Console, secrets: bool
) -> None:
    abida = (
        operator("abida", "approver") if secrets else config_console.Operator(name="abida", role=OperatorRole.VIEWER)
    )
    rest = [one for one in OPERATORS if one.name != "abida"]
    with_her = config_console.Console(operators=(*rest, abida))
    console.operators.console = with_her
    signed = await console.signed_in("abida")
    assert (await signed.get("/session")).status == 200
    await console.database.execute("UPDATE console_sessions SET seen_at = clock_timestamp() - interval '29 min'")
    before = await console.database.fetch("SELECT seen_at FROM console_sessions")
    console.operators.console = config_console.Console(operators=tuple(rest))
    assert (await signed.get("/session")).status == 303
    assert await console.database.fetch("SELECT seen_at FROM console_sessions") == before
    console.operators.console = with_her
    assert (await signed.get("/session")).status == 303


async def test_reading_the_operators_anew_ends_the_sessions_of_who_left_without_a_request(console: Console) -> None:
    abida, omar = await console.signed_in("abida"), await console.signed_in("omar")
    live = "SELECT operator FROM console_sessions WHERE revoked_at IS NULL"
    rest = tuple(one for one in OPERATORS if one.name != "abida")
    console.operators.read_anew(lambda: replace(CONFIG, console=config_console.Console(operators=rest)))

    async def ended() -> bool:
        return [row["operator"] for row in await console.database.fetch(live)] == ["omar"]

    await until(ended, what="the sessions of an operator who left are ended")
    console.operators.read_anew(lambda: replace(CONFIG, console=config_console.Console(operators=OPERATORS)))
    assert (await abida.get("/session")).status == 303
    assert (await omar.get("/session")).status == 200


async def test_another_role_counts_from_the_next_request_on(console: Console) -> None:
    abida = await console.signed_in("abida")
    rest = [one for one in OPERATORS if one.name != "abida"]
    console.operators.console = config_console.Console(operators=(*rest, operator("abida", "viewer")))
    assert "(viewer)" in (await abida.get("/session")).text


async def test_without_operators_nobody_gets_in_and_the_page_says_how_to_add_them(database: Database) -> None:
    async with running_console(database, console=config_console.Console()) as console:
        for path in ("/", "/sign-in"):
            answer = await console.nobody().get(path)
            assert answer.status == 503
            assert "payproof operator" in answer.text
        answer = await console.nobody().post("/sign-in", {"name": "", "password": "", "code": ""})
        assert answer.status in (403, 503)


async def test_an_identity_proxy_is_believed_from_its_own_address_alone(database: Database) -> None:
    for peers, status in ((("127.0.0.1",), 200), (("10.0.0.5",), 303)):
        proxy = config_console.Proxy(header="X-Forwarded-User", peers=peers)
        async with running_console(database, console=config_console.Console(operators=OPERATORS, proxy=proxy)) as one:
            nobody = one.nobody(**{"X-Forwarded-User": "vera"})
            assert (await nobody.get("/session")).status == status, peers
            forged = one.nobody(**{"X-Forwarded-User": "vera", "X-Forwarded-For": "127.0.0.1"})
            assert (await forged.get("/session")).status == status, peers
            stranger = one.nobody(**{"X-Forwarded-User": "stranger"})
            assert (await stranger.get("/session")).status == 303


async def test_a_session_of_another_person_is_not_used_for_whom_the_proxy_names(database: Database) -> None:
    proxy = config_console.Proxy(header="X-Forwarded-User", peers=("127.0.0.1",))
    async with running_console(database, console=config_console.Console(operators=OPERATORS, proxy=proxy)) as console:
        abida = await console.signed_in("abida")
        abida.headers["X-Forwarded-User"] = "vera"
        answer = await abida.get("/session")
        assert "vera" in answer.text
        assert "abida" not in answer.text


async def test_a_form_that_is_too_large_is_refused_in_words(console: Console) -> None:
    answer = await console.nobody().post("/sign-in", {"name": "x" * 300_000, "password": "", "code": ""})
    assert answer.status == 413
    assert "too large" in answer.text


async def test_a_link_from_another_site_is_opened_once_more_from_here(console: Console) -> None:
    """The browser sends a strict cookie only with the second request."""
    answer = await console.nobody().get("/session", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="navigate")
    assert answer.status == 200
    assert "refresh" in answer.text


async def test_both_languages(console: Console) -> None:
    signed = await console.signed_in("vera")
    answer = await signed.get("/session", Accept_Language="bn-BD")
    assert 'lang="bn"' in answer.text
    assert "আপনার সেশন" in answer.text
    answer = await signed.get("/session?lang=en", Accept_Language="bn-BD")
    assert "Your sessions" in answer.text
    assert "__Host-language=en" in answer.headers["Set-Cookie"]


async def test_no_name_password_or_code_is_logged(console: Console, capfd: pytest.CaptureFixture[str]) -> None:
    await console.by_form("abida", "a wrong password")
    await console.by_form("stranger@example.com", "a wrong password")
    out = "".join(capfd.readouterr())
    for never in ("a wrong password", "stranger@example.com", console.code("abida")):
        assert never not in out


async def test_the_databases_group_of_the_console_has_what_its_pages_need_and_signing_in(
    database: Database, dsn: str
) -> None:
    await make_logins(dsn)
    async with connect(as_user(dsn, LOGINS["console"]), size=4) as own, running_console(own) as console:
        nobody = console.nobody()
        fields = {"name": "abida", "password": PASSWORD, "code": console.code("abida"), "next": "/"}
        assert (await nobody.post("/sign-in", fields)).status == 303
        for (method, path), allowed in TABLE.items():
            if method == "GET" and "approver" in allowed and "{" not in path and path != "/confirm":
                page = await nobody.get(path)
                assert page.status == 200, (path, page.text[-300:])
        assert (await nobody.post("/sign-out-everywhere")).status == 303


async def test_a_statement_that_takes_too_long_is_a_page_in_words(database: Database) -> None:
    """The console's own pool ends it, so that its pages hold no connection for long."""
    async with database.reading(writes=True) as own:
        with pytest.raises(DatabaseUnavailable):
            await own.fetch(f"SELECT pg_sleep({READ_SECONDS + 2})")
    async with running_console(database) as console:
        signed = await console.signed_in("vera")
        await database.execute("ALTER TABLE console_sessions RENAME COLUMN seen_at TO gone")
        broken = await signed.get("/session")
    assert broken.status == 500
    assert "The error is in the log" in broken.text
    assert "seen_at" not in broken.text
