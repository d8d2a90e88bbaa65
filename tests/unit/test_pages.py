"""The pages that buyers see: small, readable in light and dark, escaped, and as strict as their policy says."""

from __future__ import annotations

import asyncio
import base64
import re
import unicodedata
from hashlib import sha256
from html.parser import HTMLParser

import pytest
from aiohttp.test_utils import make_mocked_request

from schemas.words import Status
from worker.ingress.pages import HEADERS, buyer_page, page_html
from worker.ingress.pages.again import Again
from worker.ingress.pages.language import preferred
from worker.ingress.pages.page_words import LANGUAGES
from worker.ingress.polling import seconds_to_wait, since
from worker.ingress.waiters import MAX_WAITERS, PaymentWaiters
from worker.palette import DARK, LIGHT, PAIRS

NAMES = sorted(LANGUAGES["en"].pages)
MARKUP = "</title><script>alert(1)</script>\"'&"
AGAIN = Again(path="/return/shop-ipay/pay_1/wait?since=1&lang=bn", seconds=3)
every_page = pytest.mark.parametrize("name", NAMES)
every_language = pytest.mark.parametrize("language", sorted(LANGUAGES))


class Tags(HTMLParser):
    """Every tag with its attributes, in order; a tag closed out of order is refused."""

    VOID = frozenset({"meta", "link"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, str] = {}
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts[self._open[-1]] = self.texts.get(self._open[-1], "") + data

    def count(self, tag: str) -> int:
        return sum(seen == tag for seen, _ in self.seen)


def full(language: str, name: str) -> str:
    """A page with everything that it may show, and markup wherever a stranger's text stands."""
    link = "https://shop.example/thanks?a=1&b=" + "x" * 200
    return page_html(
        language, name, shop=MARKUP, shop_link=link, reference=MARKUP, again=AGAIN, own_path="/return/x/y/wait?since=1"
    ).decode()


@every_language
@every_page
def test_a_page_has_one_heading_one_main_and_one_status_and_says_the_outcome_first(language: str, name: str) -> None:
    tags, words = Tags(full(language, name)), LANGUAGES[language].pages[name]
    assert (tags.count("h1"), tags.count("main"), tags.count("title")) == (1, 1, 1)
    assert tags.texts["title"] == tags.texts["h1"] == words.title
    assert [attributes for _, attributes in tags.seen if attributes.get("role") == "status"] == [{"role": "status"}]
    assert ("html", {"lang": language}) in tags.seen
    assert words.state in full(language, name)
    assert words.next in full(language, name)


@every_language
@every_page
def test_what_strangers_wrote_is_text(language: str, name: str) -> None:
    html = full(language, name)
    assert MARKUP not in html
    assert Tags(html).count("script") == 1
    assert html.count("&lt;/title&gt;&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#x27;&amp;") == 2


@every_language
@every_page
def test_a_page_is_small_and_asks_for_nothing_else(language: str, name: str) -> None:
    html = full(language, name)
    assert len(html.encode()) + sum(len(key) + len(value) + 4 for key, value in HEADERS.items()) < 10_000
    assert not re.search(r"\ssrc=|url\(|@import|\sstyle=|\son[a-z]+=", html)
    assert [attributes["href"] for tag, attributes in Tags(html).seen if tag == "link"] == ["data:,"]


@every_page
def test_the_policy_names_the_very_text_of_style_and_script(name: str) -> None:
    policy = HEADERS["Content-Security-Policy"]
    tags = Tags(full("bn", name))
    for kind in ("style", "script"):
        digest = base64.b64encode(sha256(tags.texts[kind].encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}';" in policy
    assert "unsafe-inline" not in policy


def test_a_page_that_does_not_look_again_has_no_script() -> None:
    html = page_html("en", "completed", shop="A shop").decode()
    assert "<script" not in html
    assert "refresh" not in html


def test_the_refresh_is_for_browsers_without_scripts_alone() -> None:
    html = full("en", "confirming")
    refresh = re.search(r'<noscript><meta http-equiv="refresh" content="3;url=([^"]+)"></noscript>', html)
    assert refresh is not None
    assert refresh.start() < html.index("</head>")
    assert refresh[1] == "/return/shop-ipay/pay_1/wait?since=1&amp;lang=bn"
    assert html.count("http-equiv") == 1


@every_language
def test_every_language_has_every_page_and_every_outcome_has_one(language: str) -> None:
    assert sorted(LANGUAGES[language].pages) == NAMES
    assert {status.value for status in Status} <= set(NAMES)
    for words in LANGUAGES[language].pages.values():
        for text in (words.title, words.state, words.next):
            assert text == unicodedata.normalize("NFC", text)
            assert not re.search(r"[<>&]", text)
            assert text.strip() == text
            assert "।" in text or text == words.title or language == "en"


@every_page
def test_a_page_in_bangla_has_no_english_letter_or_digit(name: str) -> None:
    """Beside the texts of others, which are in `bdi`, and the link to the English page."""
    html = re.sub(r"<(style|script|bdi)>.*?</\1>|<a lang=.en. .*?</a>", "", full("bn", name), flags=re.DOTALL)
    told = re.findall(r' (?:alt|aria-label|data-lost|placeholder|title)="([^"]*)"', html)
    assert told
    words = " ".join([*told, re.sub(r"<[^>]+>", " ", html)])
    assert re.findall(r"[A-Za-z0-9]+", words) == []
    assert "পেমেন্ট" in words


@pytest.mark.parametrize("name", ["confirming", "held", "pending", "noted", "busy", "send_again", "not_found"])
def test_whoever_may_have_paid_is_told_not_to_pay_again(name: str) -> None:
    assert "do not pay again" in LANGUAGES["en"].pages[name].next
    assert "আবার পেমেন্ট করবেন না" in LANGUAGES["bn"].pages[name].next


@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("pair", PAIRS, ids="-on-".join)
def test_what_is_read_stands_out_from_its_ground(palette: dict[str, str], pair: tuple[str, str]) -> None:
    high, low = sorted((luminance(palette[name]) for name in pair), reverse=True)
    assert (high + 0.05) / (low + 0.05) >= 4.5


def luminance(colour: str) -> float:
    """Relative luminance as WCAG 2.2 defines it."""
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize(
    ("asked", "language"),
    [
        ("", "en"),
        ("bn", "bn"),
        ("BN-bd", "bn"),
        ("bn-BD,bn;q=0.9,en-US;q=0.8,en;q=0.7", "bn"),
        ("en;q=0.8, bn ; q=0.9", "bn"),
        ("en-GB,bn;q=0.5", "en"),
        ("en,bn", "en"),
        ("bn,en", "bn"),
        ("fr-FR, bn;q=0.1", "bn"),
        ("bn;q=0, fr", "en"),
        ("en;q=0, *", "bn"),
        ("*", "en"),
        ("bn;q=7, ;;, en", "en"),
        ("bnx", "en"),
    ],
)
def test_the_browsers_own_order_of_languages_is_honoured(asked: str, language: str) -> None:
    assert preferred(asked) == language


@pytest.mark.parametrize(("said", "language"), [("bn", "bn"), ("en", "en"), ("fr", "bn"), (MARKUP[:8], "bn")])
def test_a_chosen_language_wins_over_the_browsers(said: str, language: str) -> None:
    request = make_mocked_request("GET", f"/return/x?lang={said}", headers={"Accept-Language": "bn"})
    answered = buyer_page(request, "not_found", status=404, headers={"Retry-After": "5"})
    assert answered.headers["Content-Language"] == language
    assert answered.headers["Retry-After"] == "5"


@pytest.mark.parametrize(
    ("prefer", "seconds"),
    [
        ("wait=2", 2),
        ("wait=20", 4),
        ("respond-async, wait=3", 3),
        ('WAIT = "3" ; x=1', 3),
        ("wait=0", 0),
        ("wait=-1", 0),
        ("wait=1.5", 0),
        ("wait", 0),
        ("await=3", 0),
        ("", 0),
    ],
)
def test_a_wait_is_as_long_as_preferred_and_no_longer_than_ours(prefer: str, seconds: float) -> None:
    assert seconds_to_wait(make_mocked_request("GET", "/", headers={"Prefer": prefer}), 4.0) == seconds


@pytest.mark.parametrize(
    ("said", "began"), [("100", 100), ("9999", 500), ("", 500), ("-1", 500), ("1e3", 500), ("১", 500)]
)
def test_a_forged_beginning_only_shortens_the_wait(said: str, began: float) -> None:
    assert since(make_mocked_request("GET", f"/?since={said}"), 500.0) == began


async def test_a_payment_is_crowded_by_those_who_wait_for_it_and_by_nobody_else() -> None:
    waiters = PaymentWaiters()
    leave = asyncio.Event()

    async def wait(payment_id: str) -> None:
        with waiters.of(payment_id):
            await leave.wait()

    async with asyncio.TaskGroup() as group:
        for number in range(MAX_WAITERS):
            assert not waiters.full("a")
            group.create_task(wait("a"), name=f"browser {number}")
            await asyncio.sleep(0)
        assert waiters.full("a")
        assert not waiters.full("b")
        leave.set()
    assert not waiters.full("a")
