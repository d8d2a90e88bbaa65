-- migrate:up

create table allowances (
    account text primary key,
    calls float8 not null default 0,
    at timestamptz not null default clock_timestamp(),
    troubles int not null default 0,
    shut_until timestamptz,
    sweep_calls float8 not null default 0,
    swept_at timestamptz
);
comment on table allowances is 'What an account may be asked now: its budget of calls, the sweep''s share of it, and its gateway''s health';
comment on column allowances.calls is 'Calls left of the budget at "at"; below nothing after questions that took several';
comment on column allowances.troubles is 'Questions without an answer since the last one with';
comment on column allowances.shut_until is 'Nobody asks before then: the gateway gave no answers, or one question probes it';
comment on column payments.not_before is 'Nothing is asked before then: the gateway asked us to wait, or its account''s allowance was used up';

drop index payments_due;
create index payments_due on payments (account, next_check_at) where next_check_at is not null;

-- migrate:down
drop index payments_due;
create index payments_due on payments (next_check_at) where next_check_at is not null;
drop table allowances;
