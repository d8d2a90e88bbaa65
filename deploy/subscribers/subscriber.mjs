// Ships paid orders, once: gets `payment.completed` from Payproof over RabbitMQ. Needs `npm i amqplib postgres` and
// the usual PGHOST, PGUSER, PGPASSWORD and PGDATABASE of the shop's own Postgres.
//
// Events come at least once, sometimes twice and out of order. An event is stored in one transaction with the work that
// it leads to, and its message is acknowledged after that commit. An unreadable message goes to `<queue>.dead`.
import amqplib from "amqplib";
import postgres from "postgres";
import { setTimeout as sleep } from "node:timers/promises";

const { AMQP_URL, QUEUE = "shop.payments" } = process.env; // a queue for each of your services
const QUORUM = { "x-queue-type": "quorum", "x-delivery-limit": 1000 }; // failing for an hour, it goes to a person too
const FIELDS = ["payment_id", "version", "status", "hold", "reference", "amount"];
const sql = postgres({ onnotice: () => {} });
await sql`create table if not exists events (id text primary key)`;
await sql`create table if not exists payments (id text primary key, version int not null)`;
await sql`create table if not exists shipments (payment_id text primary key, reference text, amount text)`;

function read(content) {
  const { id, data } = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(content));
  if (typeof id !== "string" || FIELDS.some((name) => data[name] === undefined)) throw TypeError("a field is missing");
  return { ...data, id };
}

const act = (event) =>
  sql.begin(async (sql) => { // one transaction; replace its last line by your own work on the same database
    const { count: fresh } = await sql`insert into events values (${event.id}) on conflict do nothing`;
    const { count: newer } = await sql`insert into payments values (${event.payment_id}, ${event.version})
      on conflict (id) do update set version = excluded.version where excluded.version > payments.version`;
    if (!fresh || !newer || event.status !== "completed" || event.hold !== null) return;
    await sql`insert into shipments ${sql(event, "payment_id", "reference", "amount")} on conflict do nothing`;
  });

async function consume(connection) {
  connection.on("error", console.log);
  const channel = (await connection.createChannel()).on("error", console.log);
  channel.prefetch(20);
  await channel.assertQueue(`${QUEUE}.dead`, { durable: true, arguments: QUORUM });
  const toDead = { "x-dead-letter-exchange": "", "x-dead-letter-routing-key": `${QUEUE}.dead` };
  await channel.assertQueue(QUEUE, { durable: true, arguments: { ...QUORUM, ...toDead } });
  await channel.bindQueue(QUEUE, "payproof.events", "payment.completed.#");
  await new Promise((_, end) => {
    for (const one of [connection, channel]) one.on("close", () => end("the broker closed it"));
    const hear = async (message) => {
      if (message === null) throw new Error("the queue was deleted");
      let event;
      try { event = read(message.content); } catch { return channel.reject(message, false); }
      await act(event);
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
