-- migrate:up

create table statements (
    id text primary key check (id ~ '^rec_[0-9a-z]{26}$'),
    account text not null,
    source text not null,
    sha256 text,
    since timestamptz,
    until timestamptz,
    newest_at timestamptz,
    started_at timestamptz not null,
    finished_at timestamptz,
    dry_run boolean not null,
    seen_before boolean not null,
    stopped text,
    sums jsonb not null
);
comment on table statements is 'Each run over a statement: written whole in one transaction, together with its rows, before anything follows from it';
comment on column statements.source is 'The file''s name, or what was asked of the gateway''s list';
comment on column statements.since is 'What the statement covers, as told or from its oldest row to its newest; null where no row has a time';
comment on column statements.newest_at is 'The time of its newest row: it was exported then or later';
comment on column statements.finished_at is 'Everything that follows was set going; null: it still is, or its process died and the statement has to be run again';
comment on column statements.stopped is 'Why nothing was followed up: too much differs for it to be this account''s statement';
comment on column statements.sums is 'By outcome: how many rows, their money and their fees';
create index statements_newest on statements (account, started_at desc);

create table statement_rows (
    statement text not null,
    row int,
    outcome text not null,
    why text not null,
    next text not null check (next in ('none', 'asked', 'recorded', 'held', 'reported')),
    line text,
    kind text,
    status text,
    word text,
    amount numeric,
    fee numeric,
    at timestamptz,
    transaction_id text,
    session_id text,
    reference text,
    payment_id text,
    other_payment_id text,
    first_row int,
    refunds numeric,
    status_here text,
    amount_here numeric,
    refunded_here numeric,
    fee_due numeric,
    words text
);
create index statement_rows_place on statement_rows (statement, row);
create index statement_rows_differing on statement_rows (statement, outcome, row) where outcome <> 'matched';
comment on table statement_rows is 'What became of each line, as it was when the run judged it. No foreign keys: a million rows are written at once';
comment on column statement_rows.row is 'As a spreadsheet counts; null: a payment of ours that no line names';
comment on column statement_rows.line is 'What the line says, without its place: equal in every export of it. Set where something follows';
comment on column statement_rows.first_row is 'The row that this one repeats';
comment on column statement_rows.refunds is 'What all refund lines of the payment in this statement come to';
comment on column statement_rows.words is 'Of an unreadable row: why, and the row as it stands (may be personal data)';

create table followed (
    account text not null,
    line text not null,
    statement text not null,
    at timestamptz not null,
    primary key (account, line)
);
comment on table followed is 'What lines have set going, once for each, however often they are exported';

create index payments_completed on payments (account, completed_at) where completed_at is not null;

-- migrate:down
drop index payments_completed;
drop table followed, statement_rows, statements;
