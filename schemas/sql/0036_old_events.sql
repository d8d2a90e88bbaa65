-- migrate:up

-- Deliveries outlive no event, and no event has a delivery that waits when it is deleted: delete_old_events() sees to
-- both. The foreign key would look for each deleted event in all deliveries, without an index.
--
-- Writers lock the two tables in either order. So this gives both back and tries again before anybody is in a deadlock.
-- locks: events and deliveries, for a moment; a try waits for 0.2 s at most
do $$
begin
    set local lock_timeout = '200ms';
    for attempt in 1..300 loop
        begin
            lock table events, deliveries in access exclusive mode;
            exit;
        exception when lock_not_available then
            if attempt = 300 then
                raise;
            end if;
            perform pg_sleep(0.1);
        end;
    end loop;
end $$;
alter table deliveries drop constraint deliveries_event_id_fkey;

create table log_floors (
    merchant text primary key,
    place bigint not null,
    deleted_until timestamptz not null
);
comment on table log_floors is 'From which place on a merchant''s log is whole, where retention has deleted events: GET /v1/events answers 410 to an older cursor';
comment on column log_floors.place is 'The highest place of a deleted event. Of each payment the newest event is still there, also below';
comment on column log_floors.deleted_until is 'The newest time of a deleted event';

insert into access (relation, ingress, worker, reader) values ('log_floors', 'select', 'select', 'select');
insert into retention_runs (task) values ('events');

-- Walks up to `most` events along the log, from where the last walk ended (relays, 'retention') until events are younger
-- than `kept`, and returns how many it walked. Of each payment that it meets it deletes the events that are older than
-- `kept`, with their deliveries, but never the newest event: that is the state of the payment as the shop was told.
--
-- It stops before an event that RabbitMQ has not confirmed, or that an endpoint of `readers` has no deliveries of yet.
-- It passes over an event with a delivery that waits. It never deletes the last event of the log, after which the next
-- place is counted.
create function delete_old_events(kept interval, most int, readers text[]) returns int
language plpgsql security definer
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set plan_cache_mode = force_generic_plan as $$
declare
    old constant timestamptz := clock_timestamp() - kept;
    all_endpoints constant text[] := array(select n.id from endpoints n);
    reached bigint;
    bound bigint;
    last bigint;
    walked int;
    gone text[];
begin
    if kept < interval '30 days' then
        raise exception 'events are kept for 30 days at least' using errcode = 'invalid_parameter_value';
    end if;
    insert into relays (name, place) values ('retention', 0) on conflict do nothing;
    select r.place into reached from relays r where r.name = 'retention' for update;
    bound := least(
        (select e.place - 1 from events e where e.place is not null order by e.place desc limit 1),
        (select r.place from relays r where r.name = 'rabbitmq'),
        (select min(unread.place) - 1 from endpoints n cross join lateral (
            select e.place from events e
            where (e.merchant, e.place) > (n.merchant, n.place) and (e.merchant, e.place) <= (n.merchant, 9223372036854775807)
                and e.place is not null
            order by e.merchant, e.place limit 1) unread
            where n.id = any(readers)));
    select coalesce(min(w.place) filter (where w.time >= old) - 1, max(w.place)) into last
    from (select e.place, e.time from events e where e.place > reached and e.place <= bound order by e.place limit most) w;
    if last is null or last <= reached then
        return 0;
    end if;
    select count(*) into walked from events e where e.place > reached and e.place <= last;
    with met as (
        select distinct e.payment_id from events e where e.place > reached and e.place <= last),
    deleted as (
        delete from events e
        where e.payment_id = any(array(select met.payment_id from met)) and e.place <= last and e.time < old
            and e.version < (select max(n.version) from events n where n.payment_id = e.payment_id)
            and (select true from deliveries d
                where d.endpoint = any(all_endpoints) and d.event_id = e.id and d.next_at is not null limit 1) is null
        returning e.id, e.merchant, e.place, e.time),
    raised as (
        insert into log_floors (merchant, place, deleted_until)
        select d.merchant, max(d.place), max(d.time) from deleted d group by d.merchant order by 1
        on conflict (merchant) do update set place = greatest(log_floors.place, excluded.place),
            deleted_until = greatest(log_floors.deleted_until, excluded.deleted_until))
    select array_agg(d.id) into gone from deleted d;
    delete from deliveries d where d.endpoint = any(all_endpoints) and d.event_id = any(gone);
    update relays set place = last where name = 'retention';
    return walked;
end
$$;
comment on table relays is 'How far the log is published, by to where; and how far retention has walked along it';
revoke execute on function delete_old_events(interval, int, text[]) from public;
do $$ begin
    execute format('alter function delete_old_events(interval, int, text[]) set search_path = %I, pg_temp', current_schema());
end $$;
select grant_access();

-- migrate:down
drop function delete_old_events(interval, int, text[]);
delete from retention_runs where task = 'events';
delete from access where relation = 'log_floors';
drop table log_floors;
delete from relays where name = 'retention';
comment on table relays is 'How far the log has been carried on, by to where; who carries holds a lock of its session';
delete from deliveries d where not exists (select from events e where e.id = d.event_id);
alter table deliveries add constraint deliveries_event_id_fkey foreign key (event_id) references events (id);
