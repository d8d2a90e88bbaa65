-- migrate:up

-- The server that this database is on, by its system and its timeline. A standby that took over, and a backup that was
-- restored, go on from what they have, which may not be all that was committed: an Execute that was recorded last may
-- have been sent, and be missing here.
create table servers (
    one boolean primary key default true check (one),
    name text not null,
    since timestamptz
);
comment on table servers is 'One row: the server that is written to, told by the first process that looks';
comment on column servers.since is 'When it took over from another; no Execute for a minute, and Query first for what was opened before';

-- Empty where nobody may ask for it; then a change is not noticed. Null on a standby, which nobody writes to.
create function server_name() returns text language plpgsql stable as $$
begin
    return case when not pg_is_in_recovery() then (select system_identifier from pg_control_system())::text
        || '/' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8) end;
exception
    when insufficient_privilege or feature_not_supported or undefined_function then return '';
end
$$;

insert into access (relation, ingress, worker, reader) values ('servers', '', 'select, insert, update', 'select');
select grant_access();

-- migrate:down
delete from access where relation = 'servers';
drop function server_name();
drop table servers;
