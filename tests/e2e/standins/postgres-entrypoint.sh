#!/bin/sh
# Make the cluster at the first start, as the official image does, then serve.
set -eu
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    initdb --username="$POSTGRES_USER" --pwfile="$POSTGRES_PASSWORD_FILE" --auth-local=trust --auth-host=scram-sha-256 --encoding=UTF8 >/dev/null
    echo 'host all all all scram-sha-256' >>"$PGDATA/pg_hba.conf"
    pg_ctl --silent --options='-c listen_addresses= -c unix_socket_directories=/run/postgresql' --wait start >/dev/null
    createdb --host=/run/postgresql --username="$POSTGRES_USER" "$POSTGRES_DB"
    pg_ctl --silent --mode=fast --wait stop >/dev/null
fi
exec postgres -c 'listen_addresses=*' -c unix_socket_directories=/run/postgresql
