"""ShadhinPay's idempotency keys (https://shadhinpay.com/docs/developers/idempotency).

A key is remembered for 24 hours: the same body brings the first answer again with `Idempotent-Replay: true`, a
different body brings 409. Bodies are compared after sorting keys and dropping white space.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Protocol

from worker.playground.sandbox.gateway_call import Call, GatewayReply
from worker.playground.sandbox.state import State

REMEMBERED = 24 * 3600


class Remembers(Protocol):
    state: State

    def conflict(self, message: str) -> GatewayReply: ...


def remembered(gateway: Remembers, key: str, call: Call, do: Callable[[], GatewayReply]) -> GatewayReply:
    """Answer as before where the key is known, else `do` it and remember its answer. A refusal is not remembered."""
    call.document()
    fingerprint = hashlib.sha256(json.dumps(json.loads(call.body), sort_keys=True).encode()).hexdigest()
    db, now = gateway.state.db, gateway.state.now()
    row = db.execute("SELECT * FROM idempotency WHERE key = ? AND at > ?", (key, now - REMEMBERED)).fetchone()
    if row is None:
        reply = do()
        values = (key, fingerprint, reply.status, reply.written(), now)
        db.execute("INSERT OR REPLACE INTO idempotency VALUES (?, ?, ?, ?, ?)", values)
        return reply
    if row["fingerprint"] != fingerprint:
        return gateway.conflict("The idempotency key was used with another body")
    return GatewayReply(status=row["status"], body=json.loads(row["answer"]), headers={"Idempotent-Replay": "true"})
