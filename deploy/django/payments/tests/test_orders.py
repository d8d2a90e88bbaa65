"""What an order becomes of its payments."""

from decimal import Decimal

from django.core import mail

from payments.models import Order
from payments.paying import checkout, take
from payments.tests.stand_in import PayproofTest, listed, ordered, payment


class OrderTest(PayproofTest):
    def state(self, name):
        return Order.objects.get(name=name).state

    def test_a_total_that_was_lowered_after_the_payment_stops_nothing(self):
        ordered("lowered")
        take(payment("lowered"))
        Order.objects.filter(name="lowered").update(total=Decimal("1400.00"))
        take(payment("lowered", version=3, refunded_amount="100.50"))
        assert self.state("lowered") == "paid"

    def test_a_total_that_rose_is_not_paid(self):
        ordered("risen")
        Order.objects.filter(name="risen").update(total=Decimal("1600.00"))
        take(payment("risen"))
        assert self.state("risen") == "held"

    def test_another_amount_or_currency_than_was_asked_waits_for_a_person(self):
        for name, more in (("less", {"amount": "1.00"}), ("more", {"amount": "2000.00"}), ("usd", {"currency": "USD"})):
            ordered(name)
            take(payment(name, **more))
            assert self.state(name) == "held", name

    def test_a_payment_of_another_order_or_account_pays_nothing(self):
        ordered("mine")
        for more in ({"order": "yours"}, {"account": "shop-ipay"}, {"reference": "MINE-1"}):
            with self.settings(PAYPROOF_ACCOUNT="shop-bkash"):
                take(payment("mine", **more))
            assert self.state("mine") == "open", more

    def test_a_parcel_that_left_stays_the_only_one_and_new_money_for_it_is_told(self):
        may_leave = Order.objects.filter(state="paid", sent_at=None)
        refund, again = {"version": 3, "status": "refunded"}, {"number": 2}
        for number, later in enumerate(((refund, again), (again, refund))):
            order = ordered(f"anew-{number}", attempts=2)
            take(payment(order.name))
            assert may_leave.update(sent_at="2026-01-31T12:00:00Z") == 1
            with self.assertLogs("payments", "ERROR") as logged:
                for more in later:
                    take(payment(order.name, **more))
                    take(payment(order.name, **more))
            assert self.state(order.name) == "paid"
            assert not may_leave.filter(pk=order.pk).exists()
            assert len(logged.output) == len(mail.outbox) == 1, later
            assert f"{order.name}-2" in mail.outbox.pop().body

    def test_an_order_whose_parcel_left_takes_no_payment(self):
        order = ordered("left")
        take(payment("left"))
        Order.objects.update(sent_at="2026-01-31T12:00:00Z")
        take(payment("left", version=3, status="refunded"))
        self.answers("GET", "order=left", listed())
        assert checkout("left", {}) is None
        assert order.attempts.count() == 1
        assert not mail.outbox
        for page in ("", "thanks/"):
            self.assertNotContains(self.client.get(f"/orders/left/{page}"), "<button")
