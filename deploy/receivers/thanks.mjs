// The page that the buyer comes back to: it shows what Payproof verified, and ships nothing.
import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";

const { PAYPROOF_WEBHOOK_SECRET, PORT = 9001 } = process.env;
const KEY = Buffer.from(PAYPROOF_WEBHOOK_SECRET.replace(/^whsec_/, ""), "base64");
if (KEY.length < 24) throw new Error("PAYPROOF_WEBHOOK_SECRET is no whsec_ secret"); // anyone can sign with ""
const WORDS = new Map(Object.entries({
  completed: "Paid. Thank you!", held: "Your payment needs a look. We will write to you.",
  refunded: "Your money is on its way back.", failed: "Not paid. Please try again.",
  cancelled: "Not paid. Please try again.", expired: "Not paid in time. Please try again.",
}));

// The status of the buyer's own attempt; undefined where Payproof did not write it, or wrote it about another.
function verifiedStatus(query, reference) {
  const text = ["payment_id", "reference", "status"].map((name) => query.get(name) ?? "").join(".");
  const expected = Buffer.from(createHmac("sha256", KEY).update(`payproof-return.${text}`).digest("hex"));
  const given = Buffer.from(query.get("signature") ?? "");
  const right = given.length === expected.length && timingSafeEqual(given, expected)
    && /^pay_[0-9a-z]{26}$/.test(query.get("payment_id")); // no other place for its dots
  return right && query.get("reference") === reference ? query.get("status") : undefined;
}

createServer((request, response) => {
  const { pathname, searchParams } = new URL(request.url, "http://shop");
  const reference = decodeURIComponent(pathname).replace("/thanks/", ""); // in your shop: that of the buyer's session
  const status = verifiedStatus(searchParams, reference);
  response.writeHead(200, { "Content-Type": "text/html; charset=utf-8" });
  response.end(`<!doctype html><title>Thanks</title><p>${WORDS.get(status) ?? "We are checking."}`);
}).listen(PORT, "127.0.0.1");
