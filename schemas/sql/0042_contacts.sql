-- migrate:up

-- A payment is found by its buyer's phone number or e-mail address. Only keyed hashes are here, which reveal neither: see
-- worker/runtime/contacts.py. They go with their payment, and after the retention of the archive.
-- locks: payments, for a moment; a try waits for 0.2 s at most
do $$
begin
    set local lock_timeout = '200ms';
    for attempt in 1..300 loop
        begin
            lock table payments in share row exclusive mode;
            exit;
        exception when lock_not_available then
            if attempt = 300 then
                raise;
            end if;
            perform pg_sleep(0.1);
        end;
    end loop;
end $$;
create table contacts (
    payment_id text not null references payments (id) on delete cascade,
    hash bytea not null check (octet_length(hash) = 32),
    recorded_at timestamptz not null default clock_timestamp(),
    primary key (payment_id, hash)
);
create index contacts_hash on contacts (hash);
create index contacts_old on contacts (recorded_at);
comment on table contacts is 'Keyed hashes of buyers'' phone numbers and e-mail addresses, by which their payments are found';

insert into access (relation, ingress, worker, reader, console)
values ('contacts', 'insert', 'select (payment_id, recorded_at), delete', 'select', 'select');
insert into retention_runs (task) values ('contacts');
select grant_access();

-- migrate:down
delete from retention_runs where task = 'contacts';
delete from access where relation = 'contacts';
drop table contacts;
