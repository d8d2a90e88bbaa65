#!/bin/bash
# Makes the users that payproof's processes log in as, each a member of the group whose rights it needs
# (schemas/sql/0009_roles.sql grants them), and gives each its password. Only the owner of the tables migrates. $1 is the
# folder of the owner's secrets, the other arguments are the logins; PGHOST, PGUSER and PGDATABASE say where. It may run
# again at any time.
set -eu
secrets="$1"
shift
PGPASSWORD="$(cat "$secrets/postgres-password")"
export PGPASSWORD
run() {
    psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 "$@"
}
run <<'SQL'
do $$
declare
    name text;
begin
    foreach name in array array['payproof_ingress', 'payproof_worker', 'payproof_reader', 'payproof_console'] loop
        if not exists (select from pg_roles where rolname = name) then
            execute format('create role %I nologin', name);
        end if;
    end loop;
end $$;
SQL
for login in "$@"; do
    group=payproof_worker
    case "$login" in
    ingress | console) group="payproof_$login" ;;
    esac
    run --set login="app_$login" --set group="$group" --set password="$(cat "$secrets/$login-password")" <<'SQL'
select format('create role %I login', :'login') where not exists (select from pg_roles where rolname = :'login') \gexec
alter role :"login" login password :'password';
grant :"group" to :"login";
SQL
done
