"""The forms of ShurjoPay's replies: an object, an array of orders, or one of these inside a JSON string.

An array becomes an object with `orders`, so that an error, which is an object, is not taken for an order.
"""

from __future__ import annotations

from consumers.providers import kit

_IDS = ("order_id", "customer_order_id", "sp_order_id")


def read_body(reply: kit.HttpReply) -> kit.Told | kit.Inconclusive:
    """The object of a reply; an array as `orders`. A string is read once more (SP-WOO decodes twice)."""
    if reply.body.lstrip()[:1] == b"<":
        return kit.json_object(reply)
    try:
        body = kit.read_leniently(reply.body)
        if isinstance(body, str) and not isinstance(body, kit.Number):
            body = kit.read_leniently(body.encode())
    except kit.Unreadable as error:
        return kit.unreadable(f"HTTP {reply.status}: {error}")
    if isinstance(body, list):
        return kit.Told(orders=body)
    return body if isinstance(body, kit.Told) else kit.unreadable(f"HTTP {reply.status}: the body is no JSON object")


def order_of(body: kit.Told, session: str) -> kit.Told:
    """The order in a reply to /verification. Of several, the order of the session. Raises Unreadable."""
    orders = body.get("orders")
    if not isinstance(orders, list):
        return body
    if len(orders) > 1:
        orders = [one for one in orders if isinstance(one, kit.Told) and kit.aside(one, "order_id") == session]
    if len(orders) != 1 or not isinstance(orders[0], kit.Told):
        raise kit.Unreadable("the list does not have exactly one order of this checkout")
    return orders[0]


def is_bare(body: kit.Told) -> bool:
    """Whether the body names no order, so that its code is about the call. Raises Unreadable for a spoilt id."""
    return "orders" not in body and all(body.get(name) in (None, "") for name in _IDS)
