-- migrate:up transaction:false

-- As 0045.
create index concurrently if not exists sessions_folded on sessions (lower(session_id collate "C"))
    where session_id <> lower(session_id collate "C");

-- migrate:down transaction:false
drop index concurrently if exists sessions_folded;
