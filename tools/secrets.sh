#!/bin/sh
# Make what docker-compose.yml reads from ./secrets: passwords, addresses that hold them, and a self-signed certificate. What is there stays.
set -eu
cd "$(dirname "$0")/.."
domains=${ALDIS_DOMAINS:-localhost}

say() { echo "secrets: $*"; }
command -v openssl >/dev/null || { echo "secrets: openssl is missing; install it" >&2; exit 1; }

# The folder is closed to others. The files in it are not: containers read them as users of their own.
mkdir -p secrets
chmod 700 secrets
umask 022
random() { openssl rand -hex 24; }
made() { say "made secrets/$1"; }

# Broker and database keep the password that they were first started with, so these belong together: all or none.
if [ -e secrets/postgres_password ] && [ -e secrets/rabbitmq.conf ]; then
    say "passwords are there"
else
    postgres=$(random)
    rabbitmq=$(random)
    printf '%s' "$postgres" >secrets/postgres_password
    printf 'postgresql://aldis:%s@postgres:5432/aldis' "$postgres" >secrets/database_url
    printf 'default_user = aldis\ndefault_pass = %s\n' "$rabbitmq" >secrets/rabbitmq.conf
    printf 'amqp://aldis:%s@rabbitmq:5672/' "$rabbitmq" >secrets/bus_url
    for file in postgres_password database_url rabbitmq.conf bus_url; do made $file; done
fi

if [ -e secrets/tls.crt ] && [ -e secrets/tls.key ]; then
    say "a certificate is there"
else
    names=$(echo "$domains" | tr -d '[]" ' | sed 's/,/,DNS:/g; s/^/DNS:/')
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 825 -subj "/CN=${domains%%,*}" \
        -addext "subjectAltName=$names" -keyout secrets/tls.key -out secrets/tls.crt 2>/dev/null
    chmod 644 secrets/tls.key
    made tls.crt
    say "it is self-signed: put a certificate of a known authority in its place, and its key into secrets/tls.key"
fi
