#!/bin/sh
# Prove the set-up on a bare Debian: debootstrap, clone, then `make run` and `make check` in it.
# Usage, as root: tools/chroot_proof.sh [SUITE [READY]]; READY is what the server says when it is. Mirror and certificates are this machine's.
set -eu

suite=${1:-bookworm}
ready=${2:-serves}
say() { echo "proof($suite): $*"; }
[ "$(id -u)" = 0 ] || { echo "needs root: debootstrap and chroot do" >&2; exit 1; }
command -v debootstrap >/dev/null || { echo "needs debootstrap:  apt-get install -y debootstrap" >&2; exit 1; }

# In namespaces of its own, so that mounts and processes end with this script, however it ends.
if [ -z "${ALDIS_PROOF_INSIDE:-}" ]; then
    ALDIS_PROOF_INSIDE=1 exec unshare --mount --pid --fork --kill-child sh "$0" "$@"
fi

repository=$(cd "$(dirname "$0")/.." && pwd)
bare=/var/tmp/aldis-proof/$suite
root=$bare.used
if [ ! -d "$bare" ]; then
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Identifier: Packages' 'Component: main' | grep -E '/(debian|ubuntu)/?$' | head -n 1)
    say "debootstrap: minbase with git, make and python3"
    rm -rf "$bare.new"
    mkdir -p "$bare.new"
    debootstrap --variant=minbase --include=git,make,python3 "$suite" "$bare.new" "$mirror" >"$bare.log" 2>&1 || { tail -n 5 "$bare.log"; exit 1; }
    mv "$bare.new" "$bare"
fi
rm -rf "$root"
cp -a --reflink=auto "$bare" "$root"

mount -t proc proc /proc
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
cp /etc/resolv.conf /etc/hosts "$root/etc/"

# What the registries of this machine need: its certificates, and what its environment says of indexes and proxies.
cp "${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}" "$root/etc/host-certificates.pem"
environment=$(env | grep -E '^(PIP_INDEX_URL|PIP_DEFAULT_TIMEOUT|UV_[A-Z_]*|https?_proxy|HTTPS?_PROXY|no_proxy|NO_PROXY)=' || true)
home=/root
inside() {
    # shellcheck disable=SC2086
    chroot "$root" /usr/bin/env -i HOME="$home" PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \
        SSL_CERT_FILE=/etc/host-certificates.pem PIP_CERT=/etc/host-certificates.pem $environment "$@"
}

git clone --quiet --no-hardlinks "$repository" "$root/srv/aldis"
cp -r "$root/srv/aldis" "$root/srv/plain"
chown -R 1000:1000 "$root/srv/plain"

say "as a user, without venv: make run"
status=0
home=/srv/plain inside setpriv --reuid=1000 --regid=1000 --clear-groups make -C /srv/plain run || status=$?
say "exit code $status"

say "as root: make run"
started=$(date +%s)
inside sh -c 'echo $$ >/run/make.pid; exec make -C /srv/aldis run' >"$root.log" 2>&1 &
server=$!
while kill -0 "$server" 2>/dev/null && ! grep -qi "$ready" "$root.log" && [ $(($(date +%s) - started)) -lt 300 ]; do
    sleep 1
done
cat "$root.log"
if kill -0 "$server" 2>/dev/null && grep -qi "$ready" "$root.log"; then
    say "ready after $(($(date +%s) - started)) s; stopping it"
    # The server is the last in the line make, sh, aldis; make sees it end by itself, as it does after Ctrl-C.
    pid=$(cat "$root/run/make.pid")
    while child=$(cat "/proc/$pid/task/$pid/children") && [ -n "$child" ]; do pid=${child%% *}; done
    kill "$pid"
    status=0
    wait "$server" || status=$?
    say "stopped with exit code $status"
else
    say "the server did not say that it is ready"
fi

say "as root: make check"
started=$(date +%s)
status=0
inside make -C /srv/aldis check || status=$?
say "make check: exit code $status after $(($(date +%s) - started)) s with its set-up"

say "again: make run finds all in place"
inside bash -c 'time make -C /srv/aldis .venv/.has-dev'
exit "$status"
