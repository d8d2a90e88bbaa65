-- migrate:up transaction:false

-- As 0045.
create index concurrently if not exists transactions_folded on transactions (lower(transaction_id collate "C"))
    where transaction_id <> lower(transaction_id collate "C");

-- migrate:down transaction:false
drop index concurrently if exists transactions_folded;
