"""The buyer's pages, and the webhook."""

import json
import logging

from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_POST

from payments.client import AwayError, RefusedError, read_payment
from payments.models import Order
from payments.paying import checkout, take
from payments.signatures import is_from_payproof, returned_status

SEE_OTHER = 303
UNAUTHORIZED = 401
BAD_GATEWAY = 502
WORDS = {
    "completed": "Your payment is verified. Thank you!",
    "held": "Your payment needs a look by a person. We will write to you.",
    "refunded": "Your money is on its way back.",
    "failed": "This attempt was not paid. You may try again.",
    "cancelled": "This attempt was not paid. You may try again.",
    "expired": "This attempt was not paid in time. You may try again.",
}
WORDS["paid"] = WORDS["completed"]  # an order's word
PAID = ("completed", "held")
UNSEEN = "We cannot see your payment now. If you paid, please wait: we look again. If not, try again in a few minutes."
log = logging.getLogger(__name__)


@require_GET
def order(request, name):
    """The order with a button to pay it. In your shop: of the buyer who is signed in."""
    found = get_object_or_404(Order, name=name)
    return render(request, "payments/order.html", {"order": found, "may_pay": found.takes_payment})


@require_POST
def pay(request, name):
    """Send the buyer to the checkout."""
    found = get_object_or_404(Order, name=name)
    customer = {
        "name": "A Buyer",
        "email": "buyer@example.com",
        "phone": "01700000000",
        "address": "1 Test Road",
        "city": "Dhaka",
        "postcode": "1000",
        "country": "Bangladesh",
    }  # in your shop: of the order
    try:
        url = checkout(name, customer)
    except (AwayError, RefusedError, OSError):
        log.exception("payment.not_opened %s", name)
        context = {"order": found, "words": UNSEEN, "may_pay": True}
        return render(request, "payments/order.html", context, status=BAD_GATEWAY)
    if url is None:
        return redirect("thanks", name=name)
    return HttpResponseRedirect(url, status=SEE_OTHER)


@require_GET
def thanks(request, name):
    """Words for the buyer's eyes; nothing changes here."""
    found = get_object_or_404(Order, name=name)
    known = dict(found.attempts.values_list("reference", "status"))
    status = returned_status(request.GET, known)
    if not found.takes_payment:  # whatever became of this attempt
        status = found.state
    elif status is not None and known[request.GET["reference"]] != "pending":
        status = known[request.GET["reference"]]  # the link may be old; only a webhook that is on its way is older
    context = {
        "order": found,
        "words": WORDS.get(status, "We are checking your payment."),
        "may_pay": found.takes_payment and status not in PAID,
    }
    return render(request, "payments/order.html", context)


@csrf_exempt  # the signature is the permission
@require_POST
def webhook(request):
    """2xx only when it is stored; an exception is a 500, and the event comes again."""
    if not is_from_payproof(request.headers, request.body):
        return HttpResponse(status=UNAUTHORIZED)
    event = json.loads(request.body)
    if event["type"].startswith("payment."):  # others, such as payproof.test, are taken too
        take(read_payment(event["data"]))
    return HttpResponse()
