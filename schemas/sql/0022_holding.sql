-- migrate:up

-- Whoever takes a claim in hand names a lock that its session holds. When it dies the lock is free, and so is the claim.
alter table queue add column holder bigint;
comment on column queue.holder is 'The advisory lock of the process that has it in hand, which is free again when nobody holds that lock. Null: nobody has it, or a program that only leaves available_at behind';
-- Only what is in hand, so that each holder is found with one look.
create index queue_held on queue (holder) where holder is not null;

-- migrate:down
drop index queue_held;
alter table queue drop column holder;
