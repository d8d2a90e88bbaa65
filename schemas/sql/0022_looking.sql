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
-- For writers that do not raise it: a program of the release before, and statements that name a few columns. A migration
-- that adds a column makes this trigger anew.
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

-- The statements of these functions are planned once for a connection, since planning takes longer than most of them; and
-- perhaps while the tables were nearly empty, so they may only ever use keys. That takes more than enable_seqscan: a table
-- that is joined could be read whole by way of an index, and of two columns of a key only the first be used. So rows are
-- found by id = any(..), or by subqueries that give one value for each row, which Postgres asks by the whole key and never
-- turns into joins.

-- Locks payments in the order of their ids, and tells how they stand.
create function lock_revisions(ids text[]) returns table (id text, revision bigint, locked_at timestamptz)
language plpgsql set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
begin
    return query
    select p.id, p.revision, clock_timestamp()
    from payments p where p.id = any(array(select unnest(ids))) order by p.id for update;
end
$$;

-- Locks payments as they were read, and returns those that have been written since, or are gone; null where none is. What
-- was read from another server than this one is to be read again, though its revision may be the same by chance.
create function stale_payments(readings jsonb) returns jsonb
language plpgsql set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
declare
    here servers;
    stale jsonb;
begin
    select s.* into here from servers s where s.name = server_name(); -- which costs something, so once
    select jsonb_agg(r.id) into stale
    from jsonb_to_recordset(readings) as r (id text, revision bigint, since timestamptz)
    left join lock_revisions(array(select one ->> 'id' from jsonb_array_elements(readings) as one)) as p on p.id = r.id
    where p.revision is distinct from r.revision or here.name is null or here.since is distinct from r.since;
    return stale;
end
$$;

-- Records claims, with the callbacks that came with them, each null where none did. Returns by id which of them were
-- recorded before, and what that makes of them: seen, or repeated, where it was another claim of the same event.
create function admit_claims(heard jsonb, callbacks bytea[]) returns jsonb
language plpgsql set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
declare
    fresh text[];
begin
    with came as (
        select * from rows from (
            jsonb_to_recordset(heard) as (
                id text, account text, payment_id text, event_id text, received_at timestamptz, key_id text),
            unnest(callbacks)) as c (id, account, payment_id, event_id, received_at, key_id, body)),
    new as (
        insert into claims (id, account, payment_id, event_id, received_at)
        select c.id, c.account, c.payment_id, c.event_id, c.received_at from came c
        on conflict do nothing returning id, received_at),
    archived as (
        insert into archive (claim_id, received_at, key_id, body)
        select new.id, new.received_at, c.key_id, c.body from new join came c on c.id = new.id where c.body is not null
        on conflict do nothing) -- it was kept before, and comes again as it was sent
    select coalesce(array_agg(new.id), '{}') into fresh from new;
    if cardinality(fresh) = jsonb_array_length(heard) then
        return null;
    end if;
    return (
        select jsonb_object_agg(
            c.id, case when (select true from claims k where k.id = c.id) then 'seen' else 'repeated' end)
        from jsonb_to_recordset(heard) as c (id text) where c.id <> all(fresh));
end
$$;

-- Takes keys that are free, in the order of their names, and returns those that are other payments'. See reserve() of
-- consumers.ledger.Batch.
create function reserve_keys(keys jsonb) returns jsonb
language plpgsql set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
declare
    taken int;
    given_back text[];
    one record;
    others jsonb;
    lost jsonb := '[]';
