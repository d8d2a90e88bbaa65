"""Which row an endpoint of the configuration has, as the configuration changes."""

from __future__ import annotations

from schemas.secret import Secret
from worker.config import Webhook
from worker.config.webhook_endpoints import Endpoint, EndpointRow, endpoint_id, endpoint_of, identified

OLD, NEW = "https://shop.example/old", "https://shop.example/new"


def endpoint(url: str, named: str | None = None, merchant: str = "shop") -> Endpoint:
    return endpoint_of(merchant, Webhook(id=named, url=url, secret=Secret("whsec_")))


class Rows:
    """The rows as `begin_endpoints` leaves them."""

    def __init__(self) -> None:
        self.rows: dict[str, EndpointRow] = {}

    def begin(self, *configured: Endpoint) -> list[str]:
        """Begin with this configuration. Returns the ids of its rows."""
        found = identified(configured, list(self.rows.values()))
        for one in found:
            before = self.rows.get(one.id)
            named = one.configured_id or (before.configured_id if before else None)
            self.rows[one.id] = EndpointRow(id=one.id, merchant=one.merchant, configured_id=named)
        assert len({one.id for one in found}) == len(found), "each has a row of its own"
        return [one.id for one in found]


def test_without_an_id_the_row_is_that_of_every_release_before() -> None:
    assert Rows().begin(endpoint(OLD)) == [endpoint_id("shop", OLD)] == ["wh_f992c4ac43a8"]


def test_with_an_id_another_url_is_the_same_endpoint_and_without_it_is_not() -> None:
    rows = Rows()
    assert rows.begin(endpoint(OLD, "erp")) == rows.begin(endpoint(NEW, "erp"))
    assert rows.begin(endpoint(OLD)) != Rows().begin(endpoint(NEW))


def test_an_endpoint_that_is_given_an_id_keeps_its_row() -> None:
    rows = Rows()
    (row,) = rows.begin(endpoint(OLD))
    assert rows.begin(endpoint(OLD, "erp")) == [row]
    assert rows.begin(endpoint(NEW, "erp")) == [row]
    assert rows.begin(endpoint(OLD)) == [row], "a process with the old configuration finds it too"
    assert rows.begin(endpoint(NEW, "erp")) == [row], "and takes it from nobody"


def test_an_id_that_is_renamed_or_left_out_keeps_its_row_while_the_url_stays() -> None:
    rows = Rows()
    (row,) = rows.begin(endpoint(OLD, "erp"))
    assert rows.begin(endpoint(OLD, "books")) == [row]
    assert rows.begin(endpoint(OLD)) == [row]


def test_an_endpoint_at_a_url_that_another_one_had_before_is_another_endpoint() -> None:
    rows = Rows()
    (moved,) = rows.begin(endpoint(OLD, "erp"))
    assert rows.begin(endpoint(NEW, "erp"), endpoint(OLD))[0] == moved
    both = rows.begin(endpoint(NEW, "erp"), endpoint(OLD))
    assert rows.begin(endpoint(OLD), endpoint(NEW, "erp")) == both[::-1], "whatever their order"
    assert rows.begin(endpoint(OLD)) == both[1:], "also once the other has gone"
    named = rows.begin(endpoint(NEW, "erp"), endpoint(OLD, "crm"))
    assert named[0] == moved
    assert rows.begin(endpoint(OLD, "erp"), endpoint(NEW, "crm")) == named, "two that change places"


def test_merchants_may_use_the_same_id_and_url() -> None:
    rows = Rows()
    first, second = rows.begin(endpoint(OLD, "erp"), endpoint(OLD, "erp", "other"))
    assert rows.begin(endpoint(NEW, "erp"), endpoint(OLD, "erp", "other")) == [first, second]
