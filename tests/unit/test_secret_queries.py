"""A password that a gateway takes in a URL: sent as it is, and in no text of the request."""

from __future__ import annotations

from traceback import format_exception

from consumers.account import Account
from consumers.ports.effects import HttpRequest
from consumers.ports.openings import OpeningRefused
from consumers.providers import PROVIDERS, kit
from schemas.answers import Answer, Executed
from schemas.secret import ElsewhereSecret, Secret
from schemas.words import Status

PASSWORD = "pa/ss&wörd=1+?"
ENCODED = "pa%2Fss%26w%C3%B6rd%3D1%2B%3F"


def asked() -> HttpRequest:
    return kit.get("https://gw.example/query", query={"tran_id": "order 1"}, secret={"passwd": Secret(PASSWORD)})


def test_a_secret_of_a_query_is_sent_encoded_after_the_other_parameters() -> None:
    assert asked().reveal_url() == f"https://gw.example/query?tran_id=order+1&passwd={ENCODED}"
    alone = kit.get("https://gw.example/query", secret={"passwd": Secret(PASSWORD)})
    assert alone.reveal_url() == f"https://gw.example/query?passwd={ENCODED}"
    assert kit.get("https://gw.example/query").reveal_url() == "https://gw.example/query"


def test_no_text_of_a_request_shows_a_secret_of_its_query() -> None:
    request = asked()
    error = "".join(format_exception(ValueError(request)))
    for text in (repr(request), str(request), request.url, error, repr(request.secret_query)):
        assert PASSWORD not in text
        assert ENCODED not in text


def test_a_refusal_that_repeats_a_key_is_told_without_it() -> None:
    provider = PROVIDERS["ipay"](base_url="https://gw.example", api_key=Secret(PASSWORD))
    account = Account(id="a", merchant="m", provider=provider)
    refused = account.without_secrets(OpeningRefused(message=f"no such key: {PASSWORD}!"))
    assert refused == OpeningRefused(message="no such key: ***!")


def test_a_secret_that_this_process_was_not_given_hides_nothing() -> None:
    """`consume` has no webhook secrets, and the gateway did not get them from us."""
    provider = PROVIDERS["moneybag"](
        base_url="https://gw.example", api_key=Secret(PASSWORD), webhook_secret=ElsewhereSecret("not given")
    )
    account = Account(id="a", merchant="m", provider=provider)
    said = Answer(status=Status.PENDING, word=f"no such key: {PASSWORD}!")
    assert account.without_secrets(said).word == "no such key: ***!"


def test_a_status_word_that_repeats_a_key_is_kept_without_it() -> None:
    """In the form of a URL too; a store's number of a few digits stays, as it stands in many words."""
    provider = PROVIDERS["aamarpay"](
        base_url="https://gw.example", store_id=Secret("7"), signature_key=Secret(PASSWORD)
    )
    account = Account(id="a", merchant="m", provider=provider)
    said = Answer(status=Status.PENDING, word=f"7: {PASSWORD} in ?k={ENCODED}")
    assert account.without_secrets(said) == Answer(status=Status.PENDING, word="7: *** in ?k=***")
    executed = account.without_secrets(Executed(reply="other", then=said))
    assert isinstance(executed.then, Answer)
    assert executed.then.word == "7: *** in ?k=***"
