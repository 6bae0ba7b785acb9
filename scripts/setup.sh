#!/bin/sh
# Installs what Switchboard needs beside Rust, from Debian's own packages. Does nothing if all is there.
# `setup.sh` is for building and running, `setup.sh tests` for the tests as well.
set -eu

PACKAGES="nginx curl ca-certificates build-essential librrd-dev libclang-dev pkg-config fonts-dejavu-core"
if [ "${1:-}" = tests ]; then
    PACKAGES="$PACKAGES postgresql python3-aiosmtpd rrdtool valgrind chromium chromium-driver"
fi
POLICY=/usr/sbin/policy-rc.d
CLUSTERS=/etc/postgresql-common/createcluster.d/switchboard.conf

installed() {
    dpkg-query --show --showformat='${db:Status-Status}' "$1" 2>/dev/null | grep -qx installed
}

missing=
for package in $PACKAGES; do
    installed "$package" || missing="$missing $package"
done

if ! command -v cargo >/dev/null; then
    echo "setup: cargo is not in PATH: install Rust from https://rustup.rs, then try again" >&2
    exit 1
fi
[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null; then
    echo "setup: no apt-get here: install these with this system's own means:$missing" >&2
    exit 1
fi
as_root=
if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null; then
        echo "setup: sudo is missing: run as root: apt-get install$missing" >&2
        exit 1
    fi
    as_root=sudo
fi

# Debian starts a server the moment it is installed, nginx on port 80, PostgreSQL on 5432 with a cluster made for it. We
# want the programs, not those servers, so for the time of the installation no service may start and no cluster is made;
# whatever policy was there before comes back.
services=
kept=
denying=
no_cluster=
restore() {
    if [ -n "$no_cluster" ]; then
        $as_root rm -f "$CLUSTERS"
        no_cluster=
    fi
    [ -n "$denying" ] || return 0
    $as_root rm -f "$POLICY"
    if [ -n "$kept" ]; then
        $as_root mv "$kept" "$POLICY"
    fi
    denying=
}
trap restore EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
for service in nginx postgresql; do
    # Whoever has a PostgreSQL without Debian's name for the newest one has it for a purpose: it goes on as it is.
    if [ "$service" = postgresql ] && [ -d /usr/lib/postgresql ]; then continue; fi
    case "$missing " in *" $service "*) services="$services $service.service" ;; esac
done
if [ -n "$services" ]; then
    if [ -e "$POLICY" ]; then
        kept="$POLICY.before-switchboard"
        $as_root mv "$POLICY" "$kept"
    fi
    denying=yes
    printf '#!/bin/sh\nexit 101\n' | $as_root tee "$POLICY" >/dev/null
    $as_root chmod 755 "$POLICY"
fi
case "$services " in
*" postgresql.service "*)
    # Read when the package makes its first cluster, which is why it is there before the package.
    no_cluster=yes
    $as_root mkdir -p "$(dirname "$CLUSTERS")"
    echo "create_main_cluster = false" | $as_root tee "$CLUSTERS" >/dev/null
    ;;
esac

echo "setup: installing$missing"
$as_root apt-get update -qq
# shellcheck disable=SC2086 # a list of words
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
restore
# Nor at the next boot.
if [ -n "$services" ] && command -v systemctl >/dev/null; then
    # shellcheck disable=SC2086 # a list of words
    $as_root systemctl --quiet disable $services 2>/dev/null || true
fi
echo "setup: done"
