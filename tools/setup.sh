#!/bin/sh
# Make .venv hold the pinned packages and the workspace: `setup.sh run` what the server needs, `setup.sh dev` everything.
set -eu
cd "$(dirname "$0")/.."
want=${1:?usage: setup.sh run|dev}
venv=.venv

say() { echo "setup: $*"; }
die() { echo "setup: $*" >&2; exit 1; }
at_least_311() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }
has_venv() { "$1" -c 'import ensurepip, venv' 2>/dev/null; }

# Two makes at once take turns.
if command -v flock >/dev/null; then
    mkdir -p build
    exec 9>build/setup.lock
    flock 9
fi

choose_python() {
    if [ -n "${PYTHON:-}" ]; then
        at_least_311 "$PYTHON" || die "PYTHON=$PYTHON is not a Python 3.11 or newer"
        return
    fi
    for name in python3.13 python3.12 python3.11 python3; do
        at_least_311 "$name" || continue
        PYTHON=${PYTHON:-$name}
        if has_venv "$name"; then PYTHON=$name; return; fi
    done
    [ -n "${PYTHON:-}" ] || die "needs Python 3.11 or newer; found $(python3 -V 2>/dev/null || echo none). Install one, or name it: make run PYTHON=/path/to/python3"
}

need_venv_module() {
    has_venv "$PYTHON" && return
    package=$("$PYTHON" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
    command -v apt-get >/dev/null || die "$PYTHON lacks the venv and ensurepip modules; install them"
    if [ "$(id -u)" != 0 ]; then
        die "$PYTHON lacks venv; install it with:  sudo apt-get install -y $package"
    fi
    say "$PYTHON lacks venv; installing it: apt-get install -y $package"
    apt-get -qq -o DPkg::Lock::Timeout=300 update
    DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 install -y --no-install-recommends "$package" >/dev/null
}

# A virtual environment that was moved, or whose interpreter is gone, is made anew: its scripts name both.
if [ -e $venv ] && { ! at_least_311 $venv/bin/python || [ "$(cat $venv/.made-in 2>/dev/null || pwd)" != "$(pwd)" ]; }; then
    say "$venv belongs to another place or interpreter; making it anew"
    rm -rf $venv
fi
if [ ! -x $venv/bin/pip ]; then
    choose_python
    need_venv_module
    say "making $venv with $("$PYTHON" -V)"
    "$PYTHON" -m venv --clear $venv
fi
pwd >$venv/.made-in

if ! $venv/bin/uv --version 2>/dev/null | grep -qF "uv $(sed -n 's/^uv==\([0-9.]*\).*/\1/p' requirements-uv.lock) "; then
    say "installing the pinned uv"
    $venv/bin/python -m pip install --quiet --disable-pip-version-check --only-binary :all: --require-hashes -r requirements-uv.lock
fi

# Hashes for what comes from outside; the workspace itself is installed editable, without looking for anything more.
lock=requirements.lock
[ "$want" = dev ] || lock=requirements-run.lock
say "installing $(grep -c '==' $lock) pinned packages and the workspace"
export VIRTUAL_ENV="$PWD/$venv"
$venv/bin/uv --quiet pip sync --require-hashes $lock
set --
for project in core launcher services/*; do
    [ ! -f "$project/pyproject.toml" ] || set -- "$@" -e "./$project"
done
$venv/bin/uv --quiet pip install --no-deps --no-build-isolation "$@"
touch "$venv/.has-$want"
