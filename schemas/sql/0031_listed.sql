-- migrate:up transaction:false

-- What a list filters by and what its sums add stand in the index, so a page and its sums read the payments themselves
-- only for what they show.
create index concurrently if not exists payments_listed on payments (merchant, opened_at desc, id desc)
    include (status, hold, amount, account, provider);

-- migrate:down transaction:false
drop index concurrently if exists payments_listed;
