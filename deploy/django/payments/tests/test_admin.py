"""What staff may do."""

from django.contrib.auth.models import User
from django.test import TestCase

from payments.models import Order, UnmatchedPayment
from payments.paying import take
from payments.tests.stand_in import ordered, payment

SENT = {"total": "1500.50", "sent_at_0": "2026-11-30", "sent_at_1": "20:00:00"}


class AdminTest(TestCase):
    def setUp(self):
        self.client.force_login(User.objects.create_superuser("staff"))

    def saved(self, order, **fields):
        """The order after staff saved the page that they had opened."""
        inline = {"attempts-TOTAL_FORMS": "0", "attempts-INITIAL_FORMS": "0"}
        self.answered = self.client.post(f"/admin/payments/order/{order.pk}/change/", inline | SENT | fields)
        order.refresh_from_db()
        return order

    def test_a_parcel_that_is_stopped_does_not_leave(self):
        order = ordered("held")
        take(payment("held"))
        take(payment("held", version=3, hold="contradiction"))
        order = self.saved(order, state="paid")
        assert (order.state, order.sent_at) == ("held", None)
        self.assertContains(self.answered, "The parcel is stopped: the order is held.")

    def test_a_parcel_leaves_once(self):
        order = ordered("sent")
        take(payment("sent"))
        sent_at = self.saved(order).sent_at
        assert sent_at is not None
        for later in ({"sent_at_0": "2026-12-01"}, {"sent_at_0": "", "sent_at_1": ""}):
            assert self.saved(order, **later).sent_at == sent_at
        take(payment("sent", version=3, status="refunded"))
        assert self.saved(order, sent_at_0="", sent_at_1="").sent_at == sent_at

    def test_state_and_name_are_not_written(self):
        order = self.saved(ordered("named"), state="paid", name="other", sent_at_0="", sent_at_1="")
        assert (order.state, order.name) == ("open", "named")

    def test_a_total_that_rose_above_the_payment_stops_the_parcel(self):
        order = ordered("risen")
        take(payment("risen"))
        assert self.saved(order, total="1600.00", sent_at_0="", sent_at_1="").state == "held"

    def test_a_parcel_leaves_by_the_total_that_is_saved_with_it(self):
        order = ordered("both")
        take(payment("both"))
        order = self.saved(order, total="1600.00")
        assert (order.state, order.sent_at, str(order.total)) == ("paid", None, "1500.50")
        self.assertContains(self.answered, "The parcel is stopped: the order is held.")
        self.saved(order, total="1600.00", sent_at_0="", sent_at_1="")
        assert order.state == "held"
        order = self.saved(order, total="1400.00")
        assert order.state == "paid"
        assert order.sent_at is not None

    def test_an_order_with_attempts_is_not_deleted(self):
        order = ordered("kept")
        self.client.post(f"/admin/payments/order/{order.pk}/delete/", {"post": "yes"})
        self.client.post(
            "/admin/payments/order/", {"action": "delete_selected", "_selected_action": [order.pk], "post": "yes"}
        )
        assert Order.objects.filter(pk=order.pk).exists()

    def test_an_order_is_added_and_unmatched_payments_are_read(self):
        inline = {"attempts-TOTAL_FORMS": "0", "attempts-INITIAL_FORMS": "0"}
        self.client.post("/admin/payments/order/add/", inline | {"name": "new", "total": "99.00"})
        assert Order.objects.get(name="new").state == "open"
        twice = self.client.post("/admin/payments/order/add/", inline | {"name": "new", "total": "99.00"})
        self.assertContains(twice, "already exists")
        UnmatchedPayment.objects.create(payment_id="pay_1", payment=payment("gone"))
        self.assertContains(self.client.get("/admin/payments/unmatchedpayment/"), "1500.50 BDT")

    def test_its_pages_have_their_styles(self):
        assert self.client.get("/static/admin/css/base.css").status_code == 200
