#!/bin/sh
# Pin every requirement with hashes and without addresses: `make lock`, or `make lock UPGRADE=1` to move to the newest versions.
set -eu
cd "$(dirname "$0")/.."
uv=.venv/bin/uv

# Keeps what a lock says already unless UPGRADE is set; the workspace's own packages are installed editable, so they stay out.
compile() {
    out=$1
    shift
    echo "lock: $out"
    $uv --quiet pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
        --no-annotate --custom-compile-command 'make lock' $own ${UPGRADE:+--upgrade} "$@" -o "$out" >/dev/null
}

own=
projects=
for toml in core/pyproject.toml launcher/pyproject.toml services/*/pyproject.toml; do
    projects="$projects $toml"
    own="$own --no-emit-package $(sed -n 's/^name = "\(.*\)"$/\1/p' "$toml" | head -n 1)"
done

compile requirements-uv.lock requirements-uv.in
# shellcheck disable=SC2086
compile requirements.lock requirements.in requirements-run.in --all-extras $projects
UPGRADE=
compile requirements-build.lock requirements-build.in -c requirements.lock
compile requirements-run.lock requirements-run.in launcher/pyproject.toml -c requirements.lock
for service in services/*; do
    compile "$service/requirements.lock" "$service/pyproject.toml" -c requirements.lock
done
