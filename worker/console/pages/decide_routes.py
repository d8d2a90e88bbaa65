"""The routes of held payments, proposals and the audit trail: a part of the table `console_routes`."""

from __future__ import annotations

from worker.console.pages import approvals_page, audit_page, decide_page, held_page, proposal_page
from worker.console.pages.decide_parts import refusing
from worker.console.route_table import ACTING, APPROVING, EVERYBODY, EXAMINING, Route

_HELD = "/held/{payment_id}"
_PROPOSAL = "/approvals/{proposal_id}"

DECIDE: tuple[Route, ...] = (
    Route(method="GET", path="/held", roles=EVERYBODY, handler=held_page.show_held),
    Route(method="GET", path=_HELD, roles=EVERYBODY, handler=refusing(decide_page.show_decide)),
    Route(method="POST", path=f"{_HELD}/preview", roles=ACTING, handler=refusing(decide_page.show_preview)),
    Route(
        method="POST",
        path=_HELD,
        roles=ACTING,
        handler=refusing(decide_page.act),
        confirms=True,
        max_body=decide_page.MOST_BODY,
    ),
    Route(method="GET", path="/approvals", roles=EVERYBODY, handler=approvals_page.show_approvals),
    Route(method="GET", path=_PROPOSAL, roles=EVERYBODY, handler=refusing(proposal_page.show_proposal)),
    Route(method="GET", path=f"{_PROPOSAL}/file", roles=EXAMINING, handler=refusing(proposal_page.show_file)),
    Route(
        method="POST",
        path=f"{_PROPOSAL}/approve",
        roles=APPROVING,
        handler=refusing(proposal_page.approve_proposal),
        confirms=True,
    ),
    Route(
        method="POST",
        path=f"{_PROPOSAL}/reject",
        roles=APPROVING,
        handler=refusing(proposal_page.reject_proposal),
        confirms=True,
    ),
    Route(method="POST", path=f"{_PROPOSAL}/withdraw", roles=ACTING, handler=refusing(proposal_page.withdraw_proposal)),
    Route(method="GET", path="/audit", roles=EVERYBODY, handler=audit_page.show_audit),
)
