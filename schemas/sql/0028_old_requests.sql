-- migrate:up transaction:false
create index concurrently if not exists openings_old on openings (recorded_at) where not personal;

-- migrate:down transaction:false
drop index concurrently openings_old;
