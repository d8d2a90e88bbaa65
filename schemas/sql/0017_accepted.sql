-- migrate:up

alter table payments
    add column accepted_amount numeric(14, 2),
    add column order_lost boolean not null default false;
comment on column payments.accepted_amount is 'What came instead of amount, as a person accepted; refunds are measured by it. Null: amount itself';
comment on column payments.order_lost is 'Another attempt had paid the order when this one was first seen paid; held until a person has seen it';
comment on column payments.refunded_amount is 'The greatest that went back by any fitting answer; of accepted_amount, where there is one';

-- The two checks that measured refunds by amount give way to two that ask the same of every row without an accepted
-- amount, and so of all that an older program writes. The rows that are here kept the stricter ones, and are not read again.
alter table payments
    drop constraint payments_check,
    drop constraint payments_check1,
    add constraint payments_returned_at_most check (refunded_amount <= greatest(amount, accepted_amount)) not valid,
    -- A payment is fully returned exactly when it is called refunded.
    add constraint payments_returned_in_full check (
        (status = 'refunded') = (refunded_amount >= coalesce(accepted_amount, amount))
        or not (status in ('completed', 'refunded'))) not valid;

-- What is held as a second payment of an order stays held when the first one is paid back.
update payments set order_lost = true where order_ref is not null and 'duplicate_for_order' = any(holds);

-- What was added to payments since the roles were made moves as the columns from status on do.
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
alter table payments
    drop constraint payments_returned_at_most,
    drop constraint payments_returned_in_full,
    drop column accepted_amount,
    drop column order_lost,
    add constraint payments_check check (refunded_amount <= amount),
    add constraint payments_check1 check (
        (status = 'refunded') = (refunded_amount = amount) or not (status in ('completed', 'refunded')));
update access set
    ingress = regexp_replace(ingress, 'update \(.*\)', 'update (' || moving || ', ' || agreed || ')'),
    worker = regexp_replace(worker, 'update \(.*\)', 'update (' || moving || ')')
from (select string_agg(quote_ident(attname), ', ' order by attnum) as moving from pg_attribute
        where attrelid = 'payments'::regclass and not attisdropped and attgenerated = '' and attnum >=
            (select attnum from pg_attribute where attrelid = 'payments'::regclass and attname = 'status')) as payments,
    (select 'reference, order_ref, amount, currency, description, metadata, return_url, failure_url, cancel_url' as agreed) as a
where relation = 'payments';
select grant_access();
