-- migrate:up

-- Events without a position are found by the index events_unplaced. While an old snapshot is held (a dump, or a standby's
-- feedback) it keeps an entry for every event that was left since, and a look from its start would read them all. So two
-- sequences remember how far the last look came: a sequence is one row that is overwritten, shared by all processes.
create sequence events_placed_until minvalue 0 start 0;
create sequence events_searched_at minvalue 0 start 0;
comment on sequence events_placed_until is 'Microseconds since 1970: the last look found no event before it without a position. A transaction that commits late may still bring one';
comment on sequence events_searched_at is 'Microseconds since 1970: when events without a position were last looked for from the start';
insert into access (relation, ingress, worker, reader) values
    ('events_placed_until', 'select', 'select, update', 'select'),
    ('events_searched_at', 'select', 'select, update', 'select');
select grant_access();

-- From which `time` on a look for events without a position begins: 5 seconds before where the last look ended. An event
-- that commits later than that, or that a clock behind ours wrote, is found by the look from the start, which is due when
-- the last one is `patience` ago. A server's clock that steps back makes that look due at once.
create function unplaced_since(patience interval) returns timestamptz language sql as $$
    select case
        when to_timestamp(searched.last_value / 1e6) between clock_timestamp() - patience and clock_timestamp()
        then least(to_timestamp(placed.last_value / 1e6), clock_timestamp()) - interval '5 s'
        else '-infinity'
    end
    from events_placed_until placed, events_searched_at searched
$$;

-- The oldest events from `since` on and before `until` without a position, `most` at most. It may only use events_unplaced,
-- which has the order of time: the index of `place` keeps an entry for each null that was one.
create function left_events(since timestamptz, until timestamptz, most int)
returns table (payment_id text, version int, "time" timestamptz)
language plpgsql set enable_seqscan = off set enable_sort = off as $$
begin
    return query
    select e.payment_id, e.version, e.time from events e
    where e.place is null and e.time >= since and e.time < until
    order by e.time, e.payment_id, e.version limit most;
end
$$;

-- The time of the oldest event before `until` without a position; null if there is none. It notes how far it looked. A
-- note is kept even if this transaction is rolled back, so it tells only what others have committed.
create function oldest_unplaced(until timestamptz, patience interval) returns timestamptz
language plpgsql as $$
declare
    since constant timestamptz := unplaced_since(patience);
    looked_at constant timestamptz := clock_timestamp();
    noted constant timestamptz := to_timestamp((select last_value from events_placed_until) / 1e6);
    oldest timestamptz;
    placed_until timestamptz;
begin
    if since >= until then
        return null;
    end if;
    oldest := (select e.time from left_events(since, until, 1) e);
    placed_until := coalesce(oldest, least(until, looked_at));
    if oldest is null and since > '-infinity' then
        placed_until := greatest(placed_until, least(noted, looked_at));
    end if;
    -- A note costs the transaction a commit of its own, so it is not moved for less than 5 seconds.
    if placed_until < noted or placed_until >= noted + interval '5 s' then
        perform setval('events_placed_until', greatest(0, extract(epoch from placed_until) * 1000000)::bigint);
    end if;
    if since = '-infinity' then
        perform setval('events_searched_at', (extract(epoch from looked_at) * 1000000)::bigint);
    end if;
    return oldest;
end
$$;

-- Whether this transaction may give the next positions (`place`) of the log. The writer that gives a position holds this
-- lock until its commit, so positions become visible in order and without a gap. It is the last lock that a writer takes.
-- Where another writer commits slowly, this one does not wait: its events are left to the relay.
--
-- Times rise with positions, except for events that get theirs late, so a reader finds a time by binary search. If no
-- relay ran for an hour, an event that was left to it would stand after all events of that hour. So events that have been
-- left for a minute get their positions first, and until all of them have one no other event gets any. The relay looks
-- from the start more often than this does, so that a writer does so only while there is no relay.
create or replace function places_are_ours() returns boolean language plpgsql set lock_timeout = '5ms' as $$
begin
    perform pg_advisory_xact_lock(7242001);
    if oldest_unplaced(now() - interval '1 min', '60 s') is not null then
        perform place_left_events(500);
        return oldest_unplaced(now() - interval '1 min', '60 s') is null;
    end if;
    return true;
exception
    when lock_not_available then return false;
end
$$;

-- As in 0022, but for two things. What it looks for begins at the oldest event without a position. And the events of a
-- payment are found by the payment: "place is null" let a planner that had not seen the backlog yet read all of it by
-- events_unplaced for each payment.
create or replace function place_left_events(most int) returns int
language plpgsql set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
declare
    since timestamptz;
    placed int;
begin
    since := oldest_unplaced('infinity', '30 s');
    if since is null then
        return 0;
    end if;
    perform pg_advisory_xact_lock(7242001); -- before the statement that looks, so that it sees what others gave
    with oldest as (
        select e.payment_id, e.version from left_events(since, 'infinity', most) e),
    whole as (
        select e.id, e.payment_id, e.version,
            max(e.time) over (partition by e.payment_id order by e.version) as time
        from (select payment_id, max(version) as version from oldest group by payment_id) as o
        join events e on e.payment_id = o.payment_id and e.version <= o.version and coalesce(e.place, 0) = 0),
    unplaced as (select id, row_number() over (order by time, payment_id, version) as nth from whole)
    update events e set place = (select coalesce(max(place), 0) from events) + unplaced.nth
    from unplaced where e.id = unplaced.id;
    get diagnostics placed = row_count;
    return placed;
end
$$;

-- migrate:down
create or replace function place_left_events(most int) returns int
language plpgsql set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
declare
    placed int;
begin
    if not exists (select from events where place is null) then
        return 0;
    end if;
    perform pg_advisory_xact_lock(7242001); -- before the statement that looks, so that it sees what others gave
    with oldest as (
        select payment_id, version from events where place is null order by time, payment_id, version limit most),
    whole as (
        select e.id, e.payment_id, e.version,
            max(e.time) over (partition by e.payment_id order by e.version) as time
        from (select payment_id, max(version) as version from oldest group by payment_id) as o
        join events e on e.payment_id = o.payment_id and e.version <= o.version and e.place is null),
    unplaced as (select id, row_number() over (order by time, payment_id, version) as nth from whole)
    update events e set place = (select coalesce(max(place), 0) from events) + unplaced.nth
    from unplaced where e.id = unplaced.id;
    get diagnostics placed = row_count;
    return placed;
end
$$;
create or replace function places_are_ours() returns boolean language plpgsql set lock_timeout = '5ms' as $$
begin
    perform pg_advisory_xact_lock(7242001);
    return true;
exception
    when lock_not_available then return false;
end
$$;
drop function oldest_unplaced(timestamptz, interval);
drop function left_events(timestamptz, timestamptz, int);
drop function unplaced_since(interval);
delete from access where relation in ('events_placed_until', 'events_searched_at');
drop sequence events_placed_until, events_searched_at;
