"""The routes of endpoints, deliveries, events and dead letters: a part of the table `console_routes`."""

from __future__ import annotations

from worker.console.pages import dead_letters_page, delivery_page, endpoint_page, endpoints_page, events_page
from worker.console.route_table import ACTING, APPROVING, EVERYBODY, Route

ENDPOINT = "/endpoints/{webhook_id}"
DELIVERY = f"{ENDPOINT}/deliveries/{{event_id}}"
LETTER = "/dead-letters/{letter}"

HOOKS: tuple[Route, ...] = (
    Route(method="GET", path="/endpoints", roles=EVERYBODY, handler=endpoints_page.show_endpoints),
    Route(method="GET", path=ENDPOINT, roles=EVERYBODY, handler=endpoint_page.show_endpoint),
    Route(method="POST", path=f"{ENDPOINT}/test", roles=ACTING, handler=endpoint_page.test_endpoint),
    Route(method="POST", path=f"{ENDPOINT}/send-waiting", roles=ACTING, handler=endpoint_page.send_waiting),
    Route(method="POST", path=f"{ENDPOINT}/send-given-up", roles=ACTING, handler=endpoint_page.send_given_up),
    Route(method="GET", path=DELIVERY, roles=EVERYBODY, handler=delivery_page.show_delivery),
    Route(method="POST", path=f"{DELIVERY}/resend", roles=ACTING, handler=delivery_page.resend_delivery),
    Route(method="GET", path="/events", roles=EVERYBODY, handler=events_page.show_events),
    Route(method="GET", path="/events/{event_id}", roles=EVERYBODY, handler=events_page.show_event),
    Route(method="GET", path="/dead-letters", roles=EVERYBODY, handler=dead_letters_page.show_dead_letters),
    Route(method="GET", path=LETTER, roles=EVERYBODY, handler=dead_letters_page.show_dead_letter),
    Route(method="POST", path=f"{LETTER}/replay", roles=ACTING, handler=dead_letters_page.replay_dead_letter),
    Route(
        method="POST",
        path=f"{LETTER}/drop",
        roles=APPROVING,
        handler=dead_letters_page.drop_dead_letter,
        confirms=True,
    ),
)
