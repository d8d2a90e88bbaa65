-- migrate:up

-- Retention deletes rows whose time is over: each task by itself, every hour, in bounded batches. One process of the
-- fleet begins a run; the time of the last run that left nothing to delete is a metric, and an alert watches it.
create table retention_runs (
    task text primary key,
    begun_at timestamptz,
    succeeded_at timestamptz not null default now()
);
comment on table retention_runs is 'When each task of retention ran. A task that never ran counts from the migration that named it';
comment on column retention_runs.begun_at is 'When a process began the last run; the others leave the task to it for an hour';
comment on column retention_runs.succeeded_at is 'When the last run ended that left nothing to delete';
insert into retention_runs (task) values
    ('idempotency_keys'), ('kept_claims'), ('archive'), ('personal_requests'), ('requests'), ('failures');

-- Requests that are here already count from this migration: each is kept once more for the archive's retention. Those
-- with a buyer's data are found by openings_personal, and their time is that of their payment.
alter table openings add column recorded_at timestamptz not null default now();
comment on column openings.recorded_at is 'When it was recorded; one without a buyer''s data is kept from then on for the retention of the archive';

insert into access (relation, ingress, worker, reader)
values ('retention_runs', 'select, update', 'select, update', 'select');
update access set worker = 'select (payment_id, personal, recorded_at), delete' where relation = 'openings';

-- Deletes up to `most` callbacks that lie in no month's partition and are older than `kept`, and tells how many. It runs
-- before archive_keep(), which deletes all of them in one statement.
create function archive_forget(kept interval, most int) returns int
language plpgsql security definer set plan_cache_mode = force_custom_plan as $$
declare
    deleted int;
begin
    if kept < interval '1 day' then
        raise exception 'the archive is kept for a day at least' using errcode = 'invalid_parameter_value';
    end if;
    delete from archive_default where ctid = any(array(
        select a.ctid from archive_default a where a.received_at < now() - kept order by a.received_at limit most));
    get diagnostics deleted = row_count;
    return deleted;
end
$$;
revoke execute on function archive_forget(interval, int) from public;
do $$ begin
    execute format('alter function archive_forget(interval, int) set search_path = %I, pg_temp', current_schema());
end $$;

-- Functions that run as their owner are for the workers alone. What a later migration names is granted once it is there.
create or replace function grant_access() returns text[] language plpgsql as $$
declare
    missing text[] := '{}';
    kind text;
    decided record;
    callable text;
begin
    -- The lock of archive_keep(): two who change the rights or the shape of one table at once fail each other.
    perform pg_advisory_xact_lock(7242008);
    foreach kind in array array['ingress', 'worker', 'reader'] loop
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

-- migrate:down
create or replace function grant_access() returns text[] language plpgsql as $$
declare
    missing text[] := '{}';
    kind text;
    decided record;
begin
    -- The lock of archive_keep(): two who change the rights or the shape of one table at once fail each other.
    perform pg_advisory_xact_lock(7242008);
    foreach kind in array array['ingress', 'worker', 'reader'] loop
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
        grant execute on function archive_keep(interval) to payproof_worker;
    end if;
    return missing;
end
$$;
drop function archive_forget(interval, int);
update access set worker = 'select (payment_id, personal), delete' where relation = 'openings';
delete from access where relation = 'retention_runs';
drop table retention_runs;
alter table openings drop column recorded_at;
select grant_access();
