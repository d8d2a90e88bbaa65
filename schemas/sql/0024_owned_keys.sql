-- contract 0023: 0.1.0 counts on the two unique indexes that go
-- migrate:up

-- The indexes go first, because that locks payments as fully as it ever is here. After the triggers, which lock it less,
-- a writer that has locked a payment would wait for this migration, and this migration for the writer.
drop index payments_session;
drop index payments_transaction;

-- A session and a transaction of an account belong to one payment: the rows of `sessions` and `transactions` say whose
-- they are. Two unique indexes on payments said so again, at a twentieth of a payment's WAL, and did not notice a
-- payment that never took the key it names. Keys belong to payments, so a new payment is judged when its transaction
-- ends. Of an update only the column that changed is judged, so that a payment that named such a key before can be paid.
create function payments_own_their_keys() returns trigger
language plpgsql set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
begin
    if new.session_id is not null and new.session_id is distinct from old.session_id and not exists (
        select from sessions s
        where s.account = new.account and s.session_id = new.session_id and s.payment_id = new.id)
    then
        raise exception 'payment % names a session that is not its own', new.id
            using errcode = 'integrity_constraint_violation', constraint = tg_name, table = 'payments';
    end if;
    if new.transaction_id is not null and new.transaction_id is distinct from old.transaction_id and not exists (
        select from transactions t
        where t.account = new.account and t.transaction_id = new.transaction_id and t.payment_id = new.id)
    then
        raise exception 'payment % names a transaction that is not its own', new.id
            using errcode = 'integrity_constraint_violation', constraint = tg_name, table = 'payments';
    end if;
    return null;
end
$$;
create constraint trigger payments_made_own_their_keys after insert on payments
    deferrable initially deferred for each row
    when (new.session_id is not null or new.transaction_id is not null)
    execute function payments_own_their_keys();
create trigger payments_own_their_keys after update of session_id, transaction_id on payments for each row
    when (new.session_id is distinct from old.session_id or new.transaction_id is distinct from old.transaction_id)
    execute function payments_own_their_keys();

insert into contractions values ('0023');
comment on table contractions is 'What a program must know to run here: a migration of the release before the one that took something away';

-- migrate:down
comment on table contractions is 'The migrations that took something away: a program that does not know one of them cannot run here';
delete from contractions where version = '0023';
drop trigger payments_own_their_keys on payments;
drop trigger payments_made_own_their_keys on payments;
drop function payments_own_their_keys();
create unique index payments_transaction on payments (account, transaction_id) where transaction_id is not null;
create unique index payments_session on payments (account, session_id) where session_id is not null;
