"""The routes of finding, payments and callbacks: a part of the table `console_routes`."""

from __future__ import annotations

from worker.console.pages import callback_page, find_page, payment_page, payments_csv, payments_page
from worker.console.route_table import ACTING, EVERYBODY, REVEALING, Route

FIND: tuple[Route, ...] = (
    Route(method="GET", path="/find", roles=EVERYBODY, handler=find_page.show_find),
    Route(method="POST", path="/find", roles=EVERYBODY, handler=find_page.find_typed),
    Route(method="GET", path="/payments", roles=EVERYBODY, handler=payments_page.show_payments),
    Route(method="GET", path="/payments.csv", roles=EVERYBODY, handler=payments_csv.download_payments),
    Route(method="GET", path="/payments/{payment}", roles=EVERYBODY, handler=payment_page.show_payment),
    Route(method="POST", path="/payments/{payment}/verify", roles=ACTING, handler=payment_page.verify_payment),
    Route(method="POST", path="/payments/{payment}/notes", roles=ACTING, handler=payment_page.add_note),
    Route(method="GET", path="/payments/{payment}/callback", roles=REVEALING, handler=callback_page.ask_to_reveal),
    Route(
        method="POST",
        path="/payments/{payment}/callback",
        roles=REVEALING,
        handler=callback_page.reveal_callback,
        confirms=True,
    ),
)
