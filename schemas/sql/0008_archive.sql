-- migrate:up

-- What dedupe and lookups need stays in claims for good. The callback as received, with a buyer's data in it, is kept
-- for a time: a month of it is one partition, and forgetting a month is dropping a table.
create table archive (
    claim_id text not null,
    received_at timestamptz not null,
    key_id text,
    body bytea not null,
    primary key (claim_id, received_at)
) partition by range (received_at);
comment on table archive is 'Claims with their callbacks as received (personal data), by month; dropped when retention has passed';
comment on column archive.key_id is 'Which key of the configuration the body is encrypted with; null: none, the body is plain';

-- Nothing that arrives in a month without a partition is refused, nor does it wait for one to be made.
create table archive_default partition of archive default;

-- A month's partition, with the bounds in UTC. It is made beside the archive and then attached, because that keeps
-- nobody from writing; made in place it would lock the whole archive. False: there is one, or it cannot be had now.
create function archive_make(month timestamptz) returns boolean language plpgsql as $$
declare
    since constant timestamptz := date_trunc('month', month, 'UTC');
    name constant text := 'archive_' || to_char(since at time zone 'UTC', 'YYYY_MM');
begin
    if to_regclass(name) is not null then
        return false;
    end if;
    execute format('create table %I (like archive including all)', name);
    execute format('alter table archive attach partition %I for values from (%L) to (%L)', name, since,
        (since at time zone 'UTC' + interval '1 month') at time zone 'UTC');
    return true;
exception
    -- Somebody holds the default for longer than lock_timeout; or the month's rows lie in it, and stay there.
    when lock_not_available or check_violation then return false;
end
$$;

-- Partitions for this month and the two after it; those of which all is older than `kept` are dropped. Runs as the
-- owner, so that whoever calls it needs no right to make tables. One at a time does it; the others find it done.
--
-- The one thing to get wrong: waiting. Dropping locks the whole archive, and whoever waits for that lock has everyone
-- who writes wait behind him; so nobody waits for longer than half a second, and it is tried again in an hour.
create function archive_keep(kept interval, out made int, out dropped int, out deleted int)
language plpgsql security definer set lock_timeout = '500ms' as $$
declare
    name text;
begin
    made := 0; dropped := 0; deleted := 0;
    if kept < interval '1 day' then
        raise exception 'the archive is kept for a day at least' using errcode = 'invalid_parameter_value';
    end if;
    if not pg_try_advisory_xact_lock(7242008) then
        return;
    end if;
    for months in 0..2 loop
        if archive_make(((now() at time zone 'UTC') + make_interval(months => months)) at time zone 'UTC') then
            made := made + 1;
        end if;
    end loop;
    for name in
        select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid
        where i.inhparent = 'archive'::regclass and c.relname ~ '^archive_[0-9]{4}_[0-9]{2}$'
            and (to_date(right(c.relname, 7), 'YYYY_MM')::timestamp + interval '1 month') at time zone 'UTC' <= now() - kept
        order by 1
    loop
        begin
            execute format('drop table %I', name);
            dropped := dropped + 1;
        exception when lock_not_available then
            null;
        end;
    end loop;
    delete from archive_default where received_at < now() - kept;
    get diagnostics deleted = row_count;
end
$$;
revoke execute on function archive_keep(interval) from public;
-- A function that runs as its owner looks only where its owner put things, and last where anyone may.
do $$ begin
    execute format('alter function archive_keep(interval) set search_path = %I, pg_temp', current_schema());
end $$;

-- What claims held so far moves at once, as no release has had it there.
do $$
declare
    month timestamptz;
begin
    for month in
        select distinct date_trunc('month', received_at, 'UTC') from claims
        union select date_trunc('month', clock_timestamp(), 'UTC')
    loop
        perform archive_make(month);
    end loop;
end $$;
insert into archive (claim_id, received_at, body) select id, received_at, claim from claims;
alter table claims drop column claim;
comment on table claims is 'Every claim once by its id, a signed gateway event once by its event id; the callback is in archive';
alter table openings add column personal boolean not null
    generated always as (coalesce(request ->> 'body' like '%"customer"%', false)) stored;
create index openings_personal on openings (payment_id) where personal;
comment on table openings is 'What a payment was asked for with: to open its checkout again after a lost answer, and to know an equal request';
comment on column openings.personal is 'It tells of the buyer, and goes once the checkout is open';

-- migrate:down
drop index openings_personal;
alter table openings drop column personal;
alter table claims add column claim bytea not null default '';
update claims c set claim = a.body from archive a where a.claim_id = c.id and a.key_id is null;
alter table claims alter column claim drop default;
drop function archive_keep(interval);
drop function archive_make(timestamptz);
drop table archive;
comment on table claims is 'Every claim once by its id, a signed gateway event once by its event id, with the callback as received (personal data)';
comment on table openings is 'What a checkout is opened with, kept to open it again after a lost answer (personal data)';
