-- migrate:up

-- Payments whose own claims or replies fail each time, for no fault of the database's or another's. Counted in a
-- transaction of its own, before what may fail is tried once more, so that a process that dies of it leaves the count.
create table failures (
    payment_id text primary key,
    failures int not null,
    first_at timestamptz not null,
    last_at timestamptz not null,
    reason text not null,
    stopped_at timestamptz
);
create index failures_stopped on failures (stopped_at) where stopped_at is not null;
comment on table failures is 'Payments that fail by themselves; the row goes when one of their replies is recorded';
comment on column failures.failures is 'How often in a row; an hour without one begins anew';
comment on column failures.reason is 'What the last one died of: an error and its place, no personal data';
comment on column failures.stopped_at is 'Since when nothing more is asked in a loop: five failures over at least five minutes';

alter table dead add column kind text not null default 'claim';
comment on column dead.kind is 'claim: replayed by queueing it. reply: what a gateway answered and could not be recorded; replayed by recording it';

insert into access (relation, ingress, worker, reader)
values ('failures', 'select', 'select, insert, update, delete', 'select');
update access set reader = 'select (id, claim_id, provider, reason, died_at, kind)' where relation = 'dead';
select grant_access();

-- migrate:down
delete from access where relation = 'failures';
update access set reader = 'select (id, claim_id, provider, reason, died_at)' where relation = 'dead';
alter table dead drop column kind;
drop table failures;
