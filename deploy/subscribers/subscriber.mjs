// Gets Payproof's events over RabbitMQ and ships paid orders, once. Needs `npm i amqplib postgres`, and the PGHOST,
// PGUSER, PGPASSWORD and PGDATABASE of the shop's own Postgres.
//
// Events come at least once, sometimes twice and out of order. A message is acknowledged after its event is stored. An
// unreadable one goes to `<queue>.dead` for a person.
// An order is one row of `shipments`, ever. It may leave while `stop` is null: a payment of it is completed, not held
// and not at high risk. One that has left and is stopped is for a person.
import amqplib from "amqplib";
import postgres from "postgres";
import { setTimeout as sleep } from "node:timers/promises";

const { AMQP_URL, MERCHANT, QUEUE = "shop.payments" } = process.env; // a queue for each of your services
if (!MERCHANT) throw new Error("MERCHANT is not set"); // the events of others are in the exchange too
const QUORUM = { "x-queue-type": "quorum", "x-delivery-limit": 1000 }; // failing for an hour, it goes to a person too
const FIELDS = ["payment_id", "version", "status", "hold", "order", "reference"];
const sql = postgres({ onnotice: () => {} });
await sql`create table if not exists payments (id text primary key, version int, order_id text, stop text)`;
await sql`create table if not exists shipments (order_id text primary key, stop text)`;

function read(content) {
  const { data } = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(content));
  if (FIELDS.some((name) => data[name] === undefined)) throw TypeError("a field is missing");
  return data;
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

async function consume(connection) {
  connection.on("error", console.log);
  const channel = (await connection.createChannel()).on("error", console.log);
  channel.prefetch(20);
  await channel.assertQueue(`${QUEUE}.dead`, { durable: true, arguments: QUORUM });
  const toDead = { "x-dead-letter-exchange": "", "x-dead-letter-routing-key": `${QUEUE}.dead` };
  await channel.assertQueue(QUEUE, { durable: true, arguments: { ...QUORUM, ...toDead } });
  await channel.bindQueue(QUEUE, "payproof.events", `payment.*.${MERCHANT}.*`); // a hold or a refund stops it
  await new Promise((_, end) => {
    for (const one of [connection, channel]) one.on("close", () => end("the broker closed it"));
    const hear = async (message) => {
      if (message === null) throw new Error("the queue was deleted");
      let payment;
      try { payment = read(message.content); } catch { return channel.reject(message, false); }
      await take(payment);
      channel.ack(message);
    };
    let last = Promise.resolve(); // one after the other, as they came
    channel.consume(QUEUE, (message) => (last = last.then(() => hear(message))).catch(end)).catch(end);
  });
}

for (;;) { // when the broker goes away, or the work fails; what was not acknowledged comes again
  const connection = await amqplib.connect(AMQP_URL, { heartbeat: 15, timeout: 10_000 }).catch(console.log);
  if (connection) await consume(connection).catch(console.log).then(() => connection.close()).catch(() => {});
  await sleep(5000);
}
