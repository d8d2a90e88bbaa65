"""The console of a filled shop as a person's browser sees it: the pages by name, and a browser without a face."""

from __future__ import annotations

import base64
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta

import aiohttp
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP
from msgspec import Struct

from tests.bench.million import ENDPOINT, LONG, OLD_AMOUNT, PHONE, RUN, STEP_SECONDS, payment_id
from tests.consoles import PASSWORD, password_hash, totp_key
from worker.console.access import COOKIE

PEOPLE = 20
KEY = "bench-key-that-is-of-no-worth"
SECONDS, TRIES = 60.0, 3
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Taken(Struct, frozen=True):
    """An answer: its status, its bytes, and the seconds until its end, or of a file until its first bytes."""

    status: int
    bytes: int
    seconds: float


def person(number: int) -> str:
    """`one` sees one merchant of two, the others all."""
    return "one" if number == 0 else f"person{number}"


def operators_toml() -> str:
    """`[console]` with the people; nobody decides alone."""
    tables = ['[console]\nsecond_person_from = "0.00"\n']
    for name in ("one", "anis", *(person(number) for number in range(1, PEOPLE + 1))):
        totp = base64.b32encode(totp_key(name)).decode()
        role = "viewer" if name == "one" else "approver"
        tables.append(
            f'[[console.operators]]\nname = "{name}"\nrole = "{role}"\npassword = \'{password_hash(name)}\'\n'
            f'totp = "{totp}"\n' + ('merchants = ["small"]\n' if name == "one" else "")
        )
    return "\n".join(tables)


def pages_of(payments: int, newest: datetime) -> dict[str, str]:
    """Every page by its name, for a person of all merchants."""
    n = payments // 2
    at = newest - timedelta(seconds=STEP_SECONDS * (payments - n))
    day, cursor = f"{at:%Y-%m-%d}", f"{(at - _EPOCH) // timedelta(microseconds=1)}.{payment_id(n)}"
    month, today = f"{newest - timedelta(days=30):%Y-%m-%d}", f"{newest:%Y-%m-%d}"
    finding = {
        "payment id": payment_id(n),
        "event id": f"{payment_id(n)}.1",
        "reference, another case": f"ORDER-{n}-a1",
        "order": f"Order-{n}",
        "session": f"s-{n}",
        "transaction": f"tx{n - 1}",
        "phone": PHONE,
        "nothing": "nothing of this name",
        "endpoint": "shop",
        "run": RUN,
    }
    lists = {f"/payments, {name}": f"/payments?{query}" for name, query in filters(payments, day, month, today).items()}
    return {
        "Now": "/",
        **{f"Find, {name}": f"/find?q={typed.replace(' ', '+')}" for name, typed in finding.items()},
        "/payments": "/payments",
        "/payments, a deep page": f"/payments?after={cursor}",
        "/payments, failed, a deep page": f"/payments?status=failed&after={cursor}",
        **lists,
        "/payments.csv, a day: its first bytes": f"/payments.csv?from={day}&to={day}",
        "a payment": f"/payments/{payment_id(n)}",
        "a payment, held": f"/payments/{payment_id(_held(n))}",
        "a payment, 50,000 entries": f"/payments/{payment_id(payments - LONG)}",
        "Held": "/held",
        "Held, one reason": "/held?reason=duplicate_for_order",
        "Held, a payment": f"/held/{payment_id(_held(n))}",
        "Approvals": "/approvals",
        "Approvals, one": f"/approvals/prop_{_held(payments):024d}",
        "Gateways": "/gateways",
        "Endpoints": "/endpoints",
        "an endpoint, 100,000 deliveries": f"/endpoints/{ENDPOINT}",
        "an endpoint, waiting": f"/endpoints/{ENDPOINT}?state=waiting",
        "an endpoint, given up": f"/endpoints/{ENDPOINT}?state=given_up",
        "a delivery": f"/endpoints/{ENDPOINT}/deliveries/{payment_id(payments - 7)}.1",
        "Events": "/events",
        "Events, a deep page": f"/events?merchant=shop&before={n}",
        "Events, one type": "/events?type=payment.opened",
        "Events, a type without events": "/events?type=payment.refunded",
        "an event": f"/events/{payment_id(n)}.1",
        "Dead letters": "/dead-letters",
        "Statements": "/statements",
        "a run, 100,000 rows": f"/statements/runs/{RUN}",
        "Audit": "/audit",
        "Audit, a deep page": "/audit?before=50000",
        "Audit, a payment": f"/audit?payment={payment_id(payments - 9)}",
        "Settings": "/settings",
    }