begin
    if keys ? 'sessions' then
        insert into sessions (account, session_id, payment_id)
        select k.account, k.name, k.payment_id
        from jsonb_to_recordset(keys -> 'sessions') as k (account text, name text, payment_id text)
        order by 1, 2, 3 on conflict do nothing;
        get diagnostics taken = row_count;
        if taken < jsonb_array_length(keys -> 'sessions') then
            select jsonb_agg(jsonb_build_object('payment_id', k.payment_id, 'kind', 'sessions', 'name', k.name)) into others
            from jsonb_to_recordset(keys -> 'sessions') as k (account text, name text, payment_id text)
            where k.payment_id <> (
                select s.payment_id from sessions s where s.account = k.account and s.session_id = k.name);
            lost := lost || coalesce(others, '[]');
        end if;
    end if;
    if keys ? 'transactions' then
        insert into transactions (account, transaction_id, payment_id)
        select k.account, k.name, k.payment_id
        from jsonb_to_recordset(keys -> 'transactions') as k (account text, name text, payment_id text)
        order by 1, 2, 3 on conflict do nothing;
        get diagnostics taken = row_count;
        if taken < jsonb_array_length(keys -> 'transactions') then
            select jsonb_agg(jsonb_build_object('payment_id', k.payment_id, 'kind', 'transactions', 'name', k.name)) into others
            from jsonb_to_recordset(keys -> 'transactions') as k (account text, name text, payment_id text)
            where k.payment_id <> (
                select t.payment_id from transactions t where t.account = k.account and t.transaction_id = k.name);
            lost := lost || coalesce(others, '[]');
        end if;
    end if;
    if keys ? 'references' then
        select jsonb_agg(jsonb_build_object('payment_id', k.payment_id, 'kind', 'references', 'name', k.name)) into others
        from jsonb_to_recordset(keys -> 'references') as k (account text, name text, payment_id text)
        where k.payment_id <> (select p.id from payments p where p.account = k.account and p.reference = k.name);
        lost := lost || coalesce(others, '[]');
    end if;
    if keys ? 'returned' then
        -- The orders of payments that went back in full are free, unless another attempt stands as completed. Such an
        -- attempt has locked the order's row before it was stored as that. So all rows are locked first, in the order of
        -- their keys and together with those that are taken next; and only then are the attempts looked at.
        given_back := array(select jsonb_array_elements_text(keys -> 'returned'));
        for one in
            select p.merchant, p.order_ref from payments p where p.id = any(given_back)
            union
            select k.merchant, k.order_ref
            from jsonb_to_recordset(keys -> 'orders') as k (merchant text, order_ref text)
            order by 1, 2
        loop
            perform from orders o where o.merchant = one.merchant and o.order_ref = one.order_ref for update;
        end loop;
        for one in select p.merchant, p.order_ref from payments p where p.id = any(given_back) loop
            update orders o set paid_by = null
            where o.merchant = one.merchant and o.order_ref = one.order_ref and o.paid_by is not null and not exists (
                select from payments p where p.merchant = o.merchant and p.order_ref = o.order_ref
                    and p.status = 'completed' and p.id <> all(given_back));
        end loop;
    end if;
    if keys ? 'orders' then
        with won as (
            insert into orders (merchant, order_ref, paid_by)
            select distinct on (1, 2) k.merchant, k.order_ref, k.payment_id
            from jsonb_to_recordset(keys -> 'orders') as k (merchant text, order_ref text, payment_id text)
            order by 1, 2, 3
            on conflict (merchant, order_ref) do update set paid_by = coalesce(orders.paid_by, excluded.paid_by)
            returning orders.merchant, orders.order_ref, orders.paid_by)
        select jsonb_agg(jsonb_build_object('payment_id', k.payment_id, 'kind', 'orders', 'name', k.order_ref)) into others
        from jsonb_to_recordset(keys -> 'orders') as k (merchant text, order_ref text, payment_id text)
        join won on won.merchant = k.merchant and won.order_ref = k.order_ref and won.paid_by <> k.payment_id;
        lost := lost || coalesce(others, '[]');
    end if;
    return nullif(lost, '[]');
end
$$;

-- Marks payments as the one attempt of their order that executes; returns those for whose order another stands.
create function begin_executions(attempts jsonb) returns jsonb
language plpgsql set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
declare
    others jsonb;
begin
    with begun as (
        insert into orders (merchant, order_ref, executing)
        select distinct on (1, 2) a.merchant, a.order_ref, a.payment_id
        from jsonb_to_recordset(attempts) as a (merchant text, order_ref text, payment_id text)
        order by 1, 2, 3
        on conflict (merchant, order_ref) do update set executing = excluded.executing
        where orders.paid_by is null and (orders.executing is null or orders.executing = excluded.executing)
        returning orders.executing)
    select jsonb_agg(a.payment_id) into others from jsonb_to_recordset(attempts) as a (payment_id text)
    where a.payment_id not in (select begun.executing from begun);
    return others;
