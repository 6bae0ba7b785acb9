# Everything that people and CI do with this repository.
.DEFAULT_GOAL := help
.PHONY: help setup setup-tests run module test lint fmt bench instructions torture fuzz

SWITCHBOARD = target/release/switchboard
DEMO = var/demo
MODULE = target/module/ngx_http_switchboard_module.so
FUZZ_SECONDS ?= 60
TORTURE_SECONDS ?= 120

help: ## say what can be made
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

setup: ## install what is missing: nginx and build needs, from Debian's packages
	@scripts/setup.sh

setup-tests: ## the same, and what tests and measurements need: PostgreSQL, mail server, browser, valgrind
	@scripts/setup.sh tests

run: setup ## build, and bring up one server with a demo agent and a demo app
	cargo build --release --locked
	@scripts/module.sh && cp -f $(MODULE) target/release/ || \
		echo "module: not built, the lines above say why; everything works without it, with less to see"
	@# Made beside and then renamed: a first run that is broken off leaves no half-made folder.
	@test -d $(DEMO) || { \
		rm -rf $(DEMO).new && mkdir -p $(DEMO).new && cp -rn conf/. $(DEMO).new/ && \
		$(SWITCHBOARD) range init --from 26018363 --to 80000000 --config $(DEMO).new/fleet.toml && \
		mv $(DEMO).new $(DEMO); }
	@$(SWITCHBOARD) up --demo --config $(DEMO)/fleet.toml

module: ## build the module that counts and switches in nginx
	@scripts/module.sh

test: setup-tests ## run every test; NEXTEST=1 does it with cargo-nextest
	@scripts/module.sh test
ifdef NEXTEST
	cargo nextest run --workspace --locked
	cargo test --workspace --locked --doc
else
	cargo test --workspace --locked
endif

lint: setup-tests ## check format, lints and, if cargo-deny is installed, dependencies
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	@if cargo deny --version >/dev/null 2>&1; then cargo deny --locked check; \
		else echo "cargo-deny is not installed: dependencies are not checked"; fi

fmt: ## format the sources
	cargo fmt --all

bench: setup-tests ## measure, and print one table
	@scripts/module.sh || echo "module: not built, the lines above say why; the rows of the front are left out"
	@scripts/rathole.sh || true
	cargo build --release --locked
	cargo run --release --locked -p switchboard-bench

instructions: setup-tests ## count an instance's instructions; fails if they grew; ACCEPT=1 takes the new counts as right
	cargo run --release --locked -p switchboard-bench -- instructions $(if $(ACCEPT),--accept)

torture: setup ## kill instances for TORTURE_SECONDS while customers register; fails if an ID is given twice
	cargo build --release --locked
	TORTURE_SECONDS=$(TORTURE_SECONDS) cargo run --release --locked -p switchboard-bench --bin switchboard-torture

fuzz: ## fuzz every target for FUZZ_SECONDS each; needs nightly Rust and cargo-fuzz
	@cargo +nightly fuzz --version >/dev/null 2>&1 || { \
		echo "fuzz: nightly Rust and cargo-fuzz are needed: rustup toolchain install nightly && cargo install cargo-fuzz" >&2; exit 1; }
	@targets=$$(cargo +nightly fuzz list) || exit 1; for target in $$targets; do \
		mkdir -p fuzz/corpus/$$target; \
		cargo +nightly fuzz run $$target fuzz/corpus/$$target fuzz/seeds/$$target -- -max_total_time=$(FUZZ_SECONDS) || exit 1; done
