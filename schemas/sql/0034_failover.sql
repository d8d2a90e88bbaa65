-- migrate:up

-- A server that took over may lack the last commits of the server before it. Their events were perhaps sent, so their
-- ids and positions must not be given again with other contents.
alter table servers
    add column version_floor int not null default 0,
    add column raised_for text,
    add column asked_again_at timestamptz;
comment on column servers.version_floor is 'A payment''s next version is above it, and so above every version that the servers before may have given';
comment on column servers.raised_for is 'The server that the floor and the positions were raised for; programs of 0.3.0 note a name alone';
comment on column servers.asked_again_at is 'When the payments that were open at since were all made due; null: not yet';
-- A restored backup has raised the versions by 1,000 and the newest position by a billion, each time.
update servers set version_floor = least(
    1000000, 1000 * (select coalesce(max(place), 0) from events) / 1000000000)::int,
    raised_for = name, asked_again_at = since;

-- The events that a process saw committed or sent, and that the server that took over does not have.
create table lost_events (
    id text primary key,
    payment_id text not null,
    type text not null,
    merchant text not null,
    account text not null,
    reference text,
    found_at timestamptz not null default clock_timestamp()
);
create index lost_events_found on lost_events (found_at);
create index lost_events_reference on lost_events (account, reference);
comment on table lost_events is 'Events that were committed and are missing since another server took over';
comment on column lost_events.reference is 'The payment''s; null where the process that remembers the event did not know it';

-- The same name for all users: one who may not ask for it would take the server for another.
alter function server_name() security definer set search_path = pg_catalog, pg_temp;

-- Notes the server that this database is on, for the first process that comes to it. Where another server was here
-- before, it took over now: versions and positions go on above all that the other may have given. A position moves once,
-- of the newest event, under the lock of the writer that gives positions. On a standby it notes nothing, and `name` is null.
create function meet_server() returns table (name text, since timestamptz, version_floor int, took_over boolean)
language plpgsql security definer as $$
declare
    here constant text := server_name();
    at servers;
begin
    select s.* into at from servers s;
    if here is null or (at.name = here and at.raised_for = here) then
        return query select here, at.since, coalesce(at.version_floor, 0), false;
        return;
    end if;
    perform pg_advisory_xact_lock(7242001);
    insert into servers (name, raised_for) values (here, here) on conflict do nothing;
    select s.* into at from servers s for update;
    if at.name = here and at.raised_for = here then -- the first server, or another process noted it meanwhile
        return query select at.name, at.since, at.version_floor, false;
        return;
    end if;
    if not exists (select from events where place is not null) then
        perform place_left_events(500);
    end if;
    update events e set place = e.place + 1000000 where e.place = (select max(place) from events);
    return query
    update servers s set name = here, raised_for = here, since = clock_timestamp(), version_floor = s.version_floor + 1000,
        asked_again_at = null
    returning s.name, s.since, s.version_floor, true;
end
$$;
-- A function that runs as its owner looks only where its owner put things, and last where anyone may.
do $$ begin
    execute format('alter function meet_server() set search_path = %I, pg_temp', current_schema());
end $$;

insert into access (relation, ingress, worker, reader)
values ('lost_events', 'select, insert, update', 'select, insert, update, delete', 'select');
update access set ingress = 'select' where relation = 'servers';
insert into retention_runs (task) values ('lost_events');
select grant_access();

-- migrate:down
delete from retention_runs where task = 'lost_events';
delete from access where relation = 'lost_events';
update access set ingress = '' where relation = 'servers';
select grant_access();
drop function meet_server();
alter function server_name() security invoker reset search_path;
drop table lost_events;
alter table servers drop column asked_again_at, drop column raised_for, drop column version_floor;
