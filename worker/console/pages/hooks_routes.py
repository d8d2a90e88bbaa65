"""Routes of the console, as `worker.console.console_routes` gathers them."""

from __future__ import annotations

from worker.console.pages import delivery_page, endpoint_page, endpoints_page, events_page
from worker.console.route_table import ACTING, EVERYBODY, Route

ENDPOINT = "/endpoints/{webhook_id}"
DELIVERY = f"{ENDPOINT}/deliveries/{{event_id}}"

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
)