end
$$;

-- Writes columns of payments that changed, and raises the revision of each, also where none did. What is not named of a
-- payment stays as it is. A migration that adds a column makes this function anew.
do $$
declare
    moving text;
begin
    select string_agg(quote_ident(attname), ', ' order by attnum) into moving from pg_attribute
    where attrelid = 'payments'::regclass and not attisdropped and attgenerated = '' and attname <> 'revision'
        and attnum >= (select attnum from pg_attribute where attrelid = 'payments'::regclass and attname = 'status');
    execute format($made$
        create function store_payments(changed jsonb) returns void
        language plpgsql set enable_seqscan = off set plan_cache_mode = force_generic_plan as $body$
        begin
            update payments p set
                (%1$s) = (select %1$s from jsonb_populate_record(p, c.columns)),
                revision = p.revision + 1
            from jsonb_to_recordset(changed) as c (id text, columns jsonb)
            where p.id = c.id and p.id = any(array(select one ->> 'id' from jsonb_array_elements(changed) as one));
        end
        $body$
    $made$, moving);
end
$$;

-- Whether this transaction may give the next places of the log: whoever gives one holds this lock until the commit, so
-- places are seen in their order and without a gap. It is the last lock that anybody takes. Where somebody commits slowly
-- nobody waits for him.
create function places_are_ours() returns boolean language plpgsql set lock_timeout = '5ms' as $$
begin
    perform pg_advisory_xact_lock(7242001);
    return true;
exception
    when lock_not_available then return false;
end
$$;

comment on table events is 'What subscribers are told, serialised once; place is given by one writer at a time, until its commit';
comment on table relays is 'How far the log has been carried on, by to where; who carries holds a lock of its session';

-- Gives the next places to events that were written without one, oldest first, those of a payment in the order of its
-- versions; tells how many. A relay of the release before does so by a statement of its own, under the same lock.
create function place_left_events(most int) returns int
language plpgsql set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
declare
    placed int;
begin
    if not exists (select from events where place is null) then
        return 0;
    end if;
    perform pg_advisory_xact_lock(7242001); -- before the statement that looks, so that it sees what others gave
    with oldest as (
        select payment_id, version from events where place is null order by time, payment_id, version limit most),
    whole as (
        select e.id, e.payment_id, e.version,
            max(e.time) over (partition by e.payment_id order by e.version) as time
        from (select payment_id, max(version) as version from oldest group by payment_id) as o
        join events e on e.payment_id = o.payment_id and e.version <= o.version and e.place is null),
    unplaced as (select id, row_number() over (order by time, payment_id, version) as nth from whole)
    update events e set place = (select coalesce(max(place), 0) from events) + unplaced.nth
    from unplaced where e.id = unplaced.id;
    get diagnostics placed = row_count;
    return placed;
end
$$;

-- Writes what changed of payments; see consumers.ledger.Batch. `bodies` are those of the events, one for each. Returns the
-- places that events got, by id: none where the transaction may last and so is not to give any, where others hold the
-- places, and where an earlier event of the payment has none.
--
-- Of timelines, what a silent gateway says again is counted in the entry before, and what only asked for it goes:
-- `repeats` are such answers, each with how many questions come with it. It must say the same, and nobody but our own
-- schedule may have asked since.
create function store_changes(doc jsonb, bodies bytea[], with_places boolean) returns jsonb
language plpgsql set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
declare
    counted text[] := '{}';
    places jsonb;
