-- migrate:up

alter table payments
    add column referred_at timestamptz,
    add column referred_asks timestamptz[] not null default '{}',
    add column restarted boolean not null default false,
    add column returned_by text,
    add column returned_through boolean not null default false,
    add column unpaid_at timestamptz,
    add column missed_at timestamptz,
    add column missed_step int,
    add column execute_wanted_at timestamptz,
    add column execute_waits_until timestamptz,
    add column execute_doubted boolean not null default false;
comment on column payments.hinted_at is 'Received time of the newest unsigned claim on its own path, or with a session that the gateway issued';
comment on column payments.referred_at is 'Received time of the newest unsigned claim that names it by our reference alone';
comment on column payments.referred_asks is 'When such claims made us ask, within the last hour; at most ten';
comment on column payments.restarted is 'A success claim on its own path began the claimed schedule anew, which happens once';
comment on column payments.returned_by is 'reference or own: somebody came back without a word; claimed runs through once for that, and once more for the payment''s own path';
comment on column payments.returned_through is 'It has run through';
comment on column payments.unpaid_at is 'When the first question after the end was asked whose answer says that nobody paid; a second one closes';
comment on column payments.missed_at is 'When a look for late money or refunds was asked that brought nothing; it is asked again before the next one';
comment on column payments.missed_step is 'Which look of its schedule that was: each is made up for once';
comment on column payments.execute_wanted_at is 'Received time of the claim that wishes for Execute; of several attempts the oldest goes first';
comment on column payments.execute_waits_until is 'Another attempt of the order is executing; when to look whether it still is';
comment on column payments.execute_doubted is 'The reply of an Execute before this one was lost';
comment on column payments.candidates is 'Transaction ids that callbacks brought, where no id of ours can be asked by; see schemas.payments.Candidate';

create index orders_executing on orders (executing) where executing is not null;

alter table allowances add column unknown_by jsonb not null default '[]';
comment on column allowances.unknown_by is 'The payments of the last answers "not found" in a row, at most five; one of another kind ends the row';

-- migrate:down
drop index orders_executing;
alter table allowances drop column unknown_by;
alter table payments
    drop column referred_at,
    drop column referred_asks,
    drop column restarted,
    drop column returned_by,
    drop column returned_through,
    drop column unpaid_at,
    drop column missed_at,
    drop column missed_step,
    drop column execute_wanted_at,
    drop column execute_waits_until,
    drop column execute_doubted;
