"""The command that asks for what was not heard."""

from io import StringIO

from django.core.management import CommandError, call_command

from payments.models import Order, UnmatchedPayment
from payments.tests.stand_in import PayproofTest, listed, ordered, payment


class ReconcileTest(PayproofTest):
    def reconciled(self):
        call_command("reconcile_payments", stdout=StringIO())

    def states(self):
        return list(Order.objects.order_by("name").values_list("state", flat=True))

    def test_every_page_is_taken(self):
        for name in ("one", "two"):
            ordered(name)
        self.answers("GET", "from=", listed(payment("one"), cursor="next"))
        self.answers("GET", "cursor=next", listed(payment("two")))
        self.reconciled()
        assert self.states() == ["paid", "paid"]

    def test_one_that_cannot_be_taken_stops_no_other_and_ends_with_an_error(self):
        for name in ("one", "two", "three"):
            ordered(name)
        broken = payment("two")
        del broken["risk"]
        self.answers("GET", "from=", listed(payment("one"), broken, 7, payment("three")))
        with self.assertLogs("payments", "ERROR"), self.assertRaisesMessage(CommandError, "2 payments"):
            self.reconciled()
        assert self.states() == ["paid", "paid", "open"]

    def test_money_without_an_attempt_is_found(self):
        self.answers("GET", "from=", listed(payment("lost", reference="lost-0123abcd")))
        with self.assertLogs("payments", "ERROR"):
            self.reconciled()
        assert UnmatchedPayment.objects.get().payment["order"] == "lost"

    def test_an_answer_that_is_none_ends_with_an_error(self):
        for body, status in (([1], 200), ({}, 503), ({"code": "scope"}, 403)):
            self.answers("GET", "from=", body, status=status)
            with self.assertRaises(CommandError):
                self.reconciled()
