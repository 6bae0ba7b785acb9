#!/bin/bash
# Builds the nginx module for the nginx that is installed: target/module/ngx_http_switchboard_module.so.
# `module.sh` builds; `module.sh test` also checks format and lints, and tests; `module.sh soak [N]` takes up a configuration N
# times (1000) under load; `module.sh asan [N]` does so (100), and tests, with a module that looks after its memory accesses.
set -euo pipefail
cd "$(dirname "$0")/.."

WORK=${CARGO_TARGET_DIR:-$PWD/target}/module-build
RESULT=$PWD/target/module

scripts/setup.sh

# nginx-dev has the headers, and says with which flags its nginx was configured. Asked for in the very version of the
# nginx that is installed, which so stays as it is.
status() { dpkg-query --show --showformat="$2" "$1" 2>/dev/null || true; }
version=$(status nginx '${Version}')
if [ -z "$version" ]; then
    echo "module: nginx here is not Debian's package: there are no headers for it" >&2
    exit 1
fi
if [ "$(status nginx-dev '${db:Status-Status} ${Version}')" != "installed $version" ]; then
    as_root=
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || { echo "module: sudo is missing: run as root: apt-get install nginx-dev=$version" >&2; exit 1; }
        as_root=sudo
    fi
    echo "module: installing nginx-dev $version"
    $as_root apt-get update -qq
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "nginx-dev=$version" >/dev/null
fi
if [ "$(cat "$WORK/nginx/switchboard-version" 2>/dev/null)" != "$version" ]; then
    echo "module: preparing the headers of nginx $version"
    rm -rf "$WORK/nginx"
    mkdir -p "$WORK"
    cp -r /usr/share/nginx/src "$WORK/nginx"
    (
        cd "$WORK/nginx"
        NGX_CONF_FLAGS=()
        # shellcheck source=/dev/null
        . ./conf_flags
        ./configure "${NGX_CONF_FLAGS[@]}" >configure.log 2>&1 || { tail -n 20 configure.log >&2; exit 1; }
    )
    echo "$version" >"$WORK/nginx/switchboard-version"
fi

export NGINX_SOURCE_DIR=$WORK/nginx NGINX_BUILD_DIR=$WORK/nginx/objs CARGO_TARGET_DIR=$WORK/cargo
MANIFEST=nginx/module/Cargo.toml
cargo build --release --locked --manifest-path $MANIFEST
mkdir -p "$RESULT"
# Renamed into place: an nginx that runs has the old file open.
cp "$CARGO_TARGET_DIR/release/libngx_http_switchboard_module.so" "$RESULT/new.so"
mv "$RESULT/new.so" "$RESULT/ngx_http_switchboard_module.so"
echo "module: target/module/ngx_http_switchboard_module.so, for nginx $version"
export SWITCHBOARD_MODULE=$RESULT/ngx_http_switchboard_module.so

soak() {
    SWITCHBOARD_SOAK=$1 cargo test --release --locked --manifest-path $MANIFEST --test load -- --ignored --nocapture soak
}

case "${1:-}" in
test)
    cargo fmt --manifest-path $MANIFEST --all --check
    cargo clippy --release --locked --manifest-path $MANIFEST --workspace --all-targets -- -D warnings
    cargo test --release --locked --manifest-path $MANIFEST --workspace
    ;;
soak)
    soak "${2:-1000}"
    ;;
asan)
    # The sanitizer is a nightly feature of a compiler that is the same; its library is gcc's, and must be in nginx first.
    TARGET=$(rustc -vV | sed -n 's/^host: //p')
    RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Zsanitizer=address cargo build --release --locked --manifest-path $MANIFEST \
        --target "$TARGET" --target-dir "$WORK/asan"
    SWITCHBOARD_MODULE=$WORK/asan/$TARGET/release/libngx_http_switchboard_module.so
    SWITCHBOARD_PRELOAD=$(gcc -print-file-name=libasan.so)
    export SWITCHBOARD_PRELOAD
    cargo test --release --locked --manifest-path $MANIFEST --test load -- --skip nothing_grows
    soak "${2:-100}"
    ;;
esac
