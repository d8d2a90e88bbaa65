-- migrate:up

-- What the console and the API show of the last attempt. Each is written with the attempt's result, in the same statement.
alter table deliveries add column last_attempt jsonb;
comment on column deliveries.last_attempt is 'Of the last attempt: its number, when it ended, the headers that were sent, the status, and the first 2 KB of the answer. May hold personal data; goes with its row';

alter table endpoints add column answered_at timestamptz;
alter table endpoints add column answer text;
comment on column endpoints.answered_at is 'When the answer came. Every failure is written, and a success once in some seconds';
comment on column endpoints.answer is 'The last answer that is written, in words';

-- An answer may hold personal data, so readers do not get it. Shops send a delivery again through ingress.
update access set
    ingress = 'select (endpoint, event_id, place, attempts, step, next_at, delivered_at, given_up_at, answer), '
        'insert, update (step, next_at, delivered_at, given_up_at)',
    reader = 'select (endpoint, event_id, place, attempts, step, next_at, delivered_at, given_up_at, answer)',
    console = 'select, insert, update'
where relation = 'deliveries';
update access set
    ingress = 'select (id, merchant, configured_id, place, failures, shut_until, disabled_at, delivered_at, answered_at, answer), '
        'update (shut_until)',
    console = 'select, insert, update'
where relation = 'endpoints';
select grant_access();

-- migrate:down
update access set ingress = '', reader = 'select', console = 'select' where relation = 'deliveries';
update access set
    ingress = 'select (id, merchant, configured_id, place, failures, shut_until, disabled_at)',
    console = 'select'
where relation = 'endpoints';
alter table endpoints drop column answer, drop column answered_at;
alter table deliveries drop column last_attempt;
select grant_access();