def filters(payments: int, day: str, month: str, today: str) -> dict[str, str]:
    """Queries of the list by name, as its form makes them: each filter alone, and the usual pairs."""
    n = payments // 2
    alone = {name: f"status={name}" for name in ("completed", "failed", "expired", "cancelled", "refunded", "pending")}
    return {
        **alone,
        "held": "hold=any",
        "not held": "hold=none",
        "one reason": "hold=duplicate_for_order",
        "another reason (none)": "hold=unexpected",
        "an account": "account=shop-ipay",
        "an account, 1 in 10": "account=shop-one",
        "a rare account": "account=shop-rare",
        "a day": f"from={day}&to={day}",
        "a month": f"from={month}",
        "today": f"from={today}",
        "until a month ago": f"to={month}",
        "an amount": "amount_min=4321&amount_max=4321",
        "a small amount": "amount_max=100",
        "an amount of the oldest alone": f"amount_min={OLD_AMOUNT}",
        "an amount that none has": "amount_min=99999",
        "reference": f"reference=Order-{n}-A1",
        "order": f"order=Order-{n}",
        "transaction": f"transaction_id=TX{n - 1}",
        "session": f"session_id=S-{n}",
        "q": f"q=ORDER-{n}-a1",
        "q (none)": "q=nothing",
        "completed, not held, today": f"status=completed&hold=none&from={today}",
        "failed, a week": f"status=failed&from={today}",
        "completed, held": "status=completed&hold=any",
        "failed, held (none)": "status=failed&hold=any",
        "pending, held (none)": "status=pending&hold=any",
        "refunded, an account": "status=refunded&account=shop-one",
        "completed, a rare account": "status=completed&account=shop-rare",
        "failed, a rare account": "status=failed&account=shop-rare",
        "failed, a rare amount": f"status=failed&amount_min={OLD_AMOUNT}",
        "an account, a month": f"account=shop-one&from={month}",
    }


def _held(n: int) -> int:
    """The newest held payment up to the n-th."""
    return n - (n - 9) % 1000


class Browser:
    """A person who is signed in. It follows no redirect but those of Find, which are counted with it."""

    def __init__(self, http: aiohttp.ClientSession, url: str, headers: Mapping[str, str]) -> None:
        self._http, self._url, self._headers = http, url, headers

    async def take(self, path: str) -> Taken:
        """The page. A connection that the listener has cut is made again, as a browser does; status 0: in vain."""
        began = time.perf_counter()
        for _ in range(TRIES):
            with suppress(aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, TimeoutError):
                return await self._take(path, began)
        return Taken(0, 0, time.perf_counter() - began)

    async def _take(self, path: str, began: float) -> Taken:
        size, first = 0, 0.0
        while True:
            async with self._http.get(f"{self._url}{path}", headers=self._headers, allow_redirects=False) as answer:
                async for piece in answer.content.iter_any():
                    first = first or time.perf_counter()
                    size += len(piece)
                onward = answer.headers.get("Location")
                if answer.status != 303 or onward is None:
                    ended = first if answer.content_type == "text/csv" else time.perf_counter()
                    return Taken(answer.status, size, ended - began)
                path = onward


@asynccontextmanager
async def http_session() -> AsyncIterator[aiohttp.ClientSession]:
    connector, timeout = aiohttp.TCPConnector(limit=0), aiohttp.ClientTimeout(total=SECONDS)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as http:
        yield http


async def sign_in(http: aiohttp.ClientSession, url: str, name: str) -> str:
    """The token of a new session, begun by the form. Raises AssertionError."""
    code = TOTP(totp_key(name), 6, SHA1(), 30, enforce_key_length=False).generate(int(time.time())).decode()
    form = {"name": name, "password": PASSWORD, "code": code, "next": "/"}
    headers = {"Origin": url, "Sec-Fetch-Site": "same-origin"}
    async with http.post(f"{url}/sign-in", data=form, headers=headers, allow_redirects=False) as answer:
        assert answer.status == 303, (answer.status, await answer.text())
        return answer.cookies[COOKIE].value


async def browser(http: aiohttp.ClientSession, url: str, name: str) -> Browser:
    return Browser(http, url, {"Cookie": f"{COOKIE}={await sign_in(http, url, name)}"})


def shop(http: aiohttp.ClientSession, url: str) -> Browser:
    """The shop's own program, which reads the API."""
    return Browser(http, url, {"Authorization": f"Bearer {KEY}"})
