"""Find, Payments and Payment over HTTP: of the operator's merchants alone, with money and evidence as they are."""

from __future__ import annotations

import csv
import html
import io
import re
from collections.abc import AsyncIterator
from decimal import Decimal
from functools import partial
from typing import Any
from urllib.parse import quote, unquote_plus, urlencode

import aiohttp
import pytest
from msgspec.structs import replace

from consumers.ports.unavailable import DatabaseUnavailable
from schemas.callbacks import Callback, Claim
from schemas.secret import Secret
from schemas.words import Authenticity, Source, Status
from tests.consoles import PASSWORD, Console, running_console
from tests.integration.shops import CONFIG, Shops, serving
from worker.config.shapes import Archive, Contacts
from worker.postgres.database import Database
from worker.postgres.ledger.postgres_ledger import PostgresLedger
from worker.postgres.reads.reading import Page, read_page, read_part
from worker.runtime.contacts import normalised
from worker.runtime.encryption import ArchiveCipher, key_of, new_archive_key

ARCHIVE_KEY, CONTACTS_KEY = new_archive_key(), new_archive_key()
WITH_KEYS = replace(
    CONFIG, archive=Archive(keys=(Secret(ARCHIVE_KEY),)), contacts=Contacts(keys=(Secret(CONTACTS_KEY),))
)
PHONE = "01712345678"


@pytest.fixture
async def keyed(database: Database) -> AsyncIterator[Shops]:
    ledger = PostgresLedger(database, ArchiveCipher([key_of(ARCHIVE_KEY)]), contacts=WITH_KEYS.contacts.hashing)
    async with serving(database, ledger=ledger) as shops:
        yield shops


@pytest.fixture
async def console(database: Database) -> AsyncIterator[Console]:
    async with running_console(database, config=WITH_KEYS) as console:
        yield console


async def some(shops: Shops) -> list[dict[str, Any]]:
    """A completed payment, a held payment, and two attempts of an order."""
    done = await shops.opened(reference="Done-1", amount="100.00", customer={"phone": PHONE})
    held = await shops.opened(reference="held-1", amount="200.00")
    order = [await shops.opened(reference=f"try-{n}", order="Saris") for n in (1, 2)]
    await shops.answered(done, Status.COMPLETED)
    await shops.answered(held, Status.COMPLETED, amount=Decimal("1.00"))
    return [done, held, *order]


async def test_one_hit_is_opened_and_several_are_listed(keyed: Shops, console: Console) -> None:
    done, _, first, second = await some(keyed)
    vera = await console.signed_in("vera")
    for typed in ("DONE-1", done["payment_id"].upper(), "s-1", f"{done['payment_id']}.1"):
        answer = await vera.get(f"/find?q={quote(typed)}")
        assert (answer.status, answer.location) == (303, f"/payments/{done['payment_id']}"), typed
        answer = await vera.post("/find", {"q": typed})
        assert (answer.status, answer.location) == (303, f"/find?{urlencode({'q': typed})}"), "an id has a link"
    several = await vera.get("/find?q=saris")
    assert several.status == 200
    assert first["payment_id"] in several.text
    assert second["payment_id"] in several.text
    nothing = await vera.get("/find?q=%3Cscript%3E")
    assert "Nothing has the id &lt;script&gt;." in nothing.text
    assert (await vera.get("/find")).status == 200


@pytest.mark.parametrize("typed", [PHONE, f"+88{PHONE}", "+44 20 7946 0000", "Rahim@Example.com", "১৭১২৩৪৫৬৭৮"])
async def test_a_buyers_number_or_address_stands_in_no_address(keyed: Shops, console: Console, typed: str) -> None:
    done, *_ = await some(keyed)
    vera = await console.signed_in("vera")
    answer = await vera.post("/find", {"q": typed})
    if normalised(typed) == normalised(PHONE):
        assert (answer.status, answer.location) == (303, f"/payments/{done['payment_id']}")
    else:
        assert (answer.status, answer.location) == (200, None), "nothing was found, and the same answer says so"
    for path in ("/find", "/payments"):
        answer = await vera.get(f"{path}?{urlencode({'q': typed})}")
        assert answer.status == 422
        assert f'value="{typed}"' in answer.text, "the form is filled; a person sends it"
        for address in re.findall(r'(?:href|action)="([^"]*)"', answer.text):
            assert typed not in unquote_plus(html.unescape(address)), address
        answer = await console.nobody().get(f"{path}?{urlencode({'q': typed})}")
        assert answer.location == f"/sign-in?next={quote(path, safe='')}"


