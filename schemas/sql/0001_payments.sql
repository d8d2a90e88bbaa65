-- migrate:up

-- The rank of a status. It only ever rises; the trigger below repeats the rule that consumers/lifecycle.py owns.
create function payment_rank(status text) returns int language sql immutable parallel safe strict as $$
    select array_position(array['pending', 'expired', 'cancelled', 'failed', 'completed', 'refunded'], status)
$$;

create table payments (
    id text primary key check (id ~ '^pay_[0-9a-z]{26}$'),
    merchant text not null,
    account text not null,
    provider text not null,
    reference text not null,
    order_ref text,
    amount numeric(14, 2) not null check (amount > 0 and amount <> 'NaN'),
    currency text not null,
    description text not null,
    metadata jsonb not null,
    return_url text,
    failure_url text,
    cancel_url text,

    status text not null check (payment_rank(status) is not null),
    holds text[] not null,
    hold text generated always as (holds[1]) stored,
    version int not null check (version >= 0),
    late boolean not null,
    amount_verified boolean not null,
    refunded_amount numeric(14, 2) not null check (refunded_amount >= 0 and refunded_amount <> 'NaN'),
    fee numeric(16, 4),
    method text,
    session_id text,
    aliases text[] not null,
    transaction_id text,
    checkout_url text,
    opened_at timestamptz not null,
    expires_at timestamptz not null,
    completed_at timestamptz,
    checked_at timestamptz,

    opened boolean not null,
    opening_until timestamptz,
    completed_told boolean not null,
    closing_told boolean not null,
    expired_by_clock_at timestamptz,
    unverifiable_at timestamptz,
    unresolved_at timestamptz,

    lease_until timestamptz,
    asked_at timestamptz,
    fact_asked_at timestamptz,
    urgent_at timestamptz,
    hinted_at timestamptz,
    hint_asks timestamptz[] not null,
    success_at timestamptz,
    schedule text check (schedule in ('claimed', 'pending', 'closed', 'refunds')),
    step int not null,
    not_before timestamptz,
    next_check_at timestamptz,

    execute_state text check (execute_state in ('wanted', 'kept')),
    execute_asked_at timestamptz,
    execute_tries int not null,
    execute_unanswered boolean not null,
    candidates jsonb not null,
    candidate_dropped boolean not null,

    check (refunded_amount <= amount),
    -- A payment is fully returned exactly when it is called refunded.
    check ((status = 'refunded') = (refunded_amount = amount) or not (status in ('completed', 'refunded')))
);
comment on table payments is 'One attempt to collect money. status is a rank that only rises; holds stand beside it, the first is shown';
comment on column payments.opened is 'The checkout exists, or the shop opened it itself; payment.opened was written';
comment on column payments.opening_until is 'A POST is opening the checkout until then; another waits or is refused';
comment on column payments.aliases is 'Session ids that an opening replaced; an answer may echo them';
comment on column payments.completed_told is 'payment.completed was written; it never is again';
comment on column payments.closing_told is 'An expired, cancelled or failed event was written; money after it is late';
comment on column payments.expired_by_clock_at is 'When the clock, not the gateway, closed it';
comment on column payments.unverifiable_at is 'A success was claimed that nobody can verify; waiting hold';
comment on column payments.unresolved_at is 'Asked until the schedule ended; waiting hold';
comment on column payments.lease_until is 'One question is in flight until then; longer than any gateway deadline';
comment on column payments.asked_at is 'When the last question was asked';
comment on column payments.fact_asked_at is 'When the last question that brought a Fact was asked; claims received before it are answered';
comment on column payments.urgent_at is 'Received time of the newest signed, operator or API claim';
comment on column payments.hinted_at is 'Received time of the newest unsigned claim';
comment on column payments.hint_asks is 'When unsigned claims made us ask, within the last hour; at most ten';
comment on column payments.success_at is 'Received time of the newest claim that said success';
comment on column payments.not_before is 'The gateway asked us to wait (Retry-After)';
comment on column payments.next_check_at is 'When the sweep looks at it next; null: nothing more is planned';
comment on column payments.execute_state is 'wanted: a success claim asks for Execute. kept: asked, and the wish outlives the reply';
comment on column payments.execute_unanswered is 'Execute was sent and no reply of its own is known';
comment on column payments.candidates is 'Transaction ids that callbacks brought, where no id of ours can be asked by';

create unique index payments_reference on payments (account, reference);
create unique index payments_session on payments (account, session_id) where session_id is not null;
create unique index payments_transaction on payments (account, transaction_id) where transaction_id is not null;
create index payments_due on payments (next_check_at) where next_check_at is not null;
create index payments_newest on payments (merchant, opened_at desc, id desc);
create index payments_held on payments (merchant, opened_at) where hold is not null;
create index payments_order on payments (merchant, order_ref) where order_ref is not null;

