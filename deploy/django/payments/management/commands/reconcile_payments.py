"""Looks up the orders that heard nothing. Run it every ten minutes, by cron or a timer."""

from datetime import timedelta

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from payments.client import AwayError, RefusedError, payments_of
from payments.models import Order
from payments.paying import take

DAYS = 8  # Payproof asks for 7 days


class Command(BaseCommand):
    help = "Ask Payproof about open and held orders of the last days."

    def handle(self, *_args, **_options):
        since = timezone.now() - timedelta(days=DAYS)
        open_orders = Order.objects.exclude(state=Order.State.PAID).filter(attempts__created_at__gte=since).distinct()
        for name in open_orders.values_list("name", flat=True):
            try:
                payments = payments_of(name)
            except (AwayError, RefusedError) as error:
                raise CommandError(f"{name}: {error}") from error
            for payment in payments:
                take(payment)
        self.stdout.write("done")
