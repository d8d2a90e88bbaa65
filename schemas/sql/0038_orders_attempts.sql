-- migrate:up transaction:false

-- The attempts of an order, as payments_order has them until 0039. Statements that are planned while payments is empty
-- find all indexes alike that begin with the merchant, and take the one that was made last. That must not be
-- payments_listed: with it such a statement would read all payments of the merchant.
create index concurrently if not exists payments_attempts on payments (merchant, order_ref) where order_ref is not null;

-- migrate:down transaction:false
drop index concurrently if exists payments_attempts;
