-- migrate:up transaction:false

-- payments_listed has the same order.
drop index concurrently if exists payments_newest;

-- migrate:down transaction:false
create index concurrently if not exists payments_newest on payments (merchant, opened_at desc, id desc);
