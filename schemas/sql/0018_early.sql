-- migrate:up

-- A claim that comes before its payment waits here, and leaves for the queue in the transaction that records the payment.
-- What is not signed is bounded: a few for what it names, some thousand for an account.
create table kept (
    claim_id text primary key,
    account text not null,
    provider text not null,
    signed boolean not null,
    session_id text,
    transaction_id text,
    reference text,
    event_id text,
    received_at timestamptz not null,
    body bytea not null,
    check (coalesce(session_id, transaction_id, reference) is not null)
);
comment on table kept is 'Claims about payments that are not here yet: ids and word, for seven days; a signed one''s callback is in archive';
comment on column kept.signed is 'Never dropped for another; of the others the oldest give way';
comment on column kept.event_id is 'Of a signed claim alone: a gateway that sends an event again adds nothing';
comment on column kept.received_at is 'When the callback came, from which its seven days count';
comment on column kept.body is 'The claim, without its callback';

create unique index kept_event on kept (account, event_id) where event_id is not null;
create index kept_session on kept (account, session_id) where session_id is not null;
create index kept_transaction on kept (account, transaction_id) where transaction_id is not null;
create index kept_reference on kept (account, reference) where reference is not null;
create index kept_unsigned on kept (account, received_at desc, claim_id) where not signed;
create index kept_named on kept (account, coalesce(session_id, transaction_id, reference)) where not signed;
create index kept_age on kept (received_at);

-- The update is for locking alone: whoever takes a row passes over those that another has in hand.
insert into access (relation, ingress, worker, reader) values
    ('kept', 'select, update (claim_id), delete', 'select, insert, update (claim_id), delete',
     'select (claim_id, account, provider, signed, received_at)');
select grant_access();

-- A request that takes up a payment which another began goes on under that payment's id, by which its retry knows it.
create index idempotency_working on idempotency (body) where status is null;

-- migrate:down
drop index idempotency_working;
delete from access where relation = 'kept';
drop table kept;