async def test_the_number_of_an_order_has_a_link_though_it_is_of_digits(keyed: Shops, console: Console) -> None:
    payment = await keyed.opened(reference="100234")
    vera = await console.signed_in("vera")
    answer = await vera.get("/find?q=100234")
    assert answer.location == f"/payments/{payment['payment_id']}"
    answer = await vera.post("/find", {"q": "100234"})
    assert answer.location == f"/payments/{payment['payment_id']}", "it might be a number, so it is answered at once"


async def test_a_search_needs_the_token_of_its_session(keyed: Shops, console: Console) -> None:
    vera = await console.signed_in("vera")
    assert (await vera.post("/find", {"q": PHONE, "token": ""})).status == 403


async def test_without_a_key_find_says_that_it_finds_no_buyer(keyed: Shops, database: Database) -> None:
    await some(keyed)
    async with running_console(database) as console:
        answer = await (await console.signed_in("vera")).post("/find", {"q": PHONE})
    assert "[contacts] keys are not set" in answer.text


async def test_an_operator_of_one_merchant_sees_nothing_of_another(keyed: Shops, console: Console) -> None:
    done, *_ = await some(keyed)
    theirs = await console.signed_in("onlyother")
    for typed in ("Done-1", done["payment_id"], PHONE):
        answer = await theirs.post("/find", {"q": typed})
        answer = answer if answer.location is None else await theirs.get(answer.location)
        assert "Nothing has the id" in answer.text
    for path in ("", "/callback"):
        assert (await theirs.get(f"/payments/{done['payment_id']}{path}")).status in (403, 404)
    for path in ("/verify", "/notes"):
        assert (await theirs.post(f"/payments/{done['payment_id']}{path}", {"note": "hello"})).status == 404
    assert (await theirs.get("/payments?merchant=shop")).status == 404
    assert (await theirs.get("/payments.csv?merchant=shop")).status == 404
    assert "Done-1" not in (await theirs.get("/payments")).text


async def test_the_filters_of_the_api_are_a_form_and_csv_is_exactly_that_list(keyed: Shops, console: Console) -> None:
    await some(keyed)
    vera = await console.signed_in("vera")
    everything = await vera.get("/payments?merchant=shop")
    assert "4 payments: 1 completed for BDT 100.00, 0 failed." in everything.text
    assert "Amount 1.00, expected 200.00" in everything.text
    for query, found in {
        "status=completed": ["Done-1"],
        "hold=any": ["held-1"],
        "order=Saris": ["try-2", "try-1"],
        "q=saris&status=pending": ["try-2", "try-1"],
        "session_id=S-1": ["Done-1"],
        "amount_min=150&amount_max=250": ["held-1"],
        "from=2020-01-01&to=2020-01-02": [],
    }.items():
        page = await vera.get(f"/payments?merchant=shop&{query}")
        assert page.status == 200
        assert [name for name in ("try-2", "try-1", "held-1", "Done-1") if f">{name}<" in page.text] == found, query
        text = (await vera.get(f"/payments.csv?merchant=shop&{query}")).text.removeprefix("\ufeff")
        assert [row["reference"] for row in csv.DictReader(io.StringIO(text))] == found
    wrong = await vera.get("/payments?merchant=shop&amount_min=much")
    assert wrong.status == 422
    assert 'id="amount_min-wrong"' in wrong.text


