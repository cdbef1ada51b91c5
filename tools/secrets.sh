#!/bin/sh
# Make what docker-compose.yml reads from ./secrets, or where ALDIS_SECRETS says: passwords, addresses that hold them, and a self-signed certificate. What is there stays.
set -eu
cd "$(dirname "$0")/.."
domains=${ALDIS_DOMAINS:-localhost}
folder=${ALDIS_SECRETS:-./secrets}

say() { echo "secrets: $*"; }
command -v openssl >/dev/null || { echo "secrets: openssl is missing; install it" >&2; exit 1; }

# The folder is closed to others. The files in it are not: containers read them as users of their own.
mkdir -p "$folder"
chmod 700 "$folder"
umask 022
random() { openssl rand -hex 24; }
made() { say "made $folder/$1"; }

# Broker and database keep the password that they were first started with, so these belong together: all or none.
if [ -e "$folder"/postgres_password ] && [ -e "$folder"/rabbitmq.conf ]; then
    say "passwords are there"
else
    postgres=$(random)
    rabbitmq=$(random)
    printf '%s' "$postgres" >"$folder"/postgres_password
    printf 'postgresql://aldis:%s@postgres:5432/aldis' "$postgres" >"$folder"/database_url
    printf 'default_user = aldis\ndefault_pass = %s\n' "$rabbitmq" >"$folder"/rabbitmq.conf
    printf 'amqp://aldis:%s@rabbitmq:5672/' "$rabbitmq" >"$folder"/bus_url
    for file in postgres_password database_url rabbitmq.conf bus_url; do made $file; done
fi

if [ -e "$folder"/tls.crt ] && [ -e "$folder"/tls.key ]; then
    say "a certificate is there"
else
    names=$(echo "$domains" | tr -d '[]" ' | sed 's/,/,DNS:/g; s/^/DNS:/')
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 825 -subj "/CN=${domains%%,*}" \
        -addext "subjectAltName=$names" -keyout "$folder"/tls.key -out "$folder"/tls.crt 2>/dev/null
    chmod 644 "$folder"/tls.key
    made tls.crt
    say "it is self-signed: put a certificate of a known authority in its place, and its key into $folder/tls.key"
fi
