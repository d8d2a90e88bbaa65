"""Checks of the limits that gateways document, before a gateway is called. Each returns a list of FieldErrors.

The names in an error are the shop's (`amount`, `customer.email`, `provider_options.x`), never the gateway's.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from decimal import Decimal

from consumers.ports.openings import FieldError, Opening


def amount_between(
    opening: Opening, low: str, high: str | None, currencies: Collection[str] = ("BDT",)
) -> list[FieldError]:
    """The amount is in one of `currencies`, with at most two decimals, from `low` to `high`, both included."""
    amount, found = opening.amount, []
    if opening.currency not in currencies:
        found.append(FieldError(field="currency", message=f"this gateway takes {' or '.join(currencies)} only"))
    if not amount.is_finite() or amount != round(amount, 2):
        found.append(FieldError(field="amount", message="at most two decimals"))
    elif amount < Decimal(low) or (high is not None and amount > Decimal(high)):
        span = f"from {low} to {high}" if high is not None else f"at least {low}"
        found.append(FieldError(field="amount", message=f"this gateway takes {span} {' or '.join(currencies)}"))
    return found


def length(field: str, value: str | None, *, least: int = 0, most: int | None = None) -> list[FieldError]:
    """The text has `least` to `most` characters. An absent text counts as empty."""
    if least <= len(value or "") and (most is None or len(value or "") <= most):
        return []
    span = f"{least} to {most}" if most is not None else f"at least {least}"
    return [FieldError(field=field, message=f"this gateway takes {span} characters")]


def text_given(field: str, value: str | None, most: int) -> list[FieldError]:
    """The text has 1 to `most` characters as it is sent, and is not blank."""
    return length(field, value if (value or "").strip() else None, least=1, most=most)


def callback_urls(opening: Opening, most: int) -> list[FieldError]:
    """Our callback URLs have at most `most` characters. A long public URL or account id makes them longer."""
    urls = opening.urls
    longest = max(len(url) for url in (urls.back, urls.success, urls.failure, urls.cancel, urls.ipn))
    if longest <= most:
        return []
    return [FieldError(field="callback_url", message=f"this gateway takes callback URLs of at most {most} characters")]


def seconds(opening: Opening, least: int, most: int | None) -> list[FieldError]:
    """`expires_in`, if given, is from `least` to `most` seconds, both included."""
    wanted = opening.expires_in
    if wanted is None or (wanted >= least and (most is None or wanted <= most)):
        return []
    span = f"from {least} to {most}" if most is not None else f"at least {least}"
    return [FieldError(field="expires_in", message=f"this gateway takes {span} seconds")]


def path_reference(opening: Opening) -> list[FieldError]:
    """The reference can stand in a URL's path: one of dots alone (`.`, `..`) would change the path, however encoded."""
    if opening.reference.strip("."):
        return []
    return [FieldError(field="reference", message="this gateway cannot be asked by a reference of dots alone")]


def customer_given(opening: Opening, names: Collection[str]) -> list[FieldError]:
    """The `customer` has each of these fields, and none of them is blank."""
    missing = [name for name in names if not (getattr(opening.customer, name) or "").strip()]
    return [FieldError(field=f"customer.{name}", message="this gateway requires it") for name in missing]


def options_apart(opening: Opening, ours: Collection[str]) -> list[FieldError]:
    """No key of `provider_options` overwrites one of the request's own fields, in any case."""
    taken = {name.lower() for name in ours}
    return [
        FieldError(field=f"provider_options.{key}", message="payproof sets this field itself")
        for key in opening.options
        if key.lower() in taken
    ]


def methods(opening: Opening, known: Collection[str]) -> list[FieldError]:
    """`method`, if given, is one of `known`, in any case."""
    if opening.method is None or opening.method.lower() in known:
        return []
    return [FieldError(field="method", message=f"this gateway takes {' or '.join(known)}")]


def options_known(opening: Opening, kinds: Mapping[str, type], ours: Collection[str]) -> list[FieldError]:
    """`provider_options` has only the keys of `kinds`, each of its type. `options_apart` reports keys of `ours`.

    The type `object` takes any value.
    """
    found, told = [], {name.lower() for name in ours}
    for key, value in opening.options.items():
        kind = kinds.get(key)
        if kind is None and key.lower() not in told:
            found.append(FieldError(field=f"provider_options.{key}", message=f"known are {', '.join(kinds)}"))
        # A JSON number is a `Number` here, a subclass of str. So types are compared, because `isinstance` would accept
        # it.
        if kind not in (None, object, type(value)):
            wanted = "true or false" if kind is bool else "a string"
            found.append(FieldError(field=f"provider_options.{key}", message=f"this gateway takes {wanted}"))
    return found
