"""The buyer's pages, and the webhook."""

import json

from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_POST

from payments.client import AwayError, RefusedError
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
    "failed": "Nothing was paid. Please try again.",
    "cancelled": "Nothing was paid. Please try again.",
    "expired": "Nothing was paid in time. Please try again.",
}
PAID = ("completed", "held")


@require_GET
def order(request, name):
    """The order with a button to pay it. In your shop: of the buyer who is signed in."""
    return render(request, "payments/order.html", {"order": get_object_or_404(Order, name=name)})


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
    except (AwayError, RefusedError):
        words = "The payment could not be opened. Nothing was paid; please try again."
        return render(request, "payments/order.html", {"order": found, "words": words}, status=BAD_GATEWAY)
    if url is None:
        return redirect("thanks", name=name)
    return HttpResponseRedirect(url, status=SEE_OTHER)


@require_GET
def thanks(request, name):
    """Words for the buyer's eyes; nothing changes here."""
    found = get_object_or_404(Order, name=name)
    references = set(found.attempts.values_list("reference", flat=True))
    status = returned_status(request.GET, references)
    words = WORDS.get(status, "We are checking your payment.")
    paid = status in PAID  # the webhook may be on its way
    return render(request, "payments/order.html", {"order": found, "words": words, "paid": paid})


@csrf_exempt  # the signature is the permission
@require_POST
def webhook(request):
    """2xx only when it is stored; an exception is a 500, and the event comes again."""
    if not is_from_payproof(request.headers, request.body):
        return HttpResponse(status=UNAUTHORIZED)
    event = json.loads(request.body)
    if event["type"].startswith("payment."):  # others, such as payproof.test, are taken too
        take(event["data"])
    return HttpResponse()
