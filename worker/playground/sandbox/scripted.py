"""Setting a script for one order: the rows of `troubles` that it becomes.

A script may be set before its checkout is opened, or while that is open already.
"""

from __future__ import annotations

from msgspec.structs import replace

from worker.playground.sandbox.sandbox import Sandbox
from worker.playground.sandbox.scripts import Script, has_call
from worker.playground.sandbox.simulated_gateway import Impossible
from worker.playground.sandbox.troubles import Trouble


def set_script(
    sandbox: Sandbox, provider: str, reference: str, script: Script, *, seconds: float | None = None
) -> list[Trouble]:
    """Set it for one order, whether its checkout is open yet or not. Returns all troubles set. Raises Impossible."""
    gateway = sandbox.gateways[provider]
    if not script.fits(gateway):
        raise Impossible(f"{script.name} cannot happen at {provider}")
    seconds = script.seconds if seconds is None else seconds
    skip = script.skip
    if script.on == "status" and has_call("execute")(gateway):
        # Execute is asked first after a success. Its right answer counts where the trouble comes second; elsewhere its
        # answer is lost, so that the question after it meets the trouble.
        if skip:
            skip -= 1
        else:
            sandbox.troubles.add(provider, reference, "execute", "lost_answer")
    trouble = script.trouble or script.name
    sandbox.troubles.add(provider, reference, script.on or "shopper", trouble, seconds=seconds, skip=skip)
    if script.name == "paid_after_expiry" and seconds is not None:
        set_lifetime(sandbox, provider, reference, seconds)
    return sandbox.troubles.about(provider, reference)


def set_lifetime(sandbox: Sandbox, provider: str, reference: str, seconds: float) -> None:
    """Let checkouts of this order live so long from their opening; an open checkout, from now."""
    sandbox.state.set(f"lifetime {provider} {reference}", repr(seconds))
    session = sandbox.sessions.latest(provider, reference)
    if session is not None and session.payable:
        ends_at = min(session.expires_at, sandbox.state.now() + seconds)
        sandbox.sessions.save(replace(session, expires_at=ends_at))
