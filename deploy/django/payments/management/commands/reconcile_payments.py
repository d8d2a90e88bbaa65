"""Looks up the orders of the last days, which may have heard nothing. Run it every ten minutes, by cron or a timer."""

from datetime import timedelta

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from payments.client import AwayError, RefusedError, payments_of
from payments.models import Order
from payments.paying import take

DAYS = 8  # Payproof asks for 7 days


class Command(BaseCommand):
    help = "Ask Payproof about the orders that were paid or tried in the last days."

    def handle(self, *_args, **_options):
        since = timezone.now() - timedelta(days=DAYS)
        orders = Order.objects.filter(attempts__created_at__gte=since).distinct()  # a paid one may be refunded or held
        for name in orders.values_list("name", flat=True):
            try:
                payments = payments_of(name)
            except (AwayError, RefusedError) as error:
                raise CommandError(f"{name}: {error}") from error
            for payment in payments:
                take(payment)
        self.stdout.write("done")
