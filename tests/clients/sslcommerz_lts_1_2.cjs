// sslcommerz-lts: the vendor's library for Node.js. A session, the validation, both queries, a refund.
"use strict";
const { SANDBOX, SHOP, client, does, tell } = require("./buyer.cjs");
const SSLCommerzPayment = client("sslcommerz-lts");

const gateway = new SSLCommerzPayment("sandboxstore001", "sandbox-sslcommerz-password", false);
const vendor = gateway.baseURL;
for (const field of Object.keys(gateway).filter((name) => String(gateway[name]).startsWith(vendor)))
  gateway[field] = gateway[field].replace(vendor, `${SANDBOX}/sslcommerz`);

(async () => {
  const opened = await gateway.init({
    total_amount: 1500.5,
    currency: "BDT",
    tran_id: "lts-1",
    success_url: `${SHOP}/s`,
    fail_url: `${SHOP}/f`,
    cancel_url: `${SHOP}/c`,
    ipn_url: `${SHOP}/i`,
    shipping_method: "NO",
    product_name: "Books",
    product_category: "books",
    product_profile: "general",
    cus_name: "Rahima",
    cus_email: "rahima@shop.example",
    cus_add1: "1 Road",
    cus_city: "Dhaka",
    cus_country: "Bangladesh",
    cus_phone: "01700000000",
  });
  const paid = await does("sslcommerz", "lts-1");
  const validated = await gateway.validate({ val_id: paid.form.val_id });
  const listed = await gateway.transactionQueryByTransactionId({ tran_id: "lts-1" });
  const session = await gateway.transactionQueryBySessionId({ sessionkey: opened.sessionkey });
  const refund = await gateway.initiateRefund({
    refund_amount: 100,
    refund_remarks: "returned",
    bank_tran_id: validated.bank_tran_id,
    refe_id: "r1",
  });
  tell({
    page: opened.GatewayPageURL,
    transaction_id: validated.bank_tran_id,
    statuses: [validated.status, listed.element[0].status, session.status],
    amount: validated.currency_amount,
    refund: refund.status,
  });
})();
