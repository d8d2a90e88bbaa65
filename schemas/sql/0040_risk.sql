-- migrate:up

-- A program of an earlier release neither reads nor writes it, and leaves it as it is.
alter table payments add column risk text;
comment on column payments.risk is 'low or high: how the gateway rates the money that it says was paid; null where it says nothing of that';

-- Beside payments_revised, whose columns are those that were there before.
create trigger payments_risk_revised before update of risk on payments for each row
    when (new.revision = old.revision) execute function payments_raise_revision();

-- locks: nothing; it makes a function, whose statement is run later
do $$
declare
    moving text;
begin
    select string_agg(quote_ident(attname), ', ' order by attnum) into moving from pg_attribute
    where attrelid = 'payments'::regclass and not attisdropped and attgenerated = '' and attname <> 'revision'
        and attnum >= (select attnum from pg_attribute where attrelid = 'payments'::regclass and attname = 'status');
    execute format($made$
        create or replace function store_payments(changed jsonb) returns void
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

-- What was added to payments moves as the columns from status on do.
update access set
    ingress = regexp_replace(ingress, 'update \(([^)]*)\)', 'update (risk, \1)'),
    worker = regexp_replace(worker, 'update \(([^)]*)\)', 'update (risk, \1)')
where relation = 'payments';
select grant_access();

-- migrate:down
update access set
    ingress = regexp_replace(ingress, 'update \(risk, ', 'update ('),
    worker = regexp_replace(worker, 'update \(risk, ', 'update (')
where relation = 'payments';
drop trigger payments_risk_revised on payments;
alter table payments drop column risk;
do $$
declare
    moving text;
begin
    select string_agg(quote_ident(attname), ', ' order by attnum) into moving from pg_attribute
    where attrelid = 'payments'::regclass and not attisdropped and attgenerated = '' and attname <> 'revision'
        and attnum >= (select attnum from pg_attribute where attrelid = 'payments'::regclass and attname = 'status');
    execute format($made$
        create or replace function store_payments(changed jsonb) returns void
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
select grant_access();
