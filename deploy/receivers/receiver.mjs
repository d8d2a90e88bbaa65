// Receives Payproof's webhooks and ships paid orders, once. Needs `npm i postgres` and the usual PGHOST, PGUSER,
// PGPASSWORD and PGDATABASE of the shop's own Postgres.
//
// Events come at least once, sometimes twice and out of order. 2xx is answered only after the event is stored.
// An order is one row of `shipments`, ever. It may leave while `stop` is null: a payment of it is completed, not held
// and not at high risk. One that has left and is stopped is for a person.
import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";
import postgres from "postgres";

const { PAYPROOF_WEBHOOK_SECRET, PORT = 9000 } = process.env;
const KEY = Buffer.from(PAYPROOF_WEBHOOK_SECRET.replace(/^whsec_/, ""), "base64");
if (KEY.length < 24) throw new Error("PAYPROOF_WEBHOOK_SECRET is no whsec_ secret"); // anyone can sign with ""
const MOST = 1 << 20; // bytes; an event has a few thousand
const sql = postgres({ onnotice: () => {} });
await sql`create table if not exists payments (id text primary key, version int, order_id text, stop text)`;
await sql`create table if not exists shipments (order_id text primary key, stop text)`;

function verified(headers, body) { // whether Payproof sent these bytes, within five minutes (Standard Webhooks 1.0)
  const { "webhook-id": event = "", "webhook-timestamp": sentAt = "", "webhook-signature": given = "" } = headers;
  if (!/^[0-9]{1,12}$/.test(sentAt) || Math.abs(Date.now() / 1000 - sentAt) > 300) return false;
  const digest = createHmac("sha256", KEY).update(`${event}.${sentAt}.`, "latin1").update(body).digest("base64");
  const expected = Buffer.from(`v1,${digest}`);
  const same = (one) => one.length === expected.length && timingSafeEqual(one, expected);
  return given.split(" ").some((one) => same(Buffer.from(one)));
}

// Stores a newer snapshot, and derives from all payments of its order whether that may leave.
const take = ({ payment_id: id, version, status, hold, reference, order = null, risk = null }) =>
  sql.begin(async (sql) => { // one transaction
    const [name, why] = [order ?? reference, hold ?? (risk === "high" ? "risk" : status)];
    await sql`select pg_advisory_xact_lock(hashtext(${name}))`; // one event of an order after the other
    const { count: newer } = await sql`
      insert into payments values (${id}, ${version}, ${name}, nullif(${why}, 'completed'))
      on conflict (id) do update set version = excluded.version, stop = excluded.stop
      where payments.version < excluded.version`;
    if (newer) await sql`
      insert into shipments select order_id, stop from payments where order_id = ${name}
      order by stop is not null, stop limit 1 on conflict (order_id) do update set stop = excluded.stop`;
  });

async function answer(request) {
  const parts = []; // the bytes as they came
  for await (const part of request) {
    parts.push(part);
    if (parts.reduce((size, { length }) => size + length, 0) > MOST) return 413;
  }
  const body = Buffer.concat(parts);
  if (request.method !== "POST" || !verified(request.headers, body)) return 401;
  const event = JSON.parse(body);
  if (event.type.startsWith("payment.")) await take(event.data); // others, such as payproof.test, are taken too
  return 200;
}

const fails = (error) => (console.error(error), 500); // it is sent again
createServer((request, response) => answer(request).catch(fails).then((status) => response.writeHead(status).end()))
  .listen(PORT, "127.0.0.1");
