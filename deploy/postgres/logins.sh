#!/bin/bash
# The image of Postgres runs this once, when it makes the database. It makes the users that payproof's processes log in as,
# each a member of the group whose rights it needs (schemas/sql/0009_roles.sql grants them). Only the owner migrates. For a
# database that is older than this file, run the statements below by hand: `psql` as the owner.
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
