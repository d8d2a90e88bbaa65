-- migrate:up

-- Whether this transaction may give the next places of the log: the writer that gives one holds this lock until the
-- commit, so places are seen in their order and without a gap. It is the last lock that a writer takes. Where another
-- writer commits slowly, nobody waits for it.
--
-- Times rise with places, but for events that get theirs late; so a reader finds the place of a time by halving the log.
-- With no relay for an hour, an event that was left to it would stand after those of that hour. So what has been left
-- for a minute gets its place first, and while there is more of it no other event does.
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
