#!/bin/sh
# Installs what Switchboard needs beside Rust, from Debian's own packages. Does nothing if all is there.
set -eu

PACKAGES="nginx curl ca-certificates build-essential"
POLICY=/usr/sbin/policy-rc.d

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

# Debian starts a server the moment it is installed, nginx on port 80. We want the program, not that server, so for
# the time of the installation no service may start; whatever policy was there before comes back.
new_nginx=
kept=
denying=
restore() {
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
case "$missing " in
*" nginx "*)
    new_nginx=yes
    if [ -e "$POLICY" ]; then
        kept="$POLICY.before-switchboard"
        $as_root mv "$POLICY" "$kept"
    fi
    denying=yes
    printf '#!/bin/sh\nexit 101\n' | $as_root tee "$POLICY" >/dev/null
    $as_root chmod 755 "$POLICY"
    ;;
esac

echo "setup: installing$missing"
$as_root apt-get update -qq
# shellcheck disable=SC2086 # a list of words
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
restore
# Nor at the next boot.
if [ -n "$new_nginx" ] && command -v systemctl >/dev/null; then
    $as_root systemctl --quiet disable nginx.service 2>/dev/null || true
fi
echo "setup: done"
