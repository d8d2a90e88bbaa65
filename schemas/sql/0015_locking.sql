-- migrate:up

-- Locks payments in the order of their ids, and tells all that is known of them. What is told is read after all are
-- locked, and of those alone: asked together with the lock, it would be what was known before waiting for it. Each statement
-- is planned once for a connection, perhaps while the tables were nearly empty, so it may only ever use their keys.
create function lock_payments(ids text[])
returns table (payment payments, known_facts jsonb, known_resolutions jsonb, known_allowance jsonb, locked_at timestamptz)
language plpgsql set enable_seqscan = off as $$
declare
    locked text[];
begin
    locked := array(select p.id from payments p where p.id = any(array(select unnest(ids))) order by p.id for update);
    locked_at := clock_timestamp();
    return query
    select p,
        (select coalesce(jsonb_agg(f.fact), '[]') from facts f where f.payment_id = p.id),
        (select coalesce(jsonb_agg(r.resolution order by r.id), '[]') from resolutions r where r.payment_id = p.id),
        (select to_jsonb(a) from allowances a where a.account = p.account),
        locked_at
    from payments p where p.id = any(array(select unnest(locked))) order by p.id;
end
$$;

-- migrate:down
drop function lock_payments(text[]);
