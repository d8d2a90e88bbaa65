-- migrate:up transaction:false

-- payments_attempts has the same rows.
drop index concurrently if exists payments_order;

-- migrate:down transaction:false
create index concurrently if not exists payments_order on payments (merchant, order_ref) where order_ref is not null;
