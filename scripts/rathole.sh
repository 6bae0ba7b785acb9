#!/bin/sh
# Installs rathole, which `make bench` compares with, beside what is built here: target/tools/bin/rathole. Does nothing if it is
# there. Whoever cannot have it misses a few columns, nothing more.
set -eu
cd "$(dirname "$0")/.."

VERSION=0.5.0
TOOLS=${CARGO_TARGET_DIR:-$PWD/target}/tools

installed=$("$TOOLS/bin/rathole" --version 2>/dev/null | sed -n 's/^Build Version: *//p') || true
[ "$installed" != "$VERSION" ] || exit 0

echo "rathole: building $VERSION"
mkdir -p "$TOOLS"
# `server` and `client` are all that plain TCP needs. Not `--locked`: the versions that it was released with (time 0.3.29)
# are not taken by Rust 1.80 and later.
cargo install rathole --version "$VERSION" --root "$TOOLS" --no-default-features --features server,client --quiet \
    2>"$TOOLS/rathole.log" || {
    echo "rathole: not installed, $TOOLS/rathole.log says why; its columns stay empty" >&2
    exit 1
}
