"""Opening a payment for an order, and taking what Payproof says of it."""

from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.urls import reverse
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from payments.client import RefusedError, open_payment
from payments.models import Attempt, Order

KNOWN = ("status", "hold", "risk", "amount", "transaction_id", "refunded_amount", "late", "version")
SHORTLY = timedelta(minutes=1)


def checkout(name, customer):
    """Where the buyer of this order pays; None where it is paid or held. Raises AwayError and RefusedError."""
    attempt = _attempt(name, customer)
    if attempt is None or attempt.checkout_url:
        return attempt and attempt.checkout_url
    try:
        payment = open_payment(attempt.request)  # outside of any transaction: it may take seconds
    except RefusedError:
        Attempt.objects.filter(pk=attempt.pk).update(refused=True)
        raise
    Attempt.objects.filter(pk=attempt.pk).update(
        payment_id=payment["payment_id"],
        checkout_url=payment["checkout_url"] or "",
        expires_at=parse_datetime(payment["expires_at"]),
    )
    return payment["checkout_url"]


@transaction.atomic
def _attempt(name, customer):
    """The attempt to go on with: one that is open or whose answer was lost, else a new one with a new reference."""
    order = Order.objects.select_for_update().get(name=name)
    if order.state in (Order.State.PAID, Order.State.HELD):
        return None
    last = order.attempts.order_by("-pk").first()
    going = last is not None and last.status == "pending" and not last.refused
    if going and (not last.checkout_url or last.expires_at > timezone.now() + SHORTLY):
        return last
    number = order.attempts.count() + 1
    page = settings.SHOP_URL + reverse("thanks", args=[order.name])
    request = {
        "account": settings.PAYPROOF_ACCOUNT,
        "reference": f"{order.name}-a{number}",
        "order": order.name,
        "amount": f"{order.total:.2f}",
        "currency": "BDT",
        "description": f"Order {order.name}",
        "return_url": page,
        "customer": customer,
    }
    return order.attempts.create(reference=request["reference"], request=request)


@transaction.atomic
def take(payment):
    """Store a newer snapshot and what it means for its order. What is not newer, or not of this shop, is dropped."""
    order = Order.objects.select_for_update().filter(attempts__reference=payment["reference"]).first()
    if order is None or payment["account"] != settings.PAYPROOF_ACCOUNT:
        return
    attempt = order.attempts.get(reference=payment["reference"])
    if payment["version"] <= attempt.version:
        return
    for field in KNOWN:
        setattr(attempt, field, "" if payment[field] is None else payment[field])
    attempt.payment_id = payment["payment_id"]
    attempt.save(update_fields=[*KNOWN, "payment_id"])
    order.retell()
