"""Takes all payments of the last days, of which the shop may have heard nothing. Run it every ten minutes, by cron or a
timer.
"""

import logging
from datetime import timedelta

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from payments.client import AwayError, RefusedError, payments_since, read_payment
from payments.paying import take

DAYS = 8  # Payproof asks for 7 days
log = logging.getLogger(__name__)


class Command(BaseCommand):
    help = "Compare the attempts with the payments that were opened at Payproof in the last days."

    def handle(self, *_args, **_options):
        failed = 0
        try:
            for answer in payments_since(timezone.now() - timedelta(days=DAYS)):
                try:
                    take(read_payment(answer))
                except Exception:  # the others are taken all the same
                    log.exception("payment.not_taken %.60s", answer)
                    failed += 1
        except (AwayError, RefusedError) as error:
            raise CommandError(f"Payproof did not list the payments: {error}") from error
        if failed:
            raise CommandError(f"{failed} payments could not be taken; the log has their errors")
        self.stdout.write("done")
