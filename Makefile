# What people and CI type. Everything that builds is cargo's.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
TARGET := $(or $(CARGO_TARGET_DIR),target)

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: ## Watch groups being guarded: the real program against a simulated Telegram, no server needed
	@if [ ! -x $(TARGET)/debug/nezuko-loadtest ]; then \
		echo "building Nezuko from source; the first time takes some minutes, later ones seconds"; fi
	@cargo build --package nezuko --package nezuko-loadtest
	@$(TARGET)/debug/nezuko-loadtest demo

.PHONY: demo-distributed
demo-distributed: ## Watch a fleet with two bots over a real Redis and PostgreSQL, while a worker dies and one is restarted
	@cargo build --package nezuko-gateway --package nezuko-worker --package nezuko-loadtest
	@.ci/with-servers $(TARGET)/debug/nezuko-loadtest demo --distributed

.PHONY: week
week: ## Play a week of 20 groups with everything they can have, in some minutes each: one process, then a fleet; or make week SEED=2
	@cargo build --quiet --workspace --features nezuko/planted-bugs --bins
	@$(TARGET)/debug/nezuko-loadtest week --seed $(or $(SEED),1)
	@.ci/with-servers $(TARGET)/debug/nezuko-loadtest week --seed $(or $(SEED),1) --distributed

.PHONY: fixtures
fixtures: ## Send collected updates through the program: make fixtures FILE=updates.jsonl, one JSON object a line
	@test -n "$(FILE)" || { echo "which file? make fixtures FILE=updates.jsonl" >&2; exit 64; }
	@cargo build --quiet --package nezuko --package nezuko-loadtest
	@$(TARGET)/debug/nezuko-loadtest fixtures --file "$(FILE)"

.PHONY: test
test: ## Prove it, also over a real Redis and PostgreSQL, which it starts for itself
	@.ci/with-servers .ci/test

.PHONY: bench
bench: ## Measure the optimised programs: processor time and memory of gateway and worker beside bare servers
	cargo bench --package nezuko-gateway --package nezuko-worker --no-run
	.ci/with-servers cargo bench --quiet --package nezuko-gateway --bench webhook
	.ci/with-servers cargo bench --quiet --package nezuko-worker --bench hot_path

.PHONY: bench-urgency
bench-urgency: ## How long people wait in a raid of 5,000, beside a long work and beside a loud group (4 minutes)
	cargo bench --package nezuko-gateway --package nezuko-worker --package nezuko-loadtest --no-run
	cargo build --release --package nezuko-gateway --package nezuko-worker --bins
	.ci/with-servers cargo bench --quiet --package nezuko-loadtest --bench urgency

.PHONY: bench-product
bench-product: ## How long decisions and commands take, how often the cache knows, over a generated day (2 minutes)
	cargo bench --package nezuko-worker --bench verification --no-run
	cargo bench --package nezuko-loadtest --bench targets --no-run
	cargo build --release --package nezuko-gateway --package nezuko-worker --bins
	.ci/with-servers cargo bench --quiet --package nezuko-worker --bench verification
	.ci/with-servers cargo bench --quiet --package nezuko-loadtest --bench targets

.PHONY: bench-limiter
bench-limiter: ## Eight processes send as much as they may: never over 30 messages/s, hardly under; 10 minutes, or 9 × SECONDS=20
	cargo bench --package nezuko-worker --bench limiter --no-run
	cargo bench --quiet --package nezuko-worker --bench limiter -- --seconds $(or $(SECONDS),60)

.PHONY: image-check
image-check: ## Build the programs as the image has them; they are small, and run from an otherwise empty root as another user (needs root)
	@.ci/image-check

.PHONY: upgrade-check
upgrade-check: ## Replace the programs and the schema of another commit by these under load: make upgrade-check FROM=v0.1.0
	@.ci/upgrade-check "$(FROM)"

.PHONY: simulate
simulate: ## Search generated histories of the protocol on every core: 10 minutes, or make simulate MINUTES=60 FROM=100000
	NEZUKO_HISTORY_SEED=$(or $(FROM),0) NEZUKO_HISTORY_SECONDS=$$((60 * $(or $(MINUTES),10))) cargo test --release --package nezuko-worker --test histories \
		whatever_happens -- --nocapture

.PHONY: mutants
mutants: ## Change facts, policy and settings in every small way, and name the changes that no unit test notices (half an hour)
	@.ci/mutants

.PHONY: matrix
matrix: ## Run the conformance suites on PostgreSQL 15 and 18, Redis 7 and Valkey 8
	@.ci/matrix

.PHONY: check
check: ## Formatting, lints, documentation, scripts and what SREs are given; every warning is an error
	@.ci/check

.PHONY: helm-test
helm-test: ## Check chart, manifests, compose.yaml, alerts, dashboards and documents: rendered, held against schemas, tried
	@.ci/helm-tools python -m unittest discover --start-directory helm/tests

.PHONY: k8s
k8s: ## Write the plain manifests in k8s/ and the alerts of compose.yaml, which are made from the chart
	@.ci/helm-tools python helm/tests/plain_manifests.py

.PHONY: dashboards
dashboards: ## Write the dashboards in helm/nezuko/dashboards, which are made by helm/tests/dashboards.py
	@.ci/helm-tools python helm/tests/dashboards.py

.PHONY: dashboards-check
dashboards-check: ## Ask all that dashboards and alerts ask of a real Prometheus beside a real fleet; promtool looks at the metrics
	@cargo build --quiet --package nezuko --package nezuko-gateway --package nezuko-worker --package nezuko-loadtest --bins
	@NEZUKO_PROGRAMS=$(TARGET)/debug .ci/with-servers .ci/helm-tools python helm/tests/check_dashboards.py

.PHONY: build
build: ## Build the optimised programs into target/release
	cargo build --release --workspace --bins

.PHONY: run
run: ## Run the one-process program with the settings of the environment, or of .env if there is one
	@if [ -f .env ]; then set -a; source ./.env; set +a; fi; cargo run --package nezuko

.PHONY: fmt
fmt: ## Format the code
	cargo fmt --all

.PHONY: docs
docs: ## Write the documents that are made from the code
	REWRITE_DOCS=1 cargo test --quiet --package nezuko-shared --lib -- documents_match
	REWRITE_DOCS=1 cargo test --quiet --package nezuko-worker --lib -- documents_match
