-- migrate:up

create table console_confirmations (
    id_hash bytea primary key,
    session_hash bytea not null,
    path text not null,
    asked_at timestamptz not null default clock_timestamp(),
    confirmed_at timestamptz
);
comment on table console_confirmations is 'Operators who were sent to their identity provider to confirm an act; a row is deleted when the act uses it, and counts for minutes';
comment on column console_confirmations.id_hash is 'SHA-256 of a random secret in the browser''s cookie; the secret is stored nowhere';
comment on column console_confirmations.session_hash is 'The token_hash of the session that asked; no other session can use the row';
comment on column console_confirmations.path is 'The path of the one act that is confirmed';
comment on column console_confirmations.confirmed_at is 'When the provider proved who it is, by a sign-in after asked_at; null: not yet';
create index console_confirmations_asked on console_confirmations (asked_at);

insert into access (relation, ingress, worker, reader, console) values
    ('console_confirmations', '', '', '', 'select, insert, update (confirmed_at), delete');
select grant_access();

-- migrate:down
delete from access where relation = 'console_confirmations';
drop table console_confirmations;
