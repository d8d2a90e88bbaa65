-- migrate:up

create table relays (
    name text primary key,
    place bigint not null
);
comment on table relays is 'How far the log has been carried on, by to where; one carrier at a time holds its row';

-- migrate:down
drop table relays;
