-- migrate:up

-- The console's process has a group of its own. Operators read there all that a reader may, an auditor reads the archive, whose
-- keys only the configuration has, and the console asks about a payment by a claim in the queue. Later migrations grant it what its other pages do.
do $$
begin
    if not exists (select from pg_roles where rolname = 'payproof_console') then
        create role payproof_console nologin;
    end if;
exception
    when duplicate_object or unique_violation then null; -- another database of this server made it just now
    when insufficient_privilege then
        raise notice 'the role payproof_console is missing, and % may not create it', current_user;
end $$;

alter table access add column console text not null default '';
update access set console = reader;
update access set console = 'insert, ' || reader where relation = 'queue';
update access set console = 'select' where relation = 'archive';

create table console_sessions (
    token_hash bytea primary key,
    operator text not null,
    credentials text not null,
    address text not null,
    created_at timestamptz not null default clock_timestamp(),
    seen_at timestamptz not null default clock_timestamp(),
    revoked_at timestamptz
);
comment on table console_sessions is 'Who is signed in to the console. A session ends after 12 hours, after 30 minutes without a request, or when it is revoked';
comment on column console_sessions.token_hash is 'SHA-256 of the random token in the browser''s cookie; the token is stored nowhere';
comment on column console_sessions.credentials is 'A digest of the operator''s configured secrets: the session ends when they are changed';
create index console_sessions_operator on console_sessions (operator);

create table console_codes (
    operator text primary key,
    step bigint not null
);
comment on table console_codes is 'The newest one-time code that each operator used, by its time step: no code is accepted twice';
comment on column console_codes.step is 'Seconds since 1970, divided by 30';

insert into access (relation, ingress, worker, reader, console) values
    ('console_sessions', '', '', '', 'select, insert, update, delete'),
    ('console_codes', '', '', '', 'select, insert, update');

-- The same function, with the group console.
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

-- migrate:down
-- The group stays, as other databases of the server may use it.
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
do $$
declare
    decided record;
begin
    if exists (select from pg_roles where rolname = 'payproof_console') then
        for decided in select relation from access loop
            execute format('revoke all on %I from payproof_console', decided.relation);
        end loop;
        execute format('revoke usage on schema %I from payproof_console', current_schema());
    end if;
end $$;
delete from access where relation in ('console_sessions', 'console_codes');
drop table console_codes;
drop table console_sessions;
alter table access drop column console;
