"""Money that no attempt here asked for."""

from django.contrib.auth.models import User
from django.core import mail

from payments.client import AwayError
from payments.models import UnmatchedPayment
from payments.paying import checkout, take
from payments.tests.stand_in import PayproofTest, listed, ordered, payment

LOST = "gone-0123abcd"
NO_MAIL = {"EMAIL_BACKEND": "django.core.mail.backends.smtp.EmailBackend", "EMAIL_HOST": "127.0.0.1", "EMAIL_PORT": 9}


class UnmatchedPaymentTest(PayproofTest):
    def test_it_is_logged_and_mailed_once(self):
        with self.assertLogs("payments", "ERROR") as logged:
            for version in (2, 2, 3):
                take(payment("gone", reference=LOST, version=version))
        assert len(logged.output) == len(mail.outbox) == 1
        assert "1500.50 BDT" in mail.outbox[0].body
        assert mail.outbox[0].to == ["admin@shop.example"]

    def test_without_its_mail_nothing_is_stored_and_the_event_comes_again(self):
        with self.assertLogs("payments", "ERROR"), self.settings(**NO_MAIL), self.assertRaises(OSError):
            take(payment("gone", reference=LOST))
        assert not UnmatchedPayment.objects.exists()

    def test_what_is_no_money_or_another_shops_is_dropped(self):
        take(payment("gone", reference=LOST, status="expired"))
        take(payment("gone", reference=LOST, account="shop-ipay"))
        assert not UnmatchedPayment.objects.exists()

    def test_another_systems_is_at_most_logged(self):
        with self.assertNoLogs("payments", "WARNING"):
            take(payment("INV", reference="2026-20261130"))
            take(payment("gone", order=None, reference=LOST))
            take(payment("gone", order="INV", reference=LOST))
        assert not UnmatchedPayment.objects.exists()
        assert not mail.outbox

    def test_it_is_ours_by_its_orders_name_or_by_its_reference(self):
        ordered("here")
        for number, which in enumerate(
            ({"order": None}, {"order": None, "reference": "here-0123abcd"}, {"reference": "2026-20261130"})
        ):
            with self.assertLogs("payments", "ERROR"):
                take(payment("here", number=number + 1, **which))
        assert UnmatchedPayment.objects.count() == 3

    def test_without_its_mail_the_buyer_reads_that_it_is_not_seen(self):
        ordered("mailed", attempts=0)
        self.answers("GET", "order=mailed", listed(payment("mailed")))
        with self.assertLogs("payments", "ERROR"), self.settings(**NO_MAIL):
            answered = self.client.post("/orders/mailed/pay/")
        self.assertContains(answered, "If you paid, please wait", status_code=502)

    def test_its_order_opens_no_second_payment_until_it_went_back(self):
        """A restored database: the order's name comes again, and Payproof knows it as paid."""
        order = ordered("again", attempts=0)
        lost = payment("again", reference="again-lost")
        self.answers("GET", "order=again", listed(lost))
        with self.assertLogs("payments", "ERROR"):
            assert checkout("again", {}) is None
        order.refresh_from_db()
        assert order.state == "open", "no other payment pays it"
        self.answers("GET", "order=again", listed(lost | {"version": 3, "status": "refunded"}))
        self.answers("POST", "/v1/payments", {}, status=503)
        with self.assertRaises(AwayError):
            checkout("again", {})
        assert order.attempts.count() == 1

    def test_its_order_opens_another_payment_when_staff_decided_until_other_money_comes(self):
        ordered("stuck", attempts=0)
        lost = payment("stuck", reference="stuck-lost", status="pending", hold="unresolved")
        self.answers("GET", "order=stuck", listed(lost))
        self.answers("POST", "/v1/payments", {}, status=503)
        with self.assertLogs("payments", "ERROR"):
            assert checkout("stuck", {}) is None
        for page in ("", "thanks/"):
            self.assertNotContains(self.client.get(f"/orders/stuck/{page}"), "<button")
        self.client.force_login(User.objects.create_superuser("staff"))
        url = f"/admin/payments/unmatchedpayment/{UnmatchedPayment.objects.get().pk}/change/"
        self.client.post(url, {"decided": "on", "payment_id": "other"})
        row = UnmatchedPayment.objects.get()
        assert (row.decided, row.payment_id, row.payment) == (True, lost["payment_id"], lost)
        self.assertContains(self.client.get("/orders/stuck/"), "<button")
        with self.assertRaises(AwayError):
            checkout("stuck", {})
        with self.assertLogs("payments", "ERROR"):
            take(lost | {"version": 3, "status": "completed", "hold": None})
        assert checkout("stuck", {}) is None
        assert len(mail.outbox) == 2

    def test_what_is_held_is_money_too_until_it_is_none(self):
        ordered("less", attempts=0)
        held = payment("less", reference="less-lost", status="pending", hold="amount_mismatch", amount="1.00")
        self.answers("GET", "order=less", listed(held))
        with self.assertLogs("payments", "ERROR"):
            assert checkout("less", {}) is None
        assert len(mail.outbox) == 1
        assert "amount_mismatch" in mail.outbox[0].body
        self.answers("GET", "order=less", listed(held | {"version": 3, "status": "failed", "hold": None}))
        self.answers("POST", "/v1/payments", {}, status=503)
        with self.assertRaises(AwayError):
            checkout("less", {})
