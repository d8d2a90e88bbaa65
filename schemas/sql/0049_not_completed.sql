-- migrate:up transaction:false

-- The list of one status, with all that its sums need. Completed payments are most of all, so payments_listed finds them
-- quickly, and they are not here. It does not begin with the merchant: see 0038.
create index concurrently if not exists payments_not_completed on payments (status, merchant, opened_at desc, id desc)
    include (hold, amount, account, provider) where status <> 'completed';

-- migrate:down transaction:false
drop index concurrently if exists payments_not_completed;
