-- migrate:up transaction:false
create index concurrently if not exists archive_default_old on archive_default (received_at);

-- migrate:down transaction:false
drop index concurrently archive_default_old;
