-- migrate:up transaction:false

-- Names are found in any case. A name without capital letters is found by the index that is there; this index has only
-- the others, so a shop that writes small letters pays nothing for it. Collation C folds A to Z on every machine alike.
create index concurrently if not exists payments_folded_reference on payments (lower(reference collate "C"))
    where reference <> lower(reference collate "C");

-- migrate:down transaction:false
drop index concurrently if exists payments_folded_reference;
