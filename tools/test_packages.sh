#!/bin/sh
# Install the Debian packages of test-packages.txt, or of the list that is named, when root; otherwise print the line that does, and exit with 1.
set -eu
cd "$(dirname "$0")"
list=${1:-test-packages.txt}
policy=/usr/sbin/policy-rc.d

missing=
for package in $(sed 's/#.*//' "$list"); do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0
line="apt-get install -y --no-install-recommends$missing"

if ! command -v apt-get >/dev/null; then
    echo "not a Debian; install by hand:$missing"
    exit 1
fi
if [ "$(id -u)" != 0 ]; then
    echo "not installed:$missing; do:  sudo $line"
    exit 1
fi

echo "installing what is needed from Debian, its services kept from starting: $line"
if [ ! -e $policy ]; then
    trap 'rm -f $policy' EXIT
    trap 'exit 1' HUP INT TERM
    printf '#!/bin/sh\nexit 101\n' >$policy
    chmod 755 $policy
fi
export DEBIAN_FRONTEND=noninteractive
install() { apt-get -qq -o DPkg::Lock::Timeout=300 install -y --no-install-recommends $missing >/dev/null; }
# The lists may be old or absent: fetch them when the first try fails.
install 2>/dev/null || { apt-get -qq -o DPkg::Lock::Timeout=300 update && install; } || { echo "could not install:$missing"; exit 1; }
