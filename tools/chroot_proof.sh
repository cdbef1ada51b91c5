#!/bin/sh
# Prove the set-up on a bare Debian: debootstrap, clone, then `make run` and `make check` in it.
# Usage, as root: tools/chroot_proof.sh [SUITE] [FOLDER] [READY-PATTERN]. The mirror and the certificates come from this machine.
set -eu
suite=${1:-bookworm}
root=${2:-/var/tmp/aldis-proof-$suite}
ready=${3:-ready}
repository=$(cd "$(dirname "$0")/.." && pwd)
uris=$(apt-get indextargets --format '$(REPO_URI)' 'Identifier: Packages' 'Component: main' | grep -v security | sort -u)
mirror=$(echo "$uris" | grep -E '/(debian|ubuntu)/?$' | head -n 1)

say() { echo "proof($suite): $*"; }
[ "$(id -u)" = 0 ] || { echo "needs root: debootstrap and chroot do" >&2; exit 1; }
command -v debootstrap >/dev/null || { echo "needs debootstrap:  apt-get install -y debootstrap" >&2; exit 1; }

if [ ! -e "$root/.bare" ]; then
    say "debootstrap: minbase with git, make and python3"
    debootstrap --variant=minbase --include=git,make,python3 "$suite" "$root" "$mirror" >"$root.log" 2>&1 || { tail -n 5 "$root.log"; exit 1; }
    touch "$root/.bare"
fi

server=
# The server is the last in the line make, sh, aldis; make then sees it end by itself, as it does after Ctrl-C.
stop() {
    pid=$(cat "$root/run/make.pid")
    while child=$(cat "/proc/$pid/task/$pid/children") && [ -n "$child" ]; do pid=${child%% *}; done
    kill "$pid"
}
finish() {
    [ -z "$server" ] || stop 2>/dev/null || true
    for mount in proc dev; do umount "$root/$mount" 2>/dev/null || true; done
}
trap finish EXIT
trap 'exit 1' HUP INT TERM
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev" && mount --make-rslave "$root/dev"
cp /etc/resolv.conf /etc/hosts "$root/etc/"

# What the registries of this machine need: its certificates, and what its environment says of pip, uv and proxies.
bundle=${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}
cp "$bundle" "$root/etc/host-certificates.pem"
environment=$(env | grep -E '^(PIP_INDEX_URL|PIP_EXTRA_INDEX_URL|PIP_DEFAULT_TIMEOUT|UV_[A-Z_]*|https?_proxy|HTTPS?_PROXY|no_proxy|NO_PROXY)=' || true)
inside() {
    # shellcheck disable=SC2086
    chroot "$root" /usr/bin/env -i HOME="$home" PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \
        SSL_CERT_FILE=/etc/host-certificates.pem PIP_CERT=/etc/host-certificates.pem $environment "$@"
}

rm -rf "$root/srv/aldis" "$root/srv/plain"
git clone --quiet "$repository" "$root/srv/aldis"
rm -rf "$root/srv/aldis/.git/hooks"
cp -r "$root/srv/aldis" "$root/srv/plain"
chown -R 1000:1000 "$root/srv/plain"

home=/srv/plain
say "as a user, without venv: make run"
status=0
inside setpriv --reuid=1000 --regid=1000 --clear-groups make -C /srv/plain run || status=$?
say "exit code $status"

home=/root
say "as root: make run"
started=$(date +%s)
inside sh -c 'echo $$ >/run/make.pid; exec make -C /srv/aldis run' >"$root.run" 2>&1 &
server=$!
while kill -0 "$server" 2>/dev/null && ! grep -qi "$ready" "$root.run"; do
    [ $(($(date +%s) - started)) -lt 300 ] || break
    sleep 1
done
cat "$root.run"
if kill -0 "$server" 2>/dev/null && grep -qi "$ready" "$root.run"; then
    say "ready after $(($(date +%s) - started)) s; stopping it"
    status=0
    stop
    wait "$server" || status=$?
    say "stopped with exit code $status"
else
    say "the server did not say that it is ready"
fi
server=

say "as root: make check"
status=0
inside make -C /srv/aldis check || status=$?
say "make check: exit code $status"
exit "$status"
