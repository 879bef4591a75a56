# `make help` lists the targets. The same ones run here and in continuous integration.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
ARGS ?=

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run
run: setup-build ## Build and run a whole cluster in one process, with a demo event on the air (ARGS="--edge-a …")
	cargo build --release --locked --bin stentor --bin stentorctl
	exec target/release/stentor dev $(ARGS)

.PHONY: cluster
cluster: setup-cluster ## Run six real nodes and a real etcd on this machine, with the demo spoken into them
	cargo build --release --locked --bin stentor --bin stentorctl
	exec deploy/local/cluster target/release

.PHONY: test
test: ## Everything that must pass: format, lints, tests, dependencies
	@MAKE="$(MAKE)" .ci/timed setup fmt-check lint unit deny

# Needs root, and some 12 GB in the temporary folder.
.PHONY: fresh
fresh: ## Run the demo on a bare Debian that is made for it, and hear 10 s of it
	.ci/fresh .ci/demo

.PHONY: setup
setup: ## Install the Debian packages that building and testing need, where they are missing
	@.ci/setup test

# Less than `setup`, or else: what one target needs.
.PHONY: setup-build setup-cluster setup-voices
setup-build setup-cluster setup-voices: setup-%:
	@.ci/setup $*

.PHONY: fmt
fmt: ## Format all code
	cargo fmt --all

.PHONY: fmt-check
fmt-check:
	cargo fmt --all --check

.PHONY: lint
lint: setup-build ## Run clippy over everything, warnings refused
	cargo clippy --workspace --all-targets --locked -- -D warnings

# The scenarios start the binaries; cargo builds these along with the tests of their own crates.
.PHONY: unit
unit: setup ## Run all tests, whole-cluster scenarios included
	cargo test --workspace --locked

.PHONY: deny
deny: ## Check licences, sources and homes of dependencies (needs cargo-deny)
	@if cargo deny --version >/dev/null 2>&1; then cargo deny --offline check bans licenses sources; \
	else echo "deny: cargo-deny is not installed; skipped (tests/ checks the homes of dependencies as well)"; fi

.PHONY: bench
bench: setup ## Measure on real processes (ARGS="latency 60", handoff, fanout, room, edge, names, hands, seam; without ARGS it says how)
	cargo build --release --locked --workspace --bins
	target/release/measure $(ARGS)

# make chaos SEED=7 ROUNDS=50 FAULT=kill-owner,kill-relay; more flags (--hold, --etcd, --logs) by ARGS.
SEED ?= 1
ROUNDS ?= 1
.PHONY: chaos
chaos: setup ## Break a real cluster on purpose and tell what listeners noticed (SEED=… ROUNDS=… FAULT=…)
	cargo build --release --locked --workspace --bins
	target/release/chaos --seed $(SEED) --rounds $(ROUNDS) $(if $(FAULT),--fault $(FAULT)) $(ARGS)

# make sim SEEDS=10000 FROM=0; make sim SEEDS=1 FROM=1234 tells all that happens in one world.
SEEDS ?= 1000
FROM ?= 0
.PHONY: sim
sim: ## Let worlds in virtual time go by, and tell what fails in them (SEEDS=… FROM=…)
	cargo build --release --locked --package stentor-tests --bin sim
	target/release/sim $(SEEDS) $(FROM)

.PHONY: voices
voices: setup-voices ## Make the demo voices again
	services/node/demo/make-voices.sh

.PHONY: doc
doc: ## Build the documentation of all crates
	cargo doc --workspace --no-deps --locked

.PHONY: clean
clean: ## Remove everything that was built
	cargo clean
