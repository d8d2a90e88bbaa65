-- migrate:up

-- Postgres vacuums a table when a fifth of its rows are dead, or a fifth are new. Of ten million payments that is two
-- million dead rows at a time, and the first read after years freezes a fifth of the log at once. Here it is a fiftieth.
-- These settings keep no writer waiting.
do $$
declare
    growing text;
begin
    foreach growing in array array['payments', 'events', 'entries', 'facts', 'claims', 'deliveries'] loop
        execute format('alter table %I set (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000, '
            'autovacuum_vacuum_insert_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02)', growing);
    end loop;
end
$$;

-- These have few rows that change many times a second. Nothing of them is read from the disk, so vacuum does not rest.
alter table queue set
    (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_cost_delay = 0);
alter table allowances set
    (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 100, autovacuum_vacuum_cost_delay = 0);
alter table endpoints set
    (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 100, autovacuum_vacuum_cost_delay = 0);
alter table relays set
    (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 100, autovacuum_vacuum_cost_delay = 0);

-- How many transactions have begun since the oldest snapshot that keeps dead rows from being removed: of a session of this
-- database, of a standby that reports its own (hot_standby_feedback), or of a prepared transaction. It runs as the owner
-- of the tables, and sees the sessions of other users where the owner is a member of pg_read_all_stats. A replication
-- slot is seen by everyone.
create function oldest_snapshot() returns bigint language sql security definer as $$
    select coalesce(max(age(held.xid)), 0)::bigint from (
        select unnest(array[backend_xmin, backend_xid]) from pg_stat_activity
        where (datname = current_database() or datid is null) and backend_type <> 'autovacuum worker'
        union all
        select xmin from pg_replication_slots
        union all
        select transaction from pg_prepared_xacts where database = current_database()) as held (xid)
$$;
-- A function that runs as its owner looks only where its owner put things, and last where anyone may.
do $$ begin
    execute format('alter function oldest_snapshot() set search_path = %I, pg_temp', current_schema());
end $$;

-- migrate:down
drop function oldest_snapshot();
do $$
declare
    growing text;
    changing text;
begin
    foreach growing in array array['payments', 'events', 'entries', 'facts', 'claims', 'deliveries'] loop
        execute format('alter table %I reset (autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold, '
            'autovacuum_vacuum_insert_scale_factor, autovacuum_analyze_scale_factor)', growing);
    end loop;
    foreach changing in array array['queue', 'allowances', 'endpoints', 'relays'] loop
        execute format('alter table %I reset (autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold, '
            'autovacuum_vacuum_cost_delay)', changing);
    end loop;
end
$$;
