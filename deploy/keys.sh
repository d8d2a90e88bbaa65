#!/bin/sh
# Draws the secrets of an installation: into the directory $2 the password of the database's owner, and into $1 the other
# passwords, the archive's key, the shop's API key and its webhook secret. A drawn secret stays, because the database
# keeps its passwords and holds callbacks that the key encrypted. Without the volume of keys no process can log in any
# more, and those callbacks cannot be read.
set -eu
umask 022
cd "$1"
owner="$2"

# Readable by all, because each service has a user of its own: the volumes are mounted only where they are needed, and on
# the host only root can read a volume. A half-written file never counts.
keep() {
    rm -f "$1.new"
    cat >"$1.new"
    chmod 0444 "$1.new"
    mv -f "$1.new" "$1"
}

hexadecimal() {
    od -An -v -tx1 -N24 /dev/urandom | tr -d ' \n'
}

[ -s "$owner/postgres-password" ] || hexadecimal | keep "$owner/postgres-password"
[ -s ingress-password ] || hexadecimal | keep ingress-password
[ -s worker-password ] || hexadecimal | keep worker-password
[ -s rabbitmq-password ] || hexadecimal | keep rabbitmq-password
[ -s archive-key ] || head -c 32 /dev/urandom | base64 | keep archive-key
[ -s shop-api-key ] || hexadecimal | keep shop-api-key
[ -s shop-webhook-secret ] || printf 'whsec_%s' "$(head -c 24 /dev/urandom | base64)" | keep shop-webhook-secret

printf 'postgresql://payproof:%s@%s/payproof' "$(cat "$owner/postgres-password")" "$POSTGRES" | keep "$owner/database-url"
for login in ingress worker; do
    printf 'postgresql://app_%s:%s@%s/payproof' "$login" "$(cat "$login-password")" "$POSTGRES" | keep "$login-database-url"
done
printf 'amqp://payproof:%s@%s/' "$(cat rabbitmq-password)" "$RABBITMQ" | keep amqp-url
