"""Opening a payment for an order, and taking what Payproof says of it."""

import logging
import re
import secrets
from datetime import timedelta

from django.conf import settings
from django.core.mail import mail_admins
from django.db import transaction
from django.urls import reverse
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from payments.client import RefusedError, open_payment, payments_of
from payments.models import Attempt, Order, UnmatchedPayment

KNOWN = ("status", "hold", "risk", "amount", "currency", "transaction_id", "refunded_amount", "late", "version")
SHORTLY = timedelta(minutes=1)
CURRENCY = "BDT"
log = logging.getLogger(__name__)


def checkout(name, customer):
    """Where the buyer of this order pays; None where it takes no payment.

    Raises AwayError and RefusedError, and OSError where the admins' mail cannot be sent.
    """
    for payment in payments_of(name):  # a webhook may be late, and a second payment beside a paid one costs money twice
        take(payment)
    attempt = _attempt(name, customer)
    if attempt is None or attempt.checkout_url:
        return attempt and attempt.checkout_url
    try:
        payment = open_payment(attempt.request)  # outside of any transaction: it may take a minute
    except RefusedError:
        Attempt.objects.filter(pk=attempt.pk).update(refused=True)
        raise
    Attempt.objects.filter(pk=attempt.pk).update(payment_id=payment["payment_id"], **_page(payment))
    return payment["checkout_url"]


@transaction.atomic
def _attempt(name, customer):
    """The attempt to go on with: one that is open or whose answer was lost, else a new one with a new reference."""
    order = Order.objects.select_for_update().get(name=name)
    if not order.takes_payment:
        return None
    asked = {"account": settings.PAYPROOF_ACCOUNT, "amount": f"{order.total:.2f}", "currency": CURRENCY}
    last = order.attempts.order_by("-pk").first()
    going = last is not None and last.status == "pending" and not last.refused and asked.items() <= last.request.items()
    if going and (not last.checkout_url or last.expires_at > timezone.now() + SHORTLY):
        return last
    reference = f"{order.name}-{secrets.token_hex(4)}"  # never again, also after the database was restored
    page = settings.SHOP_URL + reverse("thanks", args=[order.name])
    request = asked | {
        "reference": reference,
        "order": order.name,
        "description": f"Order {order.name}",
        "return_url": page,
        "customer": customer,
    }
    return order.attempts.create(reference=reference, request=request)


def _page(payment):
    return {
        "checkout_url": payment["checkout_url"] or "",
        "expires_at": payment["expires_at"] and parse_datetime(payment["expires_at"]),
    }


@transaction.atomic
def take(payment):
    """Store a newer snapshot and what it means for its order. What is not newer is dropped."""
    order = Order.objects.select_for_update().filter(attempts__reference=payment["reference"]).first()
    attempt = order and order.attempts.get(reference=payment["reference"])
    if order is None or any(payment[field] != attempt.request[field] for field in ("reference", "order", "account")):
        _store_unmatched(payment)
    elif payment["version"] > attempt.version:
        paid_before = attempt.pays
        _store(attempt, payment)
        order.derive_state()
        if order.sent_at is not None and attempt.pays and not paid_before:
            words = f"The parcel of {order} left, and then {attempt} was paid."
            log.error("payment.after_parcel %s", words)
            mail_admins("Money for a parcel that left before", f"{words}\nA person decides.")


def _store(attempt, payment):
    known = {field: "" if payment[field] is None else payment[field] for field in KNOWN}
    for field, value in (known | _page(payment)).items():
        setattr(attempt, field, value)
    attempt.payment_id = payment["payment_id"]
    attempt.save()
    attempt.refresh_from_db()


def _store_unmatched(payment):
    """Store money that no attempt asked for, and mail the admins once, or again where a decision no longer fits it."""
    rows = UnmatchedPayment.objects.select_for_update().filter(payment_id=payment["payment_id"])
    is_money = payment["status"] in ("completed", "refunded") or payment["hold"] is not None
    if payment["account"] != settings.PAYPROOF_ACCOUNT or not (is_money or rows.exists()):
        return
    if not _is_ours(payment):
        log.info("payment.of_another_system %s", payment["payment_id"])
        return
    row, new = rows.get_or_create(payment_id=payment["payment_id"], defaults={"payment": payment})
    anew = False
    if payment["version"] > row.payment["version"]:
        changed = any(payment[field] != row.payment[field] for field in ("status", "hold"))
        row.payment = payment
        anew = row.decided and changed and row.stands
        row.decided = row.decided and not anew
        row.save()
    if new or anew:
        log.error("payment.unmatched %s", row)
        words = f"{row}\nA person decides, and ticks that in the admin."
        mail_admins("A payment that no order asked for", words)  # an error: the event comes again


def _is_ours(payment):
    """Whether its order is here, or was: its reference is one that only this shop makes."""
    name, _, drawn = payment["reference"].rpartition("-")
    order = payment["order"] or name  # Payproof knows no order of money that it did not expect
    made_here = name == payment["order"] and re.fullmatch("[0-9a-f]{8}", drawn)
    return bool(made_here) or Order.objects.filter(name=order).exists()
