#!/bin/bash
# Run once by the image of Postgres, when it makes the database: the users that payproof's processes log in as, each a
# member of the one group whose rights it needs (schemas/sql/0009_roles.sql, which grants them). The owner migrates, and
# nobody else. A database that was made before this file gets them by hand: `psql` as the owner, with what stands below.
set -eu
keys=/run/payproof
psql --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" \
    --set ingress="$(cat "$keys/ingress-password")" --set worker="$(cat "$keys/worker-password")" <<'SQL'
do $$
declare
    name text;
begin
    foreach name in array array['payproof_ingress', 'payproof_worker', 'payproof_reader'] loop
        if not exists (select from pg_roles where rolname = name) then
            execute format('create role %I nologin', name);
        end if;
    end loop;
end $$;
create role app_ingress login password :'ingress' in role payproof_ingress;
create role app_worker login password :'worker' in role payproof_worker;
SQL
