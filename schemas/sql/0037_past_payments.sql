-- migrate:up

-- A payment that is deleted leaves its keys behind for good: its reference here, its sessions and transactions where they
-- are, and the order that it paid. So nothing of its can become another payment's, however late a gateway, a statement or a
-- shop names it. Three foreign keys would keep the payment, and would look for it without an index.
-- locks: payments, sessions, transactions and orders, for a moment; a try waits for 0.2 s at most
do $$
begin
    set local lock_timeout = '200ms';
    for attempt in 1..300 loop
        begin
            lock table payments, sessions, transactions, orders in access exclusive mode;
            exit;
        exception when lock_not_available then
            if attempt = 300 then
                raise;
            end if;
            perform pg_sleep(0.1);
        end;
    end loop;
end $$;
alter table sessions drop constraint sessions_payment_id_fkey;
alter table transactions drop constraint transactions_payment_id_fkey;
alter table orders drop constraint orders_paid_by_fkey;

create table past_payments (
    id text primary key,
    merchant text not null,
    account text not null,
    reference text not null,
    deleted_at timestamptz not null default clock_timestamp()
);
create unique index past_payments_reference on past_payments (account, reference);
comment on table past_payments is 'Payments that retention has deleted: a row for each, for good. Its reference is never free again';

insert into access (relation, ingress, worker, reader) values ('past_payments', 'select', 'select', 'select');
insert into retention_runs (task) values ('payments');

-- Walks up to `most` payments of a merchant, oldest first, from behind the payment `after_id` of the time `after` on, and
-- deletes those of which nothing is needed any more. Returns how many it walked and deleted, and the last that it walked.
--
-- A payment is needed while anything happened to it within `kept`: it was opened or answered, told of or decided on. It is
-- needed while it is pending, held, asked about, opened or executing, while it fails by itself, while an event of it is
-- younger than the retention of events or a webhook waits, and while a statement of its account is being followed up.
create function delete_old_payments(of text, kept interval, most int, after timestamptz, after_id text)
returns table (walked int, deleted int, last_at timestamptz, last_id text)
language plpgsql security definer
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set plan_cache_mode = force_generic_plan as $$
declare
    old constant timestamptz := clock_timestamp() - kept;
    reached constant bigint := coalesce((select r.place from relays r where r.name = 'retention'), 0);
    all_endpoints constant text[] := array(select n.id from endpoints n);
    in_work constant text[] := array(
        select distinct s.account from statements s where s.finished_at is null and not s.dry_run and s.stopped is null);
    met text[];
    ids text[];
    told text[];
begin
    if kept < interval '366 days' then
        raise exception 'payments are kept for 366 days at least' using errcode = 'invalid_parameter_value';
    end if;
    select count(*), array_agg(w.id), max(w.opened_at), (array_agg(w.id order by w.opened_at desc, w.id desc))[1]
    into walked, met, last_at, last_id
    from (
        select p.id, p.opened_at from payments p
        where p.merchant = of and (p.opened_at, p.id) > (after, after_id) and p.opened_at < old
        order by p.opened_at, p.id limit most) w;
    ids := array(
        select p.id from payments p
        where p.id = any(met)
            and p.status <> 'pending' and p.holds = '{}' and p.next_check_at is null and p.execute_state is null
            and coalesce(p.lease_until < clock_timestamp(), true) and coalesce(p.opening_until < clock_timestamp(), true)
            and coalesce(greatest(p.opened_at, p.asked_at, p.checked_at, p.completed_at) < old, true)
            and p.account <> all(in_work)
            and (select true from failures f where f.payment_id = p.id) is null
            and (select true from orders o where o.executing = p.id limit 1) is null
            and (select true from resolutions r where r.payment_id = p.id and r.at >= old limit 1) is null
            and (select true from events e where e.payment_id = p.id and (
                    e.time >= old or e.place is null or e.place > reached or (
                        select true from deliveries d
                        where d.endpoint = any(all_endpoints) and d.event_id = e.id and d.next_at is not null limit 1)
                ) limit 1) is null
        order by p.id for update skip locked);
    deleted := cardinality(ids);
    if deleted = 0 then
        return next;
        return;
    end if;
    with gone as (
        delete from events e where e.payment_id = any(ids) returning e.id, e.merchant, e.place, e.time),
    raised as (
        insert into log_floors (merchant, place, deleted_until)
        select g.merchant, max(g.place), max(g.time) from gone g group by g.merchant order by 1
        on conflict (merchant) do update set place = greatest(log_floors.place, excluded.place),
            deleted_until = greatest(log_floors.deleted_until, excluded.deleted_until))
    select array_agg(g.id) into told from gone g;
    delete from deliveries d where d.endpoint = any(all_endpoints) and d.event_id = any(told);
    delete from entries e where e.payment_id = any(ids);
    delete from facts f where f.payment_id = any(ids);
    delete from resolutions r where r.payment_id = any(ids);
    delete from claims c where c.payment_id = any(ids);
    delete from openings o where o.payment_id = any(ids);
    insert into past_payments (id, merchant, account, reference)
    select p.id, p.merchant, p.account, p.reference from payments p where p.id = any(ids) order by p.account, p.reference;
    delete from payments p where p.id = any(ids);
    return next;
end
$$;
comment on table resolutions is 'What people decided on held payments; never changed, and deleted with the whole payment alone';
revoke execute on function delete_old_payments(text, interval, int, timestamptz, text) from public;
do $$ begin
    execute format('alter function delete_old_payments(text, interval, int, timestamptz, text) set search_path = %I, pg_temp',
        current_schema());
end $$;
select grant_access();

-- migrate:down
comment on table resolutions is 'What people decided on held payments; never changed, never deleted';
drop function delete_old_payments(text, interval, int, timestamptz, text);
delete from retention_runs where task = 'payments';
delete from access where relation = 'past_payments';
-- The program before does not know of keys without a payment, so they become free.
update orders set paid_by = null where paid_by in (select id from past_payments);
delete from transactions t using past_payments p where t.payment_id = p.id;
delete from sessions s using past_payments p where s.payment_id = p.id;
drop table past_payments;
alter table sessions add constraint sessions_payment_id_fkey foreign key (payment_id) references payments (id);
alter table transactions add constraint transactions_payment_id_fkey foreign key (payment_id) references payments (id);
alter table orders add constraint orders_paid_by_fkey foreign key (paid_by) references payments (id);
