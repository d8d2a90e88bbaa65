"""One request about one checkout: what it shows, and what it does through `perform`.

The troubles are read before the deed. The deed uses them up, and the page after it should still name them.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import get_args

from aiohttp import web
from msgspec import Struct
from msgspec.structs import replace

from worker.playground.sandbox.announcing import missing_address
from worker.playground.sandbox.checkout import over
from worker.playground.sandbox.checkout.checkout_frame import checkout_page, deed, step_html
from worker.playground.sandbox.checkout.shape import CheckoutLook, Special, Step, View
from worker.playground.sandbox.sandbox import Sandbox
from worker.playground.sandbox.sessions import Session
from worker.playground.sandbox.shopper import Visit, may_pay_late, perform
from worker.playground.sandbox.simulated_gateway import Deed, Happening, Impossible, SimulatedGateway, WayBack


class Visited(Struct, frozen=True, kw_only=True):
    """A request as the pages need it.

    `at`: the step whose form was sent. `stay`: do not send the browser off although the checkout is over. `order_page`:
    where the shop shows the order.
    """

    sandbox: Sandbox
    gateway: SimulatedGateway
    session: Session
    look: CheckoutLook
    address: str
    at: str
    stay: bool
    entered: Mapping[str, str]
    scripted: tuple[str, ...]
    order_page: str | None

    @property
    def open(self) -> bool:
        return self.session.payable

    def page(self, step: Step, *, refused: str = "", status: int = 200) -> web.Response:
        """A step of the way to pay."""
        view = self._view(refused)
        controls = self._controls(view) + self._unsent("paid")
        return checkout_page(self.look, view, step_html(self.look, step, view), controls, status=status)

    def meant(self) -> Special | None:
        """The first entry of the buyer's that has a meaning."""
        return next((special for special in self.look.specials if special.fits(self.entered)), None)

    def asked_again(self, special: Special) -> web.Response:
        """The step that has the field once more, with the reason."""
        asking = [step for step in self.look.steps if special.field in {field.name for field in step.fields}]
        step = next((step for step in asking if step.name == self.at), asking[0])
        return self.page(step, refused=special.says, status=422)

    def over(self, *, refused: str = "", status: int = 200) -> web.Response:
        """The checkout is over: the page says so, unless its gateway sends browsers back instead."""
        back = self.gateway.closed_link(self.session)
        if back is not None and not self.stay and not may_pay_late(self.sandbox, self.session):
            raise web.HTTPSeeOther(back)
        view = self._view(refused)
        html = over.over_html(view, over.way_back(self.gateway, self.session))
        return self._told(html, over.over_controls(view), status=status)

    def do(self, does: Deed, transaction_id: str | None) -> web.Response:
        """Do the deed. Returns the page after it, or 409 when it is impossible. Raises HTTPSeeOther for a redirect.

        Where the gateway posts, the page after it does so by itself.
        """
        try:
            with self.sandbox.state.transaction():
                session, back = perform(self.sandbox, self.session, Visit(does=does, transaction_id=transaction_id))
        except Impossible as error:
            return replace(self, stay=True).over(refused=f"Refused: {error}.", status=409)
        self.sandbox.queued.set()
        if back is None:
            return replace(self, session=session).after()
        if back.form is None:
            raise web.HTTPSeeOther(back.url)
        return replace(self, session=session).leaving(back)

    def leaving(self, back: WayBack) -> web.Response:
        return checkout_page(self.look, self._view(), over.leaving_html(back), "", over=True, leaves=True)

    def after(self) -> web.Response:
        """The page after a deed that sends the browser nowhere."""
        view = self._view()
        if self.open:
            return self._told(over.left_html(view), "")
        back = over.way_back(self.gateway, self.session)
        return self._told(over.lost_html(view, back), over.lost_controls(back))

    def _told(self, html: str, controls: str, *, status: int = 200) -> web.Response:
        controls += over.order_link(self.order_page)
        if (happening := next((one for one in get_args(Happening) if one == self.session.status), None)) is not None:
            controls += self._unsent(happening)
        return checkout_page(self.look, self._view(), html, controls, over=True, status=status)

    def _unsent(self, happening: Happening) -> str:
        """A sentence where the gateway's message of this happening has no address."""
        missing = missing_address(self.gateway, self.session, happening)
        return "" if missing is None else f"<p>{escape(missing[0].upper() + missing[1:])}.</p>"

    def _view(self, refused: str = "") -> View:
        return View(
            session=self.session,
            address=self.address,
            left=max(0.0, self.session.expires_at - self.sandbox.state.now()),
            stay=self.stay,
            entered=self.entered,
            scripted=self.scripted,
            refused=refused,
        )

    def _controls(self, view: View) -> str:
        """A developer's controls at an open checkout, and the entries with a meaning."""
        labels = {field.name: field.label for field in self.look.fields()}
        entries = "".join(
            f"<li><code>{escape(special.value)}</code> as {escape(labels[special.field])}: {escape(special.says)}</li>"
            for special in self.look.specials
        )
        ended = replace(self.session, status="expired")
        stay = (
            "<p>When the time is over this gateway sends the browser back to the shop. "
            f'<a href="{view.to()}?stay">Stay here instead</a>, to pay too late.</p>'
            if self.gateway.closed_link(ended) is not None and not self.stay
            else ""
        )
        deeds = f"{deed(view, 'fail', 'Let it fail')}{deed(view, 'walk_away', 'Walk away')}"
        return (
            f'<div class="row">{deeds}</div>{stay}'
            f"<details><summary>Entries with a meaning</summary><ul>{entries}</ul></details>"
        )
