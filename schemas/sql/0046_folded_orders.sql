-- migrate:up transaction:false

-- As 0045. It does not begin with the merchant: see 0038.
create index concurrently if not exists payments_folded_order on payments (lower(order_ref collate "C"))
    where order_ref <> lower(order_ref collate "C");

-- migrate:down transaction:false
drop index concurrently if exists payments_folded_order;
