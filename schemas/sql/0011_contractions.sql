-- migrate:up

create table contractions (
    version text primary key
);
comment on table contractions is 'The migrations that took something away: a program that does not know one of them cannot run here';

insert into access (relation, ingress, worker, reader) values ('contractions', 'select', 'select', 'select');
select grant_access();

-- migrate:down
delete from access where relation = 'contractions';
drop table contractions;
