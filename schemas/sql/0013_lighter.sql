-- migrate:up

-- Most changes of a payment are of how we ask, and pass the guard of what only rises by a look at four columns. The old
-- trigger is switched off and not dropped, so that nothing is taken away; its function guards as before.
create trigger payments_rise before update on payments for each row
    when ((new.status, new.version, new.refunded_amount, new.completed_told)
        <> (old.status, old.version, old.refunded_amount, old.completed_told))
    execute function payments_only_rise();
alter table payments disable trigger payments_only_rise;

-- migrate:down
alter table payments enable trigger payments_only_rise;
drop trigger payments_rise on payments;
