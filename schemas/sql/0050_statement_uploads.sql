-- migrate:up

create table statement_uploads (
    id text primary key check (id ~ '^upl_[0-9a-z]{26}$'),
    merchant text not null,
    account text not null,
    name text not null,
    sha256 text not null,
    size integer not null check (size > 0),
    key_id text,
    body bytea,
    columns jsonb,
    uploaded_by text not null,
    uploaded_at timestamptz not null default clock_timestamp(),
    wanted text check (wanted in ('dry_run', 'run')),
    however_many boolean not null default false,
    wanted_by text,
    wanted_at timestamptz,
    beaten_at timestamptz,
    tries integer not null default 0,
    done_at timestamptz,
    run text,
    failed text
);
comment on table statement_uploads is 'Statements that a person uploaded to the console: kept until they are reconciled, or for the archive''s retention';
comment on column statement_uploads.body is 'The file, encrypted as callbacks are where the archive has a key; null: it was reconciled to its end';
comment on column statement_uploads.columns is 'The map by which it was tried, as the person confirmed it: a run uses it alone; null before the first try';
comment on column statement_uploads.wanted is 'What the person asked for last; a process of the role reconcile does it, and says so in done_at';
comment on column statement_uploads.beaten_at is 'The last heartbeat of the process that is at work on it; after a minute without one another process begins again';
comment on column statement_uploads.tries is 'How often it was begun since it was asked for; a process that dies on it leaves it begun';
comment on column statement_uploads.failed is 'Why it could not be done, in words for the person';
create index statement_uploads_wanted on statement_uploads (wanted_at) where wanted is not null and done_at is null;
create index statement_uploads_newest on statement_uploads (uploaded_at desc);

create table statement_notes (
    statement text not null,
    line text not null,
    at timestamptz not null default clock_timestamp(),
    actor text not null,
    words text not null check (words <> ''),
    primary key (statement, line, at)
);
comment on table statement_notes is 'How a person explains a difference of a run; nobody changes or deletes a note';
comment on column statement_notes.line is 'The row''s number, or the id of a payment that the statement does not name';

insert into access (relation, ingress, worker, reader, console) values
    ('statement_uploads', 'select (wanted, wanted_at, beaten_at, done_at)', 'select, update (beaten_at, tries, done_at, run, failed, body), delete', 'select (wanted, wanted_at, beaten_at, done_at)',
        'select, insert, update (columns, wanted, however_many, wanted_by, wanted_at, beaten_at, tries, done_at, run, failed)'),
    ('statement_notes', '', 'select', 'select', 'select, insert');
insert into retention_runs (task) values ('statement_uploads');
select grant_access();

-- migrate:down
delete from retention_runs where task = 'statement_uploads';
delete from access where relation in ('statement_uploads', 'statement_notes');
drop table statement_notes, statement_uploads;
