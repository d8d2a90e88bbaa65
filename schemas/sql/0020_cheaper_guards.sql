-- migrate:up

-- The same two guards of payments, spelled out. Postgres inlines payment_rank() anew for each statement that writes a
-- payment, which cost more than the check itself.
alter table payments
    drop constraint payments_status_check,
    add constraint payments_status_known
        check (status in ('pending', 'expired', 'cancelled', 'failed', 'completed', 'refunded')) not valid;

create function payments_never_fall() returns trigger language plpgsql as $$
declare
    ranks constant text[] := array['pending', 'expired', 'cancelled', 'failed', 'completed', 'refunded'];
begin
    -- A row of which nobody was ever told may be opened again after the clock closed it.
    if new.status <> old.status and array_position(ranks, new.status) < array_position(ranks, old.status)
            and not (old.version = 0 and old.status = 'expired') then
        raise exception 'payment % would fall from % to %', old.id, old.status, new.status using errcode = 'check_violation';
    end if;
    if new.version < old.version or new.refunded_amount < old.refunded_amount or (old.completed_told and not new.completed_told) then
        raise exception 'payment % would go back in version, refunds or what was told', old.id using errcode = 'check_violation';
    end if;
    return new;
end
$$;
-- payments_rise is the trigger of 0013, and payments_only_rise that of 0001, which 0013 had switched off. The functions
-- payments_only_rise() and payment_rank() stay, because 0.1 has them; no trigger and no check calls them any more.
drop trigger payments_rise on payments;
drop trigger payments_only_rise on payments;
create trigger payments_never_fall before update on payments for each row
    when (new.status <> old.status or new.version <> old.version or new.refunded_amount <> old.refunded_amount
        or new.completed_told <> old.completed_told)
    execute function payments_never_fall();

-- migrate:down
drop trigger payments_never_fall on payments;
drop function payments_never_fall();
create trigger payments_rise before update on payments for each row
    when ((new.status, new.version, new.refunded_amount, new.completed_told)
        <> (old.status, old.version, old.refunded_amount, old.completed_told))
    execute function payments_only_rise();
create trigger payments_only_rise before update on payments for each row execute function payments_only_rise();
alter table payments disable trigger payments_only_rise;
alter table payments
    drop constraint payments_status_known,
    add constraint payments_status_check check (payment_rank(status) is not null);
