#!/bin/sh
# Draws the secrets of an installation into folders below $1. The other arguments are the logins: each process has one of its
# own, in a folder of its name, and gets that folder alone.
#
#   drawn      every secret, to be kept: what is there stays. The other folders are written from it each time.
#   owner      the logins of the owner of the tables and of the broker, and the passwords that are given to the others
#   broker     definitions.json: the broker's users and what each may do
#   ingress, consume, sweep, relay, deliver, reconcile, console, keda    username, password, the engines' URLs, and the keys that it uses
#   shop       what the shop has: its API key and the webhook secret
#
# POSTGRES and RABBITMQ say where the engines are, as HOST:PORT. AMQP is amqps for a broker with TLS, and AMQP_QUERY the end
# of its URL, such as ?cafile=PATH.
#
# A drawn secret stays, because the engines keep their passwords and the database holds callbacks that the archive's key
# encrypted, and hashes of buyers' numbers under the contacts' key. Without the folder `drawn` no process can log in any more,
# those callbacks cannot be read, and payments until then are not found by a buyer's number.
set -eu
umask 022
cd "$1"
shift
mkdir -p drawn owner broker shop "$@"

# Readable by all, because each service has a user of its own: the folders are mounted only where they are needed, and on
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

give() { # the drawn secret $1 to each of these folders
    secret="$1"
    shift
    for folder in "$@"; do
        [ ! -d "$folder" ] || keep "$folder/$secret" <"drawn/$secret"
    done
}

# What a login may do at the broker: configure, write, read (regular expressions). Only consume makes queues and exchanges,
# and only relay writes events, which subscribers believe. deliver and reconcile console have no login there; keda asks how long the queues are.
permissions() {
    case "$1" in
    ingress) echo '^$ ^payproof[.](claims|dead)$ ^payproof[.]expected$' ;;
    consume)
        queues='claims([.].+)?|dead|expected'
        echo "^payproof[.]($queues|events)\$ ^payproof[.]($queues)\$ ^payproof[.]($queues)\$"
        ;;
    sweep) echo '^$ ^payproof[.]claims$ ^$' ;;
    relay) echo '^$ ^payproof[.](claims|events)$ ^$' ;;
    keda) echo '^$ ^$ ^$' ;;
    esac
}

definitions() {
    users="{\"name\": \"payproof\", \"password\": \"$(cat drawn/rabbitmq-password)\", \"tags\": \"administrator\"}"
    rights='{"user": "payproof", "vhost": "/", "configure": ".*", "write": ".*", "read": ".*"}'
    for login in "$@"; do
        [ -n "$(permissions "$login")" ] || continue
        read -r configure write read <<END
$(permissions "$login")
END
        users="$users, {\"name\": \"app_$login\", \"password\": \"$(cat "drawn/$login-password")\", \"tags\": \"\"}"
        right="{\"user\": \"app_$login\", \"vhost\": \"/\", \"configure\": \"$configure\", \"write\": \"$write\", \"read\": \"$read\"}"
        rights="$rights, $right"
    done
    printf '{"vhosts": [{"name": "/"}], "users": [%s], "permissions": [%s]}' "$users" "$rights"
}

[ -s owner/postgres-password ] || hexadecimal | keep owner/postgres-password
[ -s drawn/rabbitmq-password ] || hexadecimal | keep drawn/rabbitmq-password
[ -s drawn/archive-key ] || head -c 32 /dev/urandom | base64 | keep drawn/archive-key
[ -s drawn/contacts-key ] || head -c 32 /dev/urandom | base64 | keep drawn/contacts-key
[ -s drawn/shop-api-key ] || hexadecimal | keep drawn/shop-api-key
[ -s drawn/shop-webhook-secret ] || printf 'whsec_%s' "$(head -c 24 /dev/urandom | base64)" | keep drawn/shop-webhook-secret

printf 'postgresql://payproof:%s@%s/payproof' "$(cat owner/postgres-password)" "$POSTGRES" | keep owner/database-url
printf '%s:%s@%s' "${AMQP:-amqp}://payproof" "$(cat drawn/rabbitmq-password)" "$RABBITMQ/${AMQP_QUERY:-}" | keep owner/amqp-url
for login in "$@"; do
    [ -s "drawn/$login-password" ] || hexadecimal | keep "drawn/$login-password"
    password="$(cat "drawn/$login-password")"
    give "$login-password" owner
    printf 'app_%s' "$login" | keep "$login/username"
    printf '%s' "$password" | keep "$login/password"
    amqp="${AMQP:-amqp}://app_$login:$password@$RABBITMQ/"
    if [ "$login" = keda ]; then
        printf '%s' "$amqp" | keep keda/amqp-url
        printf enable | keep keda/tls
        continue
    fi
    printf 'postgresql://app_%s:%s@%s/payproof' "$login" "$password" "$POSTGRES" | keep "$login/database-url"
    [ -z "$(permissions "$login")" ] || printf '%s' "$amqp${AMQP_QUERY:-}" | keep "$login/amqp-url"
done
definitions "$@" | keep broker/definitions.json

give archive-key owner consume reconcile console
give contacts-key ingress console
give shop-api-key ingress shop
give shop-webhook-secret ingress deliver shop
