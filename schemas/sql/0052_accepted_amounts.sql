-- migrate:up transaction:false

-- Completed payments of which other money came than was asked for: sums add what came. They are few.
create index concurrently if not exists payments_accepted on payments (merchant, opened_at) where accepted_amount is not null;

-- migrate:down transaction:false
drop index concurrently if exists payments_accepted;
