"""Orders, the attempts to pay them, and the parcels that may leave.

An order's state is never moved by an event: it is told anew from what is known of all its attempts.
"""

from django.db import models


class Order(models.Model):
    class State(models.TextChoices):
        OPEN = "open"
        PAID = "paid"
        HELD = "held"
        REFUNDED = "refunded"

    name = models.SlugField(max_length=40, unique=True)
    total = models.DecimalField(max_digits=12, decimal_places=2)
    state = models.CharField(max_length=10, choices=State, default=State.OPEN)

    def __str__(self):
        return self.name

    def retell(self):
        """Tell the state anew, in a transaction that has locked this order, and let its parcel leave or stop it."""
        attempts = list(self.attempts.all())
        if any(one.pays for one in attempts):
            self.state = self.State.PAID
        elif any(one.needs_a_person for one in attempts):
            self.state = self.State.HELD
        elif any(one.status == "refunded" for one in attempts):
            self.state = self.State.REFUNDED
        else:
            self.state = self.State.OPEN
        self.save()
        spent = any(one.status == "refunded" for one in attempts) and all(one.status != "completed" for one in attempts)
        parcels = self.parcels.exclude(stopped=self.State.REFUNDED, sent_at__isnull=False)  # those are over
        if self.state == self.State.PAID and not parcels.exists():
            self.parcels.create()
        stopped = self.State.REFUNDED if spent else self.state
        parcels.update(stopped="" if self.state == self.State.PAID else stopped)


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
        """Whether the order may be sent because of this payment."""
        fits = (self.amount, self.currency) == (self.order.total, "BDT")
        return fits and self.status == "completed" and self.hold == "" and self.risk != "high"


class Parcel(models.Model):
    """What leaves the shop: one for an order, by any payment of it. A parcel that was sent and is then stopped is for a
    person. One that was sent and whose money went back is over, and new money makes a new one.
    """

    order = models.ForeignKey(Order, models.PROTECT, related_name="parcels")
    stopped = models.CharField(max_length=10, blank=True)
    sent_at = models.DateTimeField(null=True, blank=True)

    def __str__(self):
        return self.order.name
