-- migrate:up

-- How many bytes of callbacks were taken for the archive, by the name that a budget counts: a payment or a sender's address
-- for an hour, the installation for a day. All processes of ingress add to it. A name is a digest: the row of an address
-- must not hold the address.
create table byte_budgets (
    since timestamptz not null,
    budget text not null,
    name text not null,
    bytes bigint not null,
    primary key (since, budget, name)
);
comment on table byte_budgets is 'Bytes of callbacks taken from each budget in its present hour or day; past it only a digest is stored';
comment on column byte_budgets.name is 'A digest of the payment or the address that the budget is for';

insert into access (relation, ingress, worker, reader) values
    ('byte_budgets', 'select, insert, update, delete', '', 'select');
insert into retention_runs (task) values ('byte_budgets');
select grant_access();

-- migrate:down
delete from retention_runs where task = 'byte_budgets';
delete from access where relation = 'byte_budgets';
drop table byte_budgets;
