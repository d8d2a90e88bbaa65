"""Who may use each route of the console, by method and path, as the tests expect it. Each group of pages has a table.

A route that is in no table fails a test: decide first who may use it.
"""

from __future__ import annotations

Expected = dict[tuple[str, str], frozenset[str]]

ALL = frozenset({"viewer", "operator", "approver", "auditor"})
ACTING = frozenset({"operator", "approver"})
APPROVING = frozenset({"approver"})
REVEALING = frozenset({"auditor"})
EXAMINING = frozenset({"operator", "approver", "auditor"})
NOBODY = frozenset[str]()
"""No sign-in is needed."""

FRAME: Expected = {
    ("GET", "/assets/{name}"): NOBODY,
    ("GET", "/sign-in"): NOBODY,
    ("POST", "/sign-in"): NOBODY,
    ("GET", "/sign-in/oidc"): NOBODY,
    ("GET", "/sign-in/oidc/callback"): NOBODY,
    ("GET", "/confirm"): ALL,
    ("GET", "/session"): ALL,
    ("POST", "/sign-out"): ALL,
    ("POST", "/sign-out-everywhere"): ALL,
    ("GET", "/"): ALL,
    ("GET", "/gateways"): ALL,
    ("GET", "/settings"): ALL,
}
"""The pages around all others, Now, Gateways and Settings."""

# ---------------------------------------------------------------------------------------------------------------------

FIND: Expected = {
    ("GET", "/find"): ALL,
    ("POST", "/find"): ALL,
    ("GET", "/payments"): ALL,
    ("GET", "/payments.csv"): ALL,
    ("GET", "/payments/{payment}"): ALL,
    ("POST", "/payments/{payment}/verify"): ACTING,
    ("POST", "/payments/{payment}/notes"): ACTING,
    ("GET", "/payments/{payment}/callback"): REVEALING,
    ("POST", "/payments/{payment}/callback"): REVEALING,
}
"""Find, Payments and Payment."""

# ---------------------------------------------------------------------------------------------------------------------

_HELD = "/held/{payment_id}"
_PROPOSAL = "/approvals/{proposal_id}"
DECIDE: Expected = {
    ("GET", "/held"): ALL,
    ("GET", _HELD): ALL,
    ("POST", f"{_HELD}/preview"): ACTING,
    ("POST", _HELD): ACTING,
    ("GET", "/approvals"): ALL,
    ("GET", _PROPOSAL): ALL,
    ("GET", f"{_PROPOSAL}/file"): EXAMINING,
    ("POST", f"{_PROPOSAL}/approve"): APPROVING,
    ("POST", f"{_PROPOSAL}/reject"): APPROVING,
    ("POST", f"{_PROPOSAL}/withdraw"): ACTING,
    ("GET", "/audit"): ALL,
}
"""Held, Decide, Approvals and Audit."""

# ---------------------------------------------------------------------------------------------------------------------

_ENDPOINT = "/endpoints/{webhook_id}"
_DELIVERY = f"{_ENDPOINT}/deliveries/{{event_id}}"
HOOKS: Expected = {
    ("GET", "/endpoints"): ALL,
    ("GET", _ENDPOINT): ALL,
    ("POST", f"{_ENDPOINT}/test"): ACTING,
    ("POST", f"{_ENDPOINT}/send-waiting"): ACTING,
    ("POST", f"{_ENDPOINT}/send-given-up"): ACTING,
    ("GET", _DELIVERY): ALL,
    ("POST", f"{_DELIVERY}/resend"): ACTING,
    ("GET", "/events"): ALL,
    ("GET", "/events/{event_id}"): ALL,
    ("GET", "/dead-letters"): ALL,
    ("GET", "/dead-letters/{letter}"): ALL,
    ("POST", "/dead-letters/{letter}/replay"): ACTING,
    ("POST", "/dead-letters/{letter}/drop"): APPROVING,
}
"""Endpoints, Events and Dead letters."""

# ---------------------------------------------------------------------------------------------------------------------

_UPLOAD, _RUN = "/statements/uploads/{upload}", "/statements/runs/{run}"
BOOKS: Expected = {
    ("GET", "/statements"): ALL,
    ("POST", "/statements"): ACTING,
    ("GET", _UPLOAD): ALL,
    ("POST", f"{_UPLOAD}/try"): ACTING,
    ("POST", f"{_UPLOAD}/run"): ACTING,
    ("GET", _RUN): ALL,
    ("GET", f"{_RUN}/report"): ALL,
    ("GET", f"{_RUN}/rows.csv"): ALL,
    ("GET", f"{_RUN}/lines/{{line}}"): ALL,
    ("POST", f"{_RUN}/lines/{{line}}"): ACTING,
}
"""Statements."""

# ---------------------------------------------------------------------------------------------------------------------

TABLE: Expected = {**FRAME, **FIND, **DECIDE, **HOOKS, **BOOKS}
