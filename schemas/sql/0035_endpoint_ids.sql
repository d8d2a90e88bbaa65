-- migrate:up

-- The id that the configuration gives an endpoint. Deliveries belong to the row, so an endpoint that has such an id
-- keeps what waits for it when its URL changes. A program that knows no such id finds its row by merchant and URL.
alter table endpoints add column configured_id text;
comment on column endpoints.configured_id is 'Its id in the configuration, where it has one there. Its URL may change; this id may not';
-- The table has a row for each endpoint of the configuration, so an index of it is built at once.
-- squawk-ignore require-concurrent-index-creation
create unique index endpoints_configured_id on endpoints (merchant, configured_id) where configured_id is not null;

-- Every process tells Prometheus of endpoints that are in no configuration.
update access set ingress = 'select (id, merchant, place, failures, shut_until, disabled_at, configured_id)'
    where relation = 'endpoints';
select grant_access();

-- migrate:down
update access set ingress = 'select (id, merchant, place, failures, shut_until, disabled_at)' where relation = 'endpoints';
select grant_access();
drop index endpoints_configured_id;
alter table endpoints drop column configured_id;
