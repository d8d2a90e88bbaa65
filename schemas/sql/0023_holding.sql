-- migrate:up

-- A worker that takes a claim in hand names a lock that its session holds. When it dies the
-- lock is free, and so is the claim.
alter table queue add column holder bigint;
comment on column queue.holder is 'The advisory lock of the process that has it in hand, which is free again when nobody holds that lock. Null: nobody has it, or a program that only leaves available_at behind';
-- attempts counts how often it was handed out, whatever became of those who had it. Only its own failures count against it.
alter table queue add column failures int not null default 0;
comment on column queue.attempts is 'How often it was handed out and not given back';
comment on column queue.failures is 'How often it failed by itself; after some times it is put among the dead';
-- Only what is in hand, so that each holder is found with one look.
create index queue_held on queue (holder) where holder is not null;

-- migrate:down
drop index queue_held;
comment on column queue.attempts is null;
alter table queue drop column failures, drop column holder;
