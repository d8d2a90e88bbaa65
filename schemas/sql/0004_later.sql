-- migrate:up

alter table queue add column later boolean not null default false;
comment on column queue.later is 'Repeats what was said about its payment again and again; heard when nothing else waits';

drop index queue_available;
create index queue_available on queue (provider, later, available_at, id);

-- migrate:down
drop index queue_available;
create index queue_available on queue (provider, available_at, id);
alter table queue drop column later;
