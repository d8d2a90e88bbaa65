// bkash-payment, which sends amounts as numbers: a payment with its Execute, the query, the search, a refund.
"use strict";
const { SANDBOX, SHOP, client, does, tell } = require("./buyer.cjs");
const bkash = client("bkash-payment");

const config = {
  base_url: `${SANDBOX}/bkash/v1.2.0-beta`,
  username: "sandbox-bkash-user",
  password: "sandbox-bkash-password",
  app_key: "sandbox-bkash-app-key",
  app_secret: "sandbox-bkash-app-secret",
};

(async () => {
  const created = await bkash.createPayment(config, {
    amount: 1500.5,
    callbackURL: `${SHOP}/b`,
    orderID: "node-1",
    reference: "1",
  });
  const { paymentID } = created;
  const unpaid = await bkash.queryPayment(config, paymentID);
  await does("bkash", "node-1");
  const executed = await bkash.executePayment(config, paymentID);
  const { trxID } = executed;
  const asked = await bkash.queryPayment(config, paymentID);
  const found = await bkash.searchTransaction(config, trxID);
  const wanted = { paymentID, trxID, amount: "500.50", sku: "book", reason: "returned" };
  const refund = await bkash.refundTransaction(config, wanted);
  const again = await bkash.refundTransaction(config, wanted);
  tell({
    page: created.bkashURL,
    transaction_id: asked.trxID,
    statuses: [unpaid, executed, asked, found, refund].map((one) => one.transactionStatus),
    amount: asked.amount,
    refunded_once: refund.refundTrxID === again.refundTrxID,
  });
})();
