"""Receives Payproof's webhooks and ships paid orders, once. WSGI: run it under any server, or alone for a try.

Events come at least once, sometimes twice and out of order. 2xx is answered only after the event is stored.
`shipments` is what may leave: where `stop` is null, at most one of an order, paid by any payment of it. One that was
refunded is over, and new money makes a new one. One that has left and is stopped is for a person.
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
TABLES = """create table if not exists payments (id text primary key, version, status, hold, order_id text, stop);
            create table if not exists shipments (payment_id text primary key, order_id text, stop);"""
NEWER = """replace into payments select :payment_id, :version, :status, :hold, :name, :stop
    where not exists (select 1 from payments where id = :payment_id and version >= :version)"""
BEST = """select id, stop from payments where order_id = ?
    order by stop is not null, status <> 'completed', status <> 'refunded', id limit 1"""
STOP = "update shipments set stop = ? where order_id = ? and stop is not 'refunded'"  # or, with null, lets it leave
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
    """Store a newer snapshot, and tell its order anew from all its payments. Replace the last lines by your work."""
    stop = payment["hold"] or ("risk" if payment.get("risk") == "high" else payment["status"])
    name = payment["order"] or payment["reference"]
    with closing(sqlite3.connect(DATABASE)) as database, database:  # one transaction
        newer = payment | {"name": name, "stop": None if stop == "completed" else stop}
        if database.execute(NEWER, newer).rowcount:
            best, stop = database.execute(BEST, [name]).fetchone()
            if not database.execute(STOP, [stop, name]).rowcount and stop is None:
                database.execute("replace into shipments values (?, ?, null)", [best, name])


def application(environ, start_response):
    body = environ["wsgi.input"].read(min(int(environ.get("CONTENT_LENGTH") or 0), MOST))  # the bytes as they came
    authentic = environ["REQUEST_METHOD"] == "POST" and verified(environ, body)
    event = json.loads(body) if authentic else {"type": ""}
    if event["type"].startswith("payment."):  # others, such as payproof.test, are taken too
        take(event["data"])
    start_response("200 OK" if authentic else "401 Unauthorized", [("Content-Type", "text/plain")])
    return [b""]


sqlite3.connect(DATABASE).executescript(TABLES).connection.close()
if __name__ == "__main__":
    make_server("127.0.0.1", int(os.environ.get("PORT", "9000")), application).serve_forever()
