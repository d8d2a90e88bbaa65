-- migrate:up

-- A payment is read without a lock, decided on, and written only where nobody has written it since. Each write raises
-- the revision, and that alone is what a write compares. The sweep's push of next_check_at is nothing that was decided.
alter table payments add column revision bigint not null default 0;
comment on column payments.revision is 'Raised by every write but that of next_check_at alone; what was decided on an older one is not written';

create function payments_raise_revision() returns trigger language plpgsql as $$
begin
    new.revision := old.revision + 1;
    return new;
end
$$;
-- For whoever does not raise it: a program of the release before, and statements that name a few columns. Whoever adds a
-- column makes this trigger anew.
do $$
begin
    execute (
        select format(
            'create trigger payments_revised before update of %s on payments for each row
                 when (new.revision = old.revision) execute function payments_raise_revision()',
            string_agg(quote_ident(attname), ', ' order by attnum))
        from pg_attribute
        where attrelid = 'payments'::regclass and attnum > 0 and not attisdropped and attgenerated = ''
            and attname not in ('next_check_at', 'revision'));
end
$$;

-- Locks payments in the order of their ids, and tells how they stand. Like the one below, it is planned once for a
-- connection, perhaps while the tables were nearly empty, so it may only ever use their keys.
create function lock_revisions(ids text[])
returns table (id text, revision bigint, next_check_at timestamptz, locked_at timestamptz)
language plpgsql set enable_seqscan = off as $$
begin
    return query
    select p.id, p.revision, p.next_check_at, clock_timestamp()
    from payments p where p.id = any(array(select unnest(ids))) order by p.id for update;
end
$$;

-- All that is known of the payments that claims are about, and of those that are named besides, as one snapshot shows
-- it: the function is stable. The first row tells of the claims, and is there also where no payment is.
--
-- own_sessions and own_transactions are those of the payment's keys that the payment, its answers or a person name, and
-- wishes are of the other attempts of its order.
create function look_at_payments(
    claim_ids text[], accounts text[], named text[], claimed_sessions text[], claimed_transactions text[],
    claimed_references text[], signed_events text[], ids text[])
returns table (
    payment payments, known_facts jsonb, known_resolutions jsonb, known_allowance jsonb, own_sessions text[],
    own_transactions text[], order_paid_by text, order_executing text, order_wishes jsonb, heard jsonb,
    looked_at timestamptz)
language plpgsql stable set enable_seqscan = off as $$
declare
    homes jsonb;
    wanted text[];
begin
    select jsonb_agg(to_jsonb(h)), array_agg(h.home) into homes, wanted
    from (
        select c.claim_id, coalesce(path.id, session.payment_id, transaction.payment_id, referred.id) as home,
            case
                when exists (select from claims k where k.id = c.claim_id) then 'seen'
                when exists (select from claims k where k.account = c.account and k.event_id = c.event_id) then 'repeated'
                else 'new'
            end as admission
        from unnest(claim_ids, accounts, named, claimed_sessions, claimed_transactions, claimed_references, signed_events)
            as c (claim_id, account, payment_id, session_id, transaction_id, reference, event_id)
        left join payments path on path.id = c.payment_id and path.account = c.account
        left join sessions session
            on c.payment_id is null and session.account = c.account and session.session_id = c.session_id
        left join transactions transaction
            on c.payment_id is null and transaction.account = c.account
                and transaction.transaction_id = c.transaction_id
        left join payments referred
            on c.payment_id is null and referred.account = c.account and referred.reference = c.reference) h;
    wanted := wanted || ids;

    return query
    select p, f.facts, r.resolutions,
        (select to_jsonb(a) from allowances a where a.account = p.account),
        array(select s.session_id from sessions s
            where s.account = p.account and s.session_id = any(n.names) and s.payment_id = p.id),
        array(select t.transaction_id from transactions t
            where t.account = p.account and t.transaction_id = any(n.names) and t.payment_id = p.id),
        o.paid_by, o.executing,
        (select jsonb_agg(jsonb_build_object('payment_id', w.id, 'wanted_at', w.execute_wanted_at,
                'waits_until', w.execute_waits_until))
            from payments w
            where w.merchant = p.merchant and w.order_ref = p.order_ref and w.id <> p.id
                and w.execute_state = 'wanted' and w.status = 'pending' and w.execute_wanted_at is not null),
        case when row_number() over (order by p.id) = 1 then homes end,
        clock_timestamp()
    from (select) as one
    left join payments p on p.id = any(array(select unnest(wanted)))
    left join orders o on o.merchant = p.merchant and o.order_ref = p.order_ref
    cross join lateral (
        select coalesce(jsonb_agg(facts.fact), '[]') as facts from facts where facts.payment_id = p.id) f
    cross join lateral (
        select coalesce(jsonb_agg(resolutions.resolution order by resolutions.id), '[]') as resolutions
        from resolutions where resolutions.payment_id = p.id) r
    cross join lateral (
        select array[p.session_id, p.transaction_id] || p.aliases || array(
            select unnest(array[one.fact -> 'answer' ->> 'session_id', one.fact -> 'answer' ->> 'transaction_id'])
            from jsonb_array_elements(f.facts) as one (fact)
            union
            select one.resolution ->> 'recorded_transaction'
            from jsonb_array_elements(r.resolutions) as one (resolution)) as names) n
    order by p.id;
end
$$;

-- What was added to payments moves as the columns from status on do.
update access set
    ingress = regexp_replace(ingress, 'update \(.*\)', 'update (' || moving || ', ' || agreed || ')'),
    worker = regexp_replace(worker, 'update \(.*\)', 'update (' || moving || ')')
from (select string_agg(quote_ident(attname), ', ' order by attnum) as moving from pg_attribute
        where attrelid = 'payments'::regclass and not attisdropped and attgenerated = '' and attnum >=
            (select attnum from pg_attribute where attrelid = 'payments'::regclass and attname = 'status')) as payments,
    (select 'reference, order_ref, amount, currency, description, metadata, return_url, failure_url, cancel_url' as agreed) as a
where relation = 'payments';
select grant_access();

-- migrate:down
drop function look_at_payments(text[], text[], text[], text[], text[], text[], text[], text[]);
drop function lock_revisions(text[]);
drop trigger payments_revised on payments;
drop function payments_raise_revision();
alter table payments drop column revision;
update access set
    ingress = regexp_replace(ingress, 'update \(.*\)', 'update (' || moving || ', ' || agreed || ')'),
    worker = regexp_replace(worker, 'update \(.*\)', 'update (' || moving || ')')
from (select string_agg(quote_ident(attname), ', ' order by attnum) as moving from pg_attribute
        where attrelid = 'payments'::regclass and not attisdropped and attgenerated = '' and attnum >=
            (select attnum from pg_attribute where attrelid = 'payments'::regclass and attname = 'status')) as payments,
    (select 'reference, order_ref, amount, currency, description, metadata, return_url, failure_url, cancel_url' as agreed) as a
where relation = 'payments';
select grant_access();
