-- migrate:up

-- What the console and the API show of the last attempt. Each is written with the attempt's result, in the same statement.
alter table deliveries add column last_attempt jsonb;
comment on column deliveries.last_attempt is 'Of the last attempt: its number, when it ended, the headers that were sent, the status, and the first 2 KB of the answer. May hold personal data; goes with its row';

alter table deliveries add column had_at timestamptz;
comment on column deliveries.had_at is 'When the endpoint took it, where it was sent again since: that it has the event stays true';

alter table endpoints add column answered_at timestamptz;
alter table endpoints add column answer text;
comment on column endpoints.answered_at is 'When the answer came. Every failure is written, and a success once in some seconds';
comment on column endpoints.answer is 'The last answer that is written, in words';

-- Makes an event due to an endpoint of its merchant at once, whether it was delivered, waits, was given up or was never
-- meant for it; false where there is no such endpoint or event. A delivery that waits keeps its place in the schedule, any
-- other begins it anew. If the breaker is open, this delivery is the next probe.
--
-- Ingress has it for shops, which may have an event sent again, and can change no delivery in another way.
create function resend_delivery(to_endpoint text, of_event text) returns boolean language plpgsql security definer as $$
begin
    -- In the order of the endpoint's workers, or each would wait for the other.
    perform from endpoints where id = to_endpoint for no key update;
    insert into deliveries as d (endpoint, event_id, place, next_at)
    select n.id, e.id, e.place, clock_timestamp() from endpoints n join events e on e.merchant = n.merchant
    where n.id = to_endpoint and e.id = of_event and e.place is not null
    on conflict (endpoint, event_id) do update set
        next_at = excluded.next_at, had_at = coalesce(d.had_at, d.delivered_at), delivered_at = null, given_up_at = null,
        step = case when d.next_at is null then 0 else greatest(d.step - 1, 0) end;
    if not found then
        return false;
    end if;
    update endpoints set shut_until = null where id = to_endpoint and shut_until > clock_timestamp();
    return true;
end
$$;
revoke execute on function resend_delivery(text, text) from public;
do $$ begin
    execute format('alter function resend_delivery(text, text) set search_path = %I, pg_temp', current_schema());
end $$;

-- An answer may hold personal data, so readers do not get it. The console makes due what waits or was given up, and has
-- no right to say that an endpoint has an event.
update access set
    ingress = 'select (endpoint, event_id, place, attempts, step, next_at, delivered_at, had_at, given_up_at, answer)',
    reader = 'select (endpoint, event_id, place, attempts, step, next_at, delivered_at, had_at, given_up_at, answer)',
    console = 'select, update (step, next_at, given_up_at)'
where relation = 'deliveries';
update access set
    ingress = 'select (id, merchant, configured_id, place, failures, shut_until, disabled_at, delivered_at, answered_at, answer)',
    console = 'select, update (failures, shut_until, disabled_at, answered_at, answer)'
where relation = 'endpoints';
-- An operator replays a claim, and an approver drops a letter. What a letter holds is shown masked.
update access set console = 'select, delete' where relation = 'dead';
-- The same function, which grants this one too.
create or replace function grant_access() returns text[] language plpgsql as $$
declare
    missing text[] := '{}';
    kind text;
    decided record;
    callable text;
begin
    -- The lock of archive_keep(): two who change the rights or the shape of one table at once fail each other.
    perform pg_advisory_xact_lock(7242008);
    foreach kind in array array['ingress', 'worker', 'reader', 'console'] loop
        if not exists (select from pg_roles where rolname = 'payproof_' || kind) then
            missing := missing || ('payproof_' || kind);
            continue;
        end if;
        execute format('grant usage on schema %I to %I', current_schema(), 'payproof_' || kind);
        for decided in select relation, to_jsonb(access) ->> kind as privileges from access order by relation loop
            execute format('revoke all on %I from %I', decided.relation, 'payproof_' || kind);
            if decided.privileges <> '' then
                execute format('grant %s on %I to %I', decided.privileges, decided.relation, 'payproof_' || kind);
            end if;
        end loop;
    end loop;
    if not 'payproof_worker' = any(missing) then
        foreach callable in array array[
            'archive_keep(interval)', 'archive_forget(interval,int)',
            'delete_old_events(interval,int,text[])', 'delete_old_payments(text,interval,int,timestamptz,text)']
        loop
            if to_regprocedure(callable) is not null then
                execute format('grant execute on function %s to payproof_worker', to_regprocedure(callable));
            end if;
        end loop;
    end if;
    foreach kind in array array['ingress', 'worker', 'console'] loop
        if not 'payproof_' || kind = any(missing) then
            execute format('grant execute on function resend_delivery(text, text) to %I', 'payproof_' || kind);
        end if;
    end loop;
    return missing;
end
$$;
select grant_access();

-- migrate:down
update access set console = reader where relation = 'dead';
update access set ingress = '', reader = 'select', console = 'select' where relation = 'deliveries';
update access set
    ingress = 'select (id, merchant, configured_id, place, failures, shut_until, disabled_at)',
    console = 'select'
where relation = 'endpoints';
alter table endpoints drop column answer, drop column answered_at;
alter table deliveries drop column last_attempt, drop column had_at;
create or replace function grant_access() returns text[] language plpgsql as $$
declare
    missing text[] := '{}';
    kind text;
    decided record;
    callable text;
begin
    -- The lock of archive_keep(): two who change the rights or the shape of one table at once fail each other.
    perform pg_advisory_xact_lock(7242008);
    foreach kind in array array['ingress', 'worker', 'reader', 'console'] loop
        if not exists (select from pg_roles where rolname = 'payproof_' || kind) then
            missing := missing || ('payproof_' || kind);
            continue;
        end if;
        execute format('grant usage on schema %I to %I', current_schema(), 'payproof_' || kind);
        for decided in select relation, to_jsonb(access) ->> kind as privileges from access order by relation loop
            execute format('revoke all on %I from %I', decided.relation, 'payproof_' || kind);
            if decided.privileges <> '' then
                execute format('grant %s on %I to %I', decided.privileges, decided.relation, 'payproof_' || kind);
            end if;
        end loop;
    end loop;
    if not 'payproof_worker' = any(missing) then
        foreach callable in array array[
            'archive_keep(interval)', 'archive_forget(interval,int)',
            'delete_old_events(interval,int,text[])', 'delete_old_payments(text,interval,int,timestamptz,text)']
        loop
            if to_regprocedure(callable) is not null then
                execute format('grant execute on function %s to payproof_worker', to_regprocedure(callable));
            end if;
        end loop;
    end if;
    return missing;
end
$$;
select grant_access();
drop function resend_delivery(text, text);