begin
    perform store_payments(doc -> 'payments');
    if doc ? 'facts' then
        insert into facts (payment_id, key, fact)
        select f.payment_id, f.key, f.fact from jsonb_to_recordset(doc -> 'facts') as f (payment_id text, key text, fact jsonb)
        on conflict (payment_id, key) do update set fact = excluded.fact;
    end if;
    if doc ? 'repeats' then
        with again as (
            select n.payment_id, n.at, before.seq
            from jsonb_to_recordset(doc -> 'repeats') as n (payment_id text, at text, kind text, data jsonb, asked int)
            cross join lateral (
                select e.seq, e.data from entries e where e.payment_id = n.payment_id and e.kind = n.kind
                order by e.seq desc limit 1) before
            where before.data - '{seconds,times,last_at}'::text[] = n.data - 'seconds' and not exists (
                select from entries e where e.payment_id = n.payment_id and e.seq > before.seq and not (
                    e.kind = 'claim' and e.data ->> 'source' = 'sweep'
                    or e.kind = 'question' and e.data ->> 'trigger' = 'schedule'))
            and 1 = n.asked + (select count(*) from entries e
                where e.payment_id = n.payment_id and e.seq > before.seq and e.kind = 'question')),
        gone as (
            delete from entries e using again
            where e.payment_id = again.payment_id and e.seq > again.seq
                and e.payment_id = any(array(select again.payment_id from again))),
        more as (
            update entries e set data = e.data
                || jsonb_build_object('times', coalesce((e.data ->> 'times')::int, 1) + 1, 'last_at', again.at)
            from again where e.seq = again.seq and e.seq = any(array(select again.seq from again))
            returning e.payment_id)
        select coalesce(array_agg(more.payment_id), '{}') into counted from more;
    end if;
    if doc ? 'entries' then
        insert into entries (payment_id, at, kind, data)
        select e.payment_id, e.at, e.kind, e.data
        from rows from (jsonb_to_recordset(doc -> 'entries') as (payment_id text, at timestamptz, kind text, data jsonb))
            with ordinality as e (payment_id, at, kind, data, place)
        where e.payment_id <> all(counted) order by e.place;
    end if;
    if doc ? 'resolutions' then
        insert into resolutions (payment_id, at, resolution)
        select r.payment_id, r.at, r.resolution
        from jsonb_to_recordset(doc -> 'resolutions') as r (payment_id text, at timestamptz, resolution jsonb);
    end if;
    if doc ? 'freed' then
        update orders o set executing = null
        where o.executing = any(array(select jsonb_array_elements_text(doc -> 'freed')));
    end if;
    if doc ? 'events' then
        with_places := with_places and places_are_ours();
        with told as materialized (
            select e.*, coalesce(
                (select bool_and(b.place is not null) from events b where b.payment_id = e.payment_id), true) as follows
            from rows from (
                jsonb_to_recordset(doc -> 'events') as (
                    id text, payment_id text, version int, type text, merchant text, account text, time timestamptz),
                unnest(bodies)) as e (id, payment_id, version, type, merchant, account, time, body)),
        written as (
            insert into events (id, payment_id, version, type, merchant, account, time, body, place)
            select id, payment_id, version, type, merchant, account, time, body,
                case when with_places and follows then
                    (select coalesce(max(place), 0) from events)
                        + count(*) filter (where follows) over (rows unbounded preceding)
                end
            from told returning id, place)
        select jsonb_object_agg(id, place) into places from written where place is not null;
    end if;
    return coalesce(places, '{}');
end
$$;

-- Writes payments as they were decided on, with their claims, keys and all that changed, if each of them stands at the
-- revision it was read at. Returns the places of its events where that is done, see store_changes; else what stands
-- against it, and then nothing is written. Nothing does where the order of one that is `second` is another's: it was paid
-- when another attempt was, and that is what is written of it.
--
-- Where it gave places it tells `notices` to all processes. Those who notify wait for each other's commits, as those who
-- give places do; who left his places to others, so as not to wait, would wait for them here.
create function write_payments(doc jsonb, callbacks bytea[], bodies bytea[], notices text[], with_places boolean)
returns jsonb language plpgsql as $$
declare
    lost jsonb;
    places jsonb;