async def test_a_day_of_the_form_is_a_day_in_dhaka_with_its_end(keyed: Shops, console: Console) -> None:
    done, *_ = await some(keyed)
    await keyed.database.execute(
        "UPDATE payments SET opened_at = '2026-05-01T18:30Z' WHERE id = $1", done["payment_id"]
    )
    vera = await console.signed_in("vera")
    for query, there in {"from=2026-05-02&to=2026-05-02": True, "from=2026-05-01&to=2026-05-01": False}.items():
        assert (">Done-1<" in (await vera.get(f"/payments?merchant=shop&{query}")).text) == there


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"))))


async def test_a_csv_is_the_whole_list_and_says_where_it_is_cut(
    keyed: Shops, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.console.pages.payments_csv.AT_ONCE", 1)
    await some(keyed)
    vera = await console.signed_in("vera")
    whole = await vera.get("/payments.csv?merchant=shop")
    assert whole.headers["Content-Disposition"] == 'attachment; filename="payments.csv"'
    assert [row["reference"] for row in rows_of(whole.text)] == ["try-2", "try-1", "held-1", "Done-1"]
    monkeypatch.setattr("worker.console.pages.payments_csv.MOST_EXPORTED", 3)
    *rows, last = rows_of((await vera.get("/payments.csv?merchant=shop")).text)
    assert [row["reference"] for row in rows] == ["try-2", "try-1", "held-1"]
    words = last["payment_id"]
    assert words.startswith("This list is cut after 3 payments. It goes on at http://")
    rest = words.partition(console.url)[2]
    assert [row["reference"] for row in rows_of((await vera.get(rest)).text)] == ["Done-1"]
    monkeypatch.setattr("worker.console.pages.payments_csv.EXPORT_SECONDS", -1.0)
    assert len(rows_of((await vera.get("/payments.csv?merchant=shop")).text)) == 2


async def test_a_csv_whose_database_goes_away_does_not_end_as_if_it_were_whole(
    keyed: Shops, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.console.pages.payments_csv.AT_ONCE", 1)
    await some(keyed)
    vera = await console.signed_in("vera")
    reads = 0

    async def failing(*given: Any, **more: Any) -> Page:
        nonlocal reads
        if (reads := reads + 1) > 2:
            raise DatabaseUnavailable("gone")
        return await read_part(*given, **more)

    monkeypatch.setattr("worker.console.pages.payments_csv.read_part", failing)
    with pytest.raises(aiohttp.ClientError):
        await vera.get("/payments.csv?merchant=shop")
    reads = 2
    assert (await vera.get("/payments.csv?merchant=shop")).status == 503


async def test_a_short_page_says_from_when_on_nothing_was_looked_at(
    keyed: Shops, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    await some(keyed)
    monkeypatch.setattr("worker.console.pages.payments_page.read_page", partial(read_page, most_seen=2, most_summed=2))
    vera = await console.signed_in("vera")
    page = await vera.get("/payments?merchant=shop&amount_max=100")
    assert "None of those matches these filters." in page.text
    assert "payments were looked at for this page" in page.text
    assert "0 match" in page.text
    [link] = [part.partition('"')[0] for part in page.text.split('href="') if "after=" in part.partition('"')[0]]
    assert ">Look at older payments<" in page.text
    assert ">Done-1<" in (await vera.get(link.replace("&amp;", "&"))).text


async def test_pages_go_on_where_the_page_before_ended(
    keyed: Shops, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.console.pages.payments_page.PAGE", 2)
    await some(keyed)
    vera = await console.signed_in("vera")
    first = await vera.get("/payments?merchant=shop&status=&hold=")
    (link,) = [part.partition('"')[0] for part in first.text.split('href="') if "after=" in part.partition('"')[0]]
    second = await vera.get(link.replace("&amp;", "&"))
    assert [name for name in ("try-2", "try-1", "held-1", "Done-1") if f">{name}<" in first.text] == ["try-2", "try-1"]
    assert [name for name in ("try-2", "try-1", "held-1", "Done-1") if f">{name}<" in second.text] == [
        "held-1",
        "Done-1",
    ]
    assert (await vera.get("/payments?after=rubbish")).status == 200


async def test_a_payment_is_told_with_its_evidence_and_its_other_attempts(keyed: Shops, console: Console) -> None:
    _, held, first, second = await some(keyed)
    vera = await console.signed_in("vera")
    page = (await vera.get(f"/payments/{held['payment_id']}")).text
    for words in ("Does the shop know?", "Why it is held", "another amount", "≠", "1.00", "200.00", "Timeline"):
        assert words in page, words
    assert "BDT 200.00" in page
    assert second["payment_id"] in (await vera.get(f"/payments/{first['payment_id']}")).text
    for path in ("/payments/pay_" + "0" * 26, "/payments/rubbish", "/payments/%00"):
        assert (await vera.get(path)).status == 404


async def test_a_note_is_in_the_audit_trail_and_the_gateway_is_asked(keyed: Shops, console: Console) -> None:
    done, *_ = await some(keyed)
    path = f"/payments/{done['payment_id']}"
    omar = await console.signed_in("omar")
    assert (await omar.post(f"{path}/notes", {"note": "The buyer <called>."})).location == path
    page = (await omar.get(path)).text
    assert "The buyer &lt;called&gt;." in page
    for note in ("", " ", "x" * 501, "two\nlines"):
        assert (await omar.post(f"{path}/notes", {"note": note})).status == 422
    assert (await omar.post(f"{path}/verify")).location == path
    assert [one["payment_id"] for one in await keyed.queued()] == [done["payment_id"]]
    rows = await console.database.fetch("SELECT actor, via, action, merchant, payment_id FROM audit ORDER BY id")
    told = [tuple(row) for row in rows if row["payment_id"]]
    who = ("omar", "console")
    assert told == [(*who, act, "shop", done["payment_id"]) for act in ("payment.noted", "payment.verified")]
    vera = await console.signed_in("vera")
    assert (await vera.post(f"{path}/notes", {"note": "no"})).status == 403


async def test_only_an_auditor_who_confirms_sees_a_callback_and_it_is_recorded(keyed: Shops, console: Console) -> None:
    done, other, *_ = await some(keyed)
    callback = Callback(
        source=Source.RETURN,
        account="shop-one",
        method="POST",
        query=(("phone", PHONE),),
        headers=(("user-agent", "<b>browser</b>"),),
        body=b"name=Karim",
        received_at=keyed.database.clock.now(),
    )
    claim = Claim(
        id="c1",
        account="shop-one",
        provider="onepaybd",
        source=Source.RETURN,
        authenticity=Authenticity.UNSIGNED,
        received_at=callback.received_at,
        payment_id=done["payment_id"],
        callback=callback,
    )
    await keyed.api.ledger.set_aside([claim])
    await keyed.database.execute("UPDATE claims SET payment_id = $1 WHERE id = 'c1'", done["payment_id"])
    path = f"/payments/{done['payment_id']}/callback"
    for name in ("vera", "omar", "abida"):
        assert (await (await console.signed_in(name)).post(path, {"claim": "c1", "confirm": PASSWORD})).status == 403
    aziz = await console.signed_in("aziz")
    asked = await aziz.get(f"{path}?claim=c1")
    assert asked.status == 200
    assert PHONE not in asked.text
    assert (await aziz.post(path, {"claim": "c1", "confirm": "wrong"})).status == 403
    assert await console.database.fetch("SELECT FROM audit WHERE action = 'callback.revealed'") == []
    shown = await aziz.post(path, {"claim": "c1", "confirm": PASSWORD})
    for words in (PHONE, "name=Karim", "&lt;b&gt;browser&lt;/b&gt;"):
        assert words in shown.text
    (row,) = await console.database.fetch("SELECT actor, subject FROM audit WHERE action = 'callback.revealed'")
    assert tuple(row) == ("aziz", "c1")
    for claim_id in ("c2", "", "%00"):
        assert (await aziz.get(f"{path}?claim={claim_id}")).status == 404
    elsewhere = f"/payments/{other['payment_id']}/callback"
    assert (await aziz.post(elsewhere, {"claim": "c1", "confirm": PASSWORD})).status == 404
