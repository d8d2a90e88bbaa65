// shurjopay: the vendor's package for Node.js. It follows the token answer's execute_url, with the token in the body.
"use strict";
const { SANDBOX, SHOP, client, does, tell } = require("./buyer.cjs");
const plugin = client("shurjopay")();

plugin.config(`${SANDBOX}/shurjopay`, "sandbox-shurjopay", "sandbox-shurjopay-password", "SPSBX", `${SHOP}/r`);
const order = {
  amount: 1500.5,
  order_id: "node-1",
  currency: "BDT",
  customer_name: "Rahima",
  customer_address: "1 Road",
  customer_phone: "01700000000",
  customer_city: "Dhaka",
  customer_post_code: "1000",
  client_ip: "127.0.0.1",
};

(async () => {
  const opened = await new Promise((done, failed) => plugin.makePayment(order, done, failed));
  await does("shurjopay", "node-1");
  const [verified] = await new Promise((done, failed) => plugin.verifyPayment(opened.sp_order_id, done, failed));
  const [status] = await new Promise((done, failed) => plugin.paymentStatus(opened.sp_order_id, done, failed));
  tell({
    page: opened.checkout_url,
    transaction_id: status.bank_trx_id,
    statuses: [verified.sp_code, status.sp_code],
    amount: verified.amount,
  });
})();
