-- migrate:up

create table endpoints (
    id text primary key check (id ~ '^wh_[0-9a-f]{12}$'),
    merchant text not null,
    url text not null,
    place bigint not null,
    failures int not null default 0,
    shut_until timestamptz,
    disabled_at timestamptz,
    delivered_at timestamptz
);
comment on table endpoints is 'Where shops are told of events, and how well that goes; whoever works for an endpoint holds its row';
comment on column endpoints.place is 'The merchant''s events up to there have their deliveries';
comment on column endpoints.failures is 'Attempts that failed since the last one that did not';
comment on column endpoints.shut_until is 'Nothing is sent before then: too many failures, it asked for a pause, or one delivery probes it';
comment on column endpoints.disabled_at is 'It answered 410: nothing is sent and what comes waits, until a person enables it';
comment on column endpoints.delivered_at is 'The last delivery, within a few seconds: a row that every delivery wrote would be waited for';

create table deliveries (
    endpoint text not null references endpoints (id),
    event_id text not null references events (id),
    place bigint not null,
    attempts int not null default 0,
    step int not null default 0,
    next_at timestamptz,
    delivered_at timestamptz,
    given_up_at timestamptz,
    answer text,
    primary key (endpoint, event_id),
    -- A delivery waits, or was delivered, or was given up; never two of these, and never none.
    check (num_nonnulls(next_at, delivered_at, given_up_at) = 1)
);
create index deliveries_waiting on deliveries (endpoint, next_at, place) where next_at is not null;
create index deliveries_given_up on deliveries (endpoint, place) where given_up_at is not null;
comment on table deliveries is 'Each event on its way to each endpoint that wants it. next_at: waiting; then delivered_at, or given_up_at';
comment on column deliveries.attempts is 'Attempts begun';
comment on column deliveries.step is 'How far it is in its schedule; behind attempts by those made early, and by those whose process died';
comment on column deliveries.next_at is 'When it is sent next; while it is being sent, when somebody else may take it';
comment on column deliveries.answer is 'What the last attempt brought, in words';

-- migrate:down
drop table deliveries, endpoints;
