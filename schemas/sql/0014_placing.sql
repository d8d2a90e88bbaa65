-- migrate:up

-- Gives the next places of the log to events that have none, oldest first; tells how many. By one writer at a time: the
-- lock is taken before the statement that looks, so that it sees what the writer before it gave.
create function place_events(most int) returns int language plpgsql as $$
declare
    placed int;
begin
    if not pg_try_advisory_xact_lock(7242001) then
        return 0;
    end if;
    with unplaced as (
        select id, row_number() over (order by time, id) as nth
        from (select id, time from events where place is null order by time, id limit most) as oldest)
    update events e set place = (select coalesce(max(place), 0) from events) + unplaced.nth
    from unplaced where e.id = unplaced.id;
    get diagnostics placed = row_count;
    return placed;
end
$$;

-- migrate:down
drop function place_events(int);