begin
    lost := stale_payments(doc -> 'payments');
    if lost is not null then
        return jsonb_build_object('stale', lost);
    end if;
    begin
        lost := jsonb_strip_nulls(jsonb_build_object(
            'claims', case when doc ? 'claims' then admit_claims(doc -> 'claims', callbacks) end,
            'keys', case when doc ? 'keys' then reserve_keys(doc -> 'keys') end,
            'executing', case when doc ? 'executing' then begin_executions(doc -> 'executing') end));
        if lost ? 'claims' or lost ? 'executing' or exists (
            select from jsonb_to_recordset(lost -> 'keys') as k (payment_id text, kind text)
            where k.kind <> 'orders' or not coalesce(doc -> 'second' ? k.payment_id, false))
        then
            raise exception using errcode = 'PP001';
        end if;
        places := store_changes(doc, bodies, with_places);
    exception
        when sqlstate 'PP001' then return lost;
    end;
    if places <> '{}' then
        perform pg_notify('payproof', one) from unnest(notices) as one;
    end if;
    return jsonb_build_object('places', places);
end
$$;

-- All that is known of the payments that claims are about, and of those that are named besides, as one snapshot shows
-- it: the function is stable. The first row tells of the claims, and is there also where no payment is.
--
-- own_sessions and own_transactions are those of the payment's keys that the payment, its answers or a person name, and
-- wishes are of the other attempts of its order. unheard are the accounts of those that were open when this server took
-- over from another, and were not answered about a minute after it or later: one may have executed, and that be missing.
create function look_at_payments(
    claim_ids text[], accounts text[], named text[], claimed_sessions text[], claimed_transactions text[],
    claimed_references text[], signed_events text[], ids text[])
returns table (
    payment payments, known_facts jsonb, known_resolutions jsonb, known_allowance jsonb, own_sessions text[],
    own_transactions text[], order_paid_by text, order_executing text, order_wishes jsonb,
    order_unheard text[], heard jsonb, looked_at timestamptz)
language plpgsql stable set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set plan_cache_mode = force_generic_plan as $$
declare
    homes jsonb;
    wanted text[];
    took_over_at constant timestamptz := (select s.since from servers s);
begin
    select jsonb_agg(to_jsonb(h)), array_agg(h.home) into homes, wanted
    from (
        select c.claim_id, coalesce(path.id, session.payment_id, transaction.payment_id, referred.id) as home,
            case
                when (select true from claims k where k.id = c.claim_id) then 'seen'
                when (select true from claims k where k.account = c.account and k.event_id = c.event_id) then 'repeated'
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
        array(select one.name from unnest(n.names) as one (name) where p.id = (
            select s.payment_id from sessions s where s.account = p.account and s.session_id = one.name)),
        array(select one.name from unnest(n.names) as one (name) where p.id = (
            select t.payment_id from transactions t where t.account = p.account and t.transaction_id = one.name)),
        o.paid_by, o.executing,
        (select jsonb_agg(jsonb_build_object('payment_id', w.id, 'wanted_at', w.execute_wanted_at,
                'waits_until', w.execute_waits_until))
            from payments w
            where w.merchant = p.merchant and w.order_ref = p.order_ref and w.id <> p.id
                and w.execute_state = 'wanted' and w.status = 'pending' and w.execute_wanted_at is not null),
        case when took_over_at is not null and p.order_ref is not null then array(
            select w.account from payments w
            where w.merchant = p.merchant and w.order_ref = p.order_ref and w.id <> p.id and w.status = 'pending'
                and w.opened_at < took_over_at
                and coalesce(w.fact_asked_at < took_over_at + interval '60 s', true)) end,
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
drop function write_payments(jsonb, bytea[], bytea[], text[], boolean);
drop function store_changes(jsonb, bytea[], boolean);
drop function place_left_events(int);
comment on table relays is 'How far the log has been carried on, by to where; one carrier at a time holds its row';
comment on table events is 'What subscribers are told, serialised once; place is given after commit by one writer at a time';
drop function places_are_ours();
drop function store_payments(jsonb);
drop function begin_executions(jsonb);
drop function reserve_keys(jsonb);
drop function admit_claims(jsonb, bytea[]);
drop function stale_payments(jsonb);
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
