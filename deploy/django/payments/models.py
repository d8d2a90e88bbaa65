"""Orders, the attempts to pay them, and money that belongs to no attempt.

An order's state is never moved by an event: it is derived from what is known of all its attempts.
"""

from decimal import Decimal

from django.db import models


class Order(models.Model):
    """One order is one parcel, ever. It may leave while the state is `paid` and `sent_at` is null."""

    class State(models.TextChoices):
        OPEN = "open"
        PAID = "paid"
        HELD = "held"
        REFUNDED = "refunded"

    name = models.SlugField(max_length=21, unique=True)  # a reference has 9 characters more, and gateways take 30
    total = models.DecimalField(max_digits=12, decimal_places=2)
    state = models.CharField(max_length=10, choices=State, default=State.OPEN)
    sent_at = models.DateTimeField(null=True, blank=True)  # where it is set and the order is not paid, a person decides

    def __str__(self):
        return self.name

    @property
    def takes_payment(self):
        unmatched = UnmatchedPayment.objects.filter(payment__order=self.name, decided=False)
        stopped = self.state in (self.State.PAID, self.State.HELD) or self.sent_at is not None
        return not stopped and not any(one.stands for one in unmatched)

    @property
    def derived_state(self):
        """The state by all attempts and the total."""
        attempts = list(self.attempts.all())
        if any(one.pays for one in attempts):
            return self.State.PAID
        if any(one.needs_a_person for one in attempts):
            return self.State.HELD
        if any(one.status == "refunded" for one in attempts):
            return self.State.REFUNDED
        return self.State.OPEN

    def derive_state(self):
        """Store the derived state, in a transaction that has locked this order."""
        self.state = self.derived_state
        self.save(update_fields=["state"])


class Attempt(models.Model):
    """One payment at Payproof. `request` is the body that opened it: a lost answer is asked for with the same."""

    order = models.ForeignKey(Order, models.PROTECT, related_name="attempts")
    reference = models.CharField(max_length=50, unique=True)
    request = models.JSONField()
    refused = models.BooleanField(default=False)  # it was never opened
    payment_id = models.CharField(max_length=40, blank=True)
    checkout_url = models.URLField(max_length=2000, blank=True)
    expires_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    # the newest snapshot
    version = models.PositiveIntegerField(default=0)
    status = models.CharField(max_length=10, default="pending")
    hold = models.CharField(max_length=40, blank=True)
    risk = models.CharField(max_length=10, blank=True)
    amount = models.DecimalField(max_digits=12, decimal_places=2, null=True)
    currency = models.CharField(max_length=3, blank=True)
    transaction_id = models.CharField(max_length=255, blank=True)
    refunded_amount = models.DecimalField(max_digits=12, decimal_places=2, default=0)
    late = models.BooleanField(default=False)

    def __str__(self):
        return self.reference

    @property
    def needs_a_person(self):
        return self.hold != "" or (self.status == "completed" and not self.pays)

    @property
    def pays(self):
        """Whether the order may be sent because of this payment: it is what was asked, and covers today's total."""
        asked = Decimal(self.request["amount"]), self.request["currency"]
        fits = (self.amount, self.currency) == asked and self.amount >= self.order.total
        return fits and self.status == "completed" and self.hold == "" and self.risk != "high"


class UnmatchedPayment(models.Model):
    """Money at the shop's account that no attempt here asked for, as after a restored database. A person decides."""

    payment_id = models.CharField(max_length=40, unique=True)
    payment = models.JSONField()  # the newest snapshot
    decided = models.BooleanField(default=False)  # its order takes payments again
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self):
        words = "{payment_id}, {amount} {currency}, {status}, hold: {hold}, for order {order} by reference {reference}"
        return words.format_map(self.payment)

    @property
    def stands(self):
        """Whether the shop has the money, or nobody knows."""
        return self.payment["status"] == "completed" or self.payment["hold"] is not None
