"""Receives Payproof's webhooks and ships paid orders, once. WSGI: run it under any server, or alone for a try.

Events come at least once, sometimes twice and out of order. 2xx is answered only after the event is stored.
An order is one row of `shipments`, ever. It may leave while `stop` is null: a payment of it is completed, not held
and not at high risk. One that has left and is stopped is for a person.
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
TABLES = """create table if not exists payments (id text primary key, version, order_id text, stop);
            create table if not exists shipments (order_id text primary key, stop);"""
NEWER = """replace into payments select :payment_id, :version, :name, :stop
    where not exists (select 1 from payments where id = :payment_id and version >= :version)"""
SHIP = """insert into shipments select order_id, stop from payments where order_id = ? order by stop is not null, stop
    limit 1 on conflict (order_id) do update set stop = excluded.stop"""
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
    """Store a newer snapshot, and derive from all payments of its order whether that may leave."""
    stop = payment["hold"] or ("risk" if payment.get("risk") == "high" else payment["status"])
    name = payment["order"] or payment["reference"]
    newer = payment | {"name": name, "stop": None if stop == "completed" else stop}
    with closing(sqlite3.connect(DATABASE)) as database, database:  # one transaction
        if database.execute(NEWER, newer).rowcount:
            database.execute(SHIP, [name])


def application(environ, start_response):
    size = environ.get("CONTENT_LENGTH") or ""
    body = environ["wsgi.input"].read(min(int(size), MOST) if size.isdecimal() else 0)  # the bytes as they came
    authentic = environ["REQUEST_METHOD"] == "POST" and verified(environ, body)
    event = json.loads(body) if authentic else {"type": ""}
    if event["type"].startswith("payment."):  # others, such as payproof.test, are taken too
        take(event["data"])
    start_response("200 OK" if authentic else "401 Unauthorized", [("Content-Type", "text/plain")])
    return [b""]


sqlite3.connect(DATABASE).executescript(TABLES).connection.close()
if __name__ == "__main__":
    make_server("127.0.0.1", int(os.environ.get("PORT", "9000")), application).serve_forever()
