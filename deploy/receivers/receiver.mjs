// Receives Payproof's webhooks and ships paid orders, once. Needs `npm i postgres` and the usual PGHOST, PGUSER,
// PGPASSWORD and PGDATABASE of the shop's own Postgres.
//
// Events come at least once, sometimes twice and out of order. 2xx is answered only after the event is stored.
// `shipments` is what may leave: where `stop` is null, at most one of an order, paid by any payment of it. One that was
// refunded is over, and new money makes a new one. One that has left and is stopped is for a person.
import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";
import postgres from "postgres";

const { PAYPROOF_WEBHOOK_SECRET, PORT = 9000 } = process.env;
const KEY = Buffer.from(PAYPROOF_WEBHOOK_SECRET.replace(/^whsec_/, ""), "base64");
if (KEY.length < 24) throw new Error("PAYPROOF_WEBHOOK_SECRET is no whsec_ secret"); // anyone can sign with ""
const MOST = 1 << 20; // bytes; an event has a few thousand
const sql = postgres({ onnotice: () => {} });
await sql`create table if not exists payments
  (id text primary key, version int, status text, hold text, order_id text, stop text)`;
await sql`create table if not exists shipments (payment_id text primary key, order_id text, stop text)`;

function verified(headers, body) { // whether Payproof sent these bytes, within five minutes (Standard Webhooks 1.0)
  const { "webhook-id": event = "", "webhook-timestamp": sentAt = "", "webhook-signature": given = "" } = headers;
  if (!/^[0-9]{1,12}$/.test(sentAt) || Math.abs(Date.now() / 1000 - sentAt) > 300) return false;
  const digest = createHmac("sha256", KEY).update(`${event}.${sentAt}.`, "latin1").update(body).digest("base64");
  const expected = Buffer.from(`v1,${digest}`);
  const same = (one) => one.length === expected.length && timingSafeEqual(one, expected);
  return given.split(" ").some((one) => same(Buffer.from(one)));
}

const take = (payment) =>
  sql.begin(async (sql) => { // one transaction; replace its last lines by your own work
    const { payment_id: id, version, status, hold, reference, order = null, risk = null } = payment;
    const [name, why] = [order ?? reference, hold ?? (risk === "high" ? "risk" : status)];
    await sql`select pg_advisory_xact_lock(hashtext(${name}))`; // one event of an order after the other
    const { count: newer } = await sql`
      insert into payments values (${id}, ${version}, ${status}, ${hold}, ${name}, nullif(${why}, 'completed'))
      on conflict (id) do update set version = excluded.version, status = excluded.status, hold = excluded.hold,
        stop = excluded.stop where payments.version < excluded.version`;
    if (!newer) return; // not newer than what is known
    const [best] = await sql`select id, stop from payments where order_id = ${name}
      order by stop is not null, status <> 'completed', status <> 'refunded', id limit 1`;
    const { count: there } = await sql`
      update shipments set stop = ${best.stop} where order_id = ${name} and stop is distinct from 'refunded'`;
    if (best.stop === null && !there) {
      await sql`insert into shipments values (${best.id}, ${name}) on conflict (payment_id) do update set stop = null`;
    }
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