create function payments_only_rise() returns trigger language plpgsql as $$
begin
    -- A row of which nobody was ever told may be opened again after the clock closed it.
    if payment_rank(new.status) < payment_rank(old.status) and not (old.version = 0 and old.status = 'expired') then
        raise exception 'payment % would fall from % to %', old.id, old.status, new.status using errcode = 'check_violation';
    end if;
    if new.version < old.version or new.refunded_amount < old.refunded_amount or (old.completed_told and not new.completed_told) then
        raise exception 'payment % would go back in version, refunds or what was told', old.id using errcode = 'check_violation';
    end if;
    return new;
end
$$;
create trigger payments_only_rise before update on payments for each row execute function payments_only_rise();

create table transactions (
    account text not null,
    transaction_id text not null,
    payment_id text not null references payments (id),
    primary key (account, transaction_id)
);
comment on table transactions is 'Each transaction a fitting answer brought, and the one payment it belongs to: the one recorded first';

create table sessions (
    account text not null,
    session_id text not null,
    payment_id text not null references payments (id),
    primary key (account, session_id)
);
comment on table sessions is 'Each session id we were given, replaced ones too, and the one payment it belongs to';

create table orders (
    merchant text not null,
    order_ref text not null,
    paid_by text references payments (id),
    executing text references payments (id),
    primary key (merchant, order_ref)
);
comment on table orders is 'One paid attempt per order, and at most one whose Execute is under way';

create table facts (
    payment_id text not null references payments (id),
    key text not null,
    fact jsonb not null,
    primary key (payment_id, key)
);
comment on table facts is 'What gateways answered; equal answers are one row with first and last times';

create table resolutions (
    id bigint generated always as identity primary key,
    payment_id text not null references payments (id),
    at timestamptz not null,
    resolution jsonb not null
);
create index resolutions_payment on resolutions (payment_id, id);
comment on table resolutions is 'What people decided on held payments; never changed, never deleted';

create table claims (
    id text primary key,
    account text not null,
    payment_id text references payments (id),
    event_id text,
    received_at timestamptz not null,
    claim bytea not null
);
create unique index claims_event on claims (account, event_id) where event_id is not null;
create index claims_payment on claims (payment_id);
comment on table claims is 'Every claim once by its id, a signed gateway event once by its event id, with the callback as received (personal data)';

create table entries (
    seq bigint generated always as identity primary key,
    payment_id text not null references payments (id),
    at timestamptz not null,
    kind text not null check (kind in ('claim', 'question', 'answer', 'decision', 'event', 'delivery', 'resolution')),
    data jsonb not null
);
create index entries_payment on entries (payment_id, seq);
comment on table entries is 'The timeline of each payment, in order of recording; no personal data';

create table events (
    id text primary key,
    payment_id text not null references payments (id),
    version int not null,
    type text not null,
    merchant text not null,
    account text not null,
    time timestamptz not null,
    body bytea not null,
    place bigint unique,
    unique (payment_id, version)
);
create index events_unplaced on events (time) where place is null;
create index events_merchant on events (merchant, place) where place is not null;
create unique index events_completed_once on events (payment_id) where type = 'payment.completed';
comment on table events is 'What subscribers are told, serialised once; place is given after commit by one writer at a time';

create table queue (
    id bigint generated always as identity primary key,
    claim_id text not null unique,
    provider text not null,
    body bytea not null,
    queued_at timestamptz not null default clock_timestamp(),
    available_at timestamptz not null default clock_timestamp(),
    attempts int not null default 0
);
create index queue_available on queue (provider, available_at, id);
comment on table queue is 'Claims on their way to the workers: the whole bus without a broker, the spool with one';

create table dead (
    id bigint generated always as identity primary key,
    claim_id text not null,
    provider text not null,
    body bytea not null,
    reason text not null,
    died_at timestamptz not null default clock_timestamp()
);
comment on table dead is 'Messages that failed by themselves again and again; a person looks at them';

create table tokens (
    account text primary key,
    token text not null,
    expires_at timestamptz not null
);
comment on table tokens is 'Gateway tokens, one per account, shared by all processes';

create table openings (
    payment_id text primary key references payments (id),
    request jsonb not null
);
comment on table openings is 'What a checkout is opened with, kept to open it again after a lost answer (personal data)';

create table idempotency (
    merchant text not null,
    key text not null,
    request_hash bytea not null,
    status int,
    body bytea,
    started_at timestamptz not null,
    busy_until timestamptz,
    primary key (merchant, key)
);
create index idempotency_age on idempotency (started_at);
comment on table idempotency is 'Answers to POSTs with an Idempotency-Key, for 24 hours; status null: in progress, and body is the id its payment gets';

-- migrate:down
drop table idempotency, openings, tokens, dead, queue, events, entries, claims, resolutions, facts, orders, sessions, transactions, payments;
drop function payments_only_rise();
drop function payment_rank(text);
