-- migrate:up

-- Whether this transaction may give the next positions (`place`) of the log. The writer that gives a position holds this
-- lock until its commit, so positions become visible in order and without a gap. It is the last lock that a writer takes.
-- Where another writer commits slowly, this one does not wait: its events are left to the relay.
--
-- Times rise with positions, except for events that get theirs late, so a reader finds a time by binary search. If no
-- relay ran for an hour, an event that was left to it would stand after all events of that hour. So events that have been
-- left for a minute get their positions first, and until all of them have one no other event gets any.
create or replace function places_are_ours() returns boolean language plpgsql set lock_timeout = '5ms' as $$
begin
    perform pg_advisory_xact_lock(7242001);
    if exists (select from events where place is null and time < now() - interval '1 min') then
        perform place_left_events(500);
        return not exists (select from events where place is null and time < now() - interval '1 min');
    end if;
    return true;
exception
    when lock_not_available then return false;
end
$$;

-- migrate:down
create or replace function places_are_ours() returns boolean language plpgsql set lock_timeout = '5ms' as $$
begin
    perform pg_advisory_xact_lock(7242001);
    return true;
exception
    when lock_not_available then return false;
end
$$;
