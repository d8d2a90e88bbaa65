-- migrate:up

-- Three groups that nobody logs in as, each with what one kind of process needs and no more. Whoever runs `payproof
-- migrate` owns the tables; the processes log in as users of their own, each a member of one group or of two:
--
--     create role app_ingress login password '...' in role payproof_ingress;   -- serve --roles ingress
--     create role app_worker login password '...' in role payproof_worker;     -- serve --roles consume,sweep,relay,deliver
--     create role app_reader login password '...' in role payproof_reader;     -- payments list, explain, dashboards
--
-- `payments resolve` needs what ingress has, `dead replay` and `webhooks` what a worker has. A `serve` with all roles, and
-- `reconcile`, are members of both. Where the migrating user may not create roles, the database's administrator creates the three groups,
--
--     create role payproof_ingress nologin; create role payproof_worker nologin; create role payproof_reader nologin;
--
-- and `payproof migrate`, run again, grants what they are to have.
do $$
declare
    name text;
begin
    foreach name in array array['payproof_ingress', 'payproof_worker', 'payproof_reader'] loop
        begin
            if not exists (select from pg_roles where rolname = name) then
                execute format('create role %I nologin', name);
            end if;
        exception
            when duplicate_object or unique_violation then null; -- another database of this server made it just now
            when insufficient_privilege then
                raise notice 'the role % is missing, and % may not create it', name, current_user;
        end;
    end loop;
end $$;

-- Who may do what with which table: a table that has no row here is open to nobody but its owner, so a migration that
-- makes one adds its row and runs grant_access() again. There are no default privileges: what is forgotten is closed.
create table access (
    relation text primary key,
    ingress text not null,
    worker text not null,
    reader text not null
);
comment on table access is 'What each group may do with each table; empty: nothing. grant_access() makes it so';

-- What was agreed on at the opening stays: of payments the workers can update only the columns from status on, and the
-- trigger below lets ingress change the others once, of money that came before it was announced. Of events nobody changes
-- more than the place. Nobody reads the archive, and nobody but the owner changes or deletes a resolution or a fact.
insert into access (relation, ingress, worker, reader)
select relation, replace(replace(ingress, 'MOVING', moving), 'AGREED', agreed), replace(worker, 'MOVING', moving), reader
from (values
    ('payments',     'select, insert, update (MOVING, AGREED), delete', 'select, update (MOVING)',    'select'),
    ('sessions',     'select, insert, delete',           'select, insert',                           'select'),
    ('transactions', 'select, insert',                   'select, insert, delete',                   'select'),
    ('orders',       'select, insert, update (paid_by, executing)', 'select, insert, update (paid_by, executing)', 'select'),
    ('facts',        'select',                           'select, insert, update (fact)',            'select'),
    ('resolutions',  'select, insert',                   'select',                                   'select'),
    ('entries',      'select, insert, delete',           'select, insert, update (data), delete',    'select'),
    ('events',       'select, insert',                   'select, insert, update (place)',           'select'),
    ('claims',       'select, update (payment_id)',      'select, insert',                           'select'),
    ('archive',      '',                                 'insert',                                   ''),
    ('archive_default', '',                              '',                                         ''),
    ('openings',     'select, insert, update (request), delete', 'select (payment_id, personal), delete', ''),
    ('idempotency',  'select, insert, update, delete',   '',           'select (merchant, key, status, started_at, busy_until)'),
    ('tokens',       'select, insert, update, delete',   'select, insert, update, delete',           ''),
    ('allowances',   'select',                           'select, insert, update',                   'select'),
    ('endpoints',    '',                                 'select, insert, update',                   'select'),
    ('deliveries',   '',                                 'select, insert, update',                   'select'),
    ('statements',   '',                                 'select, insert, update, delete',           'select'),
    ('statement_rows', '',                               'select, insert, update, delete',           'select'),
    ('followed',     '',                                 'select, insert, update, delete',           'select'),
    ('relays',       '',                                 'select, insert, update (place)',           'select'),
    ('queue',        'insert, select (id, claim_id, provider, later)', 'select, insert, update, delete',
                     'select (id, claim_id, provider, queued_at, available_at, attempts, later)'),
    ('dead',         '',                                 'select, insert, delete',  'select (id, claim_id, provider, reason, died_at)'),
    ('access',       '',                                 '',                                         'select'),
    ('schema_migrations', 'select',                      'select',                                   'select')
) as decided (relation, ingress, worker, reader),
(select string_agg(quote_ident(attname), ', ' order by attnum) as moving from pg_attribute
    where attrelid = 'payments'::regclass and not attisdropped and attgenerated = '' and attnum >=
        (select attnum from pg_attribute where attrelid = 'payments'::regclass and attname = 'status')) as payments,
(select 'reference, order_ref, amount, currency, description, metadata, return_url, failure_url, cancel_url' as agreed) as a;

create function payments_stay_agreed() returns trigger language plpgsql as $$
begin
    if (new.id, new.merchant, new.account, new.provider) <> (old.id, old.merchant, old.account, old.provider) then
        raise exception 'payment % would become another', old.id using errcode = 'check_violation';
    end if;
    if (new.reference, new.order_ref, new.amount, new.currency, new.return_url, new.failure_url, new.cancel_url)
            is distinct from
            (old.reference, old.order_ref, old.amount, old.currency, old.return_url, old.failure_url, old.cancel_url)
        and (old.unexpected_at is null or old.adopted_at is not null) then
        raise exception 'payment % would change what was agreed on', old.id using errcode = 'check_violation';
    end if;
    return new;
end
$$;
create trigger payments_stay_agreed
    before update of id, merchant, account, provider, reference, order_ref, amount, currency, return_url, failure_url,
        cancel_url on payments
    for each row execute function payments_stay_agreed();

-- Makes it so for the groups that there are; returns those that there are not.
create function grant_access() returns text[] language plpgsql as $$
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
revoke execute on function grant_access() from public;
select grant_access();

-- migrate:down
-- The groups stay, as other databases of the server may use them; with the tables go their rights.
do $$
declare
    name text;
    decided record;
begin
    for name in select rolname from pg_roles where rolname in ('payproof_ingress', 'payproof_worker', 'payproof_reader') loop
        for decided in select relation from access where to_regclass(relation) is not null loop
            execute format('revoke all on %I from %I', decided.relation, name);
        end loop;
        execute format('revoke usage on schema %I from %I', current_schema(), name);
        execute format('revoke execute on function archive_keep(interval) from %I', name);
    end loop;
end $$;
drop trigger payments_stay_agreed on payments;
drop function payments_stay_agreed();
drop function grant_access();
drop table access;
