"""SSLCOMMERZ's refunds: a GET that gives money back, and the question how far a refund is.

`success` says that the request was accepted; `refunded` that the money went back. No other answer shows a refund.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from worker.playground.sandbox.gateway_call import GatewayReply
from worker.playground.sandbox.money_back import give_back
from worker.playground.sandbox.simulated_gateway import Impossible, SimulatedGateway
from worker.playground.sandbox.times import naive_seconds


def refund(gateway: SimulatedGateway, query: Mapping[str, str]) -> GatewayReply:
    bank_tran_id = query.get("bank_tran_id", "")
    made = gateway.sessions.transaction(gateway.name, bank_tran_id)
    session = None if made is None else gateway.sessions.get(gateway.name, made.session_id)
    if session is None:
        return _refused(bank_tran_id, "Invalid bank_tran_id")
    if not 0 < len(query.get("refund_trans_id", "")) <= 30:
        return _refused(bank_tran_id, "refund_trans_id is required")
    try:
        give_back(gateway, session, query["refund_amount"], webhook=False)
    except Impossible as why:
        return _refused(bank_tran_id, str(why))
    told = {
        "APIConnect": "DONE",
        "bank_tran_id": bank_tran_id,
        "trans_id": session.reference,
        "refund_ref_id": "".join(gateway.draw(session.reference).choices("0123456789abcdef", k=13)),
    }
    returned = gateway.sessions.get(gateway.name, session.session_id) or session
    kept = [*returned.notes.get("refunds", []), {**told, "at": gateway.state.now()}]
    gateway.sessions.save(replace(returned, notes={**returned.notes, "refunds": kept}))
    return GatewayReply(body={**told, "status": "success", "errorReason": ""})


def ask_refund(gateway: SimulatedGateway, refund_ref_id: str) -> GatewayReply:
    for session in gateway.sessions.of(gateway.name, None):
        for kept in session.notes.get("refunds", []):
            if kept["refund_ref_id"] == refund_ref_id:
                at = naive_seconds(kept["at"])
                told = {name: value for name, value in kept.items() if name != "at"}
                dates = {"initiated_on": at, "refunded_on": at}
                return GatewayReply(body={**told, **dates, "status": "refunded", "errorReason": ""})
    return GatewayReply(body={"APIConnect": "DONE", "refund_ref_id": refund_ref_id, "errorReason": "Not found"})


def _refused(bank_tran_id: str, why: str) -> GatewayReply:
    told = {"trans_id": "", "refund_ref_id": "", "status": "failed", "errorReason": why}
    return GatewayReply(body={"APIConnect": "DONE", "bank_tran_id": bank_tran_id, **told})
