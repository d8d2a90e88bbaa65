"""What an opening's answers mean."""

from datetime import timedelta

from django.utils import timezone

from payments.client import AwayError, RefusedError
from payments.models import Order
from payments.paying import checkout
from payments.tests.stand_in import PayproofTest, listed, ordered, payment

URL = "https://checkout.example/1"


class OpeningTest(PayproofTest):
    def setUp(self):
        super().setUp()
        self.answers("GET", "/v1/payments", listed())

    def clicks(self, name):
        try:
            return checkout(name, {})
        except (AwayError, RefusedError) as error:
            return type(error)

    def test_the_second_click_repeats_the_first_unless_it_was_refused(self):
        ways = [
            (409, {"Retry-After": "1"}),
            *((status, {}) for status in (429, 500, 502, 503, 504)),
            (422, {}),
            (409, {}),
        ]
        for number, (status, headers) in enumerate(ways):
            order = ordered(f"way-{number}", attempts=0)
            self.answers("POST", "/v1/payments", {"code": "a_word"}, status=status, headers=headers)
            for _ in range(2):
                assert self.clicks(order.name) in (AwayError, RefusedError)
            assert order.attempts.count() == 1 + (number >= 6), (status, headers)

    def test_an_answer_of_another_shape_settles_nothing(self):
        for number, body in enumerate(([1], {"ok": True}, "word", None, {"payments": [1]}, {"payments": 1})):
            order = ordered(f"shape-{number}", attempts=0)
            for status in (200, 422):
                self.answers("POST", "/v1/payments", body, status=status)
                assert self.clicks(order.name) in (AwayError, RefusedError), (status, body)
            self.answers("GET", "/v1/payments", body)
            assert self.clicks(order.name) is AwayError, body
            self.answers("GET", "/v1/payments", listed())

    def test_a_used_reference_is_adopted_only_where_it_is_the_same_request(self):
        other = {"order": "other", "amount": "9.00", "currency": "USD", "account": "shop-ipay", "reference": "other-1"}
        differences = [{}, *({field: value} for field, value in other.items())]
        for number, difference in enumerate(differences):
            name = f"used-{number}"
            order = ordered(name)
            opened = payment(name, version=1, status="pending", checkout_url=URL, expires_at="2030-01-01T00:00:00Z")
            used = {"code": "reference_used", "payment_id": opened["payment_id"]}
            self.answers("POST", "/v1/payments", used, status=409)
            self.answers("GET", f"/v1/payments/{opened['payment_id']}", opened | difference)
            assert self.clicks(name) == (RefusedError if difference else URL), difference
            attempt = order.attempts.get()
            assert (attempt.refused, attempt.payment_id != "") == (bool(difference), not difference)

    def test_no_reference_comes_twice_when_the_database_was_restored(self):
        self.answers("POST", "/v1/payments", {}, status=503)
        references = set()
        for _ in range(2):
            order = ordered("restored", attempts=0)
            self.clicks("restored")
            references.add(order.attempts.get().reference)
            order.attempts.all().delete()
            order.delete()
        assert len(references) == 2

    def test_each_gateway_takes_the_references_of_the_shortest_and_longest_name(self):
        self.answers("POST", "/v1/payments", {}, status=503)
        longest = Order.name.field.max_length
        for name in ("x", "x" * longest):
            order = ordered(name, attempts=0)
            self.clicks(name)
            assert 10 <= len(order.attempts.get().reference) <= 30, "as Moneybag"

    def test_an_open_checkout_is_gone_on_with(self):
        order = ordered("going")
        end = timezone.now() + timedelta(hours=1)
        order.attempts.update(checkout_url=URL, expires_at=end)
        assert self.clicks("going") == URL
