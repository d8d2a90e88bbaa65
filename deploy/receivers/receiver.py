"""Receives Payproof's webhooks and ships paid orders, once. WSGI: run it under any server, or alone for a try.

Events come at least once, sometimes twice and out of order. 2xx is answered only after the event is stored.
`shipments` is what may leave: an order whose `stop` is null. A parcel that has left and is stopped is for a person.
"""

import base64
import hmac
import json
import os
import re
import sqlite3
import time
from contextlib import closing
from wsgiref.simple_server import make_server

KEY = base64.b64decode(os.environ["PAYPROOF_WEBHOOK_SECRET"].removeprefix("whsec_"))
if len(KEY) < 24:  # anyone can sign with an empty key
    raise SystemExit("PAYPROOF_WEBHOOK_SECRET is no whsec_ secret")
DATABASE = os.environ.get("DATABASE", "shop.sqlite")
TABLES = """create table if not exists payments (id text primary key, version int, status text, hold text);
            create table if not exists shipments (order_id text primary key, payment_id text, stop text);"""
NEWER = """insert into payments values (:payment_id, :version, :status, :hold) on conflict (id) do update
    set version = excluded.version, status = excluded.status, hold = excluded.hold where version < excluded.version"""
SHIP = """insert into shipments values (?, ?, null) on conflict (order_id) do update
    set payment_id = excluded.payment_id, stop = null where stop is not null"""
MOST = 1 << 20  # bytes; an event has a few thousand


def verified(environ, body):
    """Whether Payproof sent these bytes, within the last five minutes (Standard Webhooks 1.0)."""
    event, sent_at = environ.get("HTTP_WEBHOOK_ID", ""), environ.get("HTTP_WEBHOOK_TIMESTAMP", "")
    if not re.fullmatch("[0-9]{1,12}", sent_at) or abs(time.time() - int(sent_at)) > 300:
        return False
    digest = hmac.digest(KEY, f"{event}.{sent_at}.".encode("latin-1") + body, "sha256")
    given = environ.get("HTTP_WEBHOOK_SIGNATURE", "").encode("latin-1").split()
    return any(hmac.compare_digest(b"v1," + base64.b64encode(digest), one) for one in given)


def take(payment):
    """Store a newer snapshot, and what it means for its order. Replace the last lines by your own work."""
    stop = payment["hold"] or ("risk" if payment.get("risk") == "high" else payment["status"])
    with closing(sqlite3.connect(DATABASE)) as database, database:  # one transaction
        if not database.execute(NEWER, payment).rowcount:
            return  # not newer than what is known
        if stop == "completed":
            database.execute(SHIP, (payment["order"] or payment["reference"], payment["payment_id"]))
        else:
            database.execute("update shipments set stop = ? where payment_id = ?", (stop, payment["payment_id"]))


def application(environ, start_response):
    body = environ["wsgi.input"].read(min(int(environ.get("CONTENT_LENGTH") or 0), MOST))  # the bytes as they came
    authentic = environ["REQUEST_METHOD"] == "POST" and verified(environ, body)
    event = json.loads(body) if authentic else {"type": ""}
    if event["type"].startswith("payment."):  # others, such as payproof.test, are taken too
        take(event["data"])
    start_response("200 OK" if authentic else "401 Unauthorized", [("Content-Type", "text/plain")])
    return [b""]


with closing(sqlite3.connect(DATABASE)) as tables:
    tables.executescript(TABLES)
if __name__ == "__main__":
    make_server("127.0.0.1", int(os.environ.get("PORT", "9000")), application).serve_forever()
