"""OnePayBD, simulated: bKash's tokenized checkout passed through (https://www.onepaybd.com/api-documentation.html).

Documented there: the headers, and that paths hang directly off the base URL. Invented: the paths of grant, execute and
status, and 403 for a wrong key (bKash's front says Forbidden or Unauthorized).
"""

from __future__ import annotations

from typing import ClassVar

from worker.playground.sandbox.gateway_call import Call, GatewayEndpoint, GatewayRefusal, GatewayReply
from worker.playground.sandbox.tokenized_checkout import TokenizedCheckout
from worker.playground.sandbox.tokenized_shapes import about_invoice


class OnePayBD(TokenizedCheckout):
    name = "onepaybd"
    amounts_as_numbers: ClassVar[bool] = False

    def endpoints(self) -> tuple[GatewayEndpoint, ...]:
        about = self.about_payment
        return (
            GatewayEndpoint(method="POST", path="/grant", kind="grant", handler=self.grant, about=lambda _: None),
            GatewayEndpoint(method="POST", path="/create", kind="create", handler=self.create, about=about_invoice),
            GatewayEndpoint(method="POST", path="/execute", kind="execute", handler=self.execute, about=about),
            GatewayEndpoint(method="POST", path="/status", kind="status", handler=self.query, about=about),
        )

    def grant(self, call: Call) -> GatewayReply:
        self._check_key(call)
        return self.granted()

    def admit(self, call: Call) -> None:
        self._check_key(call)
        scheme, _, token = call.headers.get("Authorization", "").partition(" ")
        self.check_token(token if scheme == "Bearer" else "")

    def _check_key(self, call: Call) -> None:
        if call.headers.get("apikey") != self.config.credential(self.name, "api_key"):
            raise GatewayRefusal(self.failure(403, "Forbidden"))
