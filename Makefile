# Clarion. `make` alone lists the targets. Everything happens in this folder: .venv for packages, .clarion for data.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory
SHELL := /bin/bash
# Where it is set, every process compiles all of its modules anew, and pytest rewrites all of its own: a third of what a short run costs.
unexport PYTHONDONTWRITEBYTECODE

# The first Python that fits; name another with `make PYTHON=...`.
ifndef PYTHON
PYTHON := $(shell for p in python3.11 python3.12 python3.13 python3; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && echo $$p && break; done)
endif
BIN := .venv/bin
ARGS ?=
FUZZ_EXAMPLES ?= 3
FUZZ_SEEDS ?= 1 2 3 4 5
# Test workers. Those that start processes wait most of the time, so that there are more of them than cores; those of the fast tier are
# always busy, and each of them collects all tests. A few tests that ARGS names are over before the workers are up.
WORKERS := 4
test-fast test-later: WORKERS := logical --maxprocesses=8
JOBS ?= $(if $(ARGS),0,$(WORKERS))
PARALLEL = --numprocesses=$(JOBS) --dist=loadscope --no-loadscope-reorder
LOCK := $(BIN)/uv pip compile pyproject.toml --quiet --generate-hashes --no-emit-index-url --no-annotate --universal --python-version 3.11 \
	--no-config --custom-compile-command 'make lock'

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: venv
venv:
	@test -n "$(PYTHON)" || { echo "Clarion needs Python 3.11, 3.12 or 3.13; none is on PATH"; exit 1; }
	@$(PYTHON) scripts/setup.py venv

.PHONY: setup
setup: venv ## Make .venv from the hashed lock; build the console; install RabbitMQ, PgBouncer, faketime, promtool and Chromium for the tests where that is possible
	@$(PYTHON) scripts/setup.py broker clock rules pooler browser viewer console

.PHONY: viewer
viewer: venv
	@$(PYTHON) scripts/setup.py viewer

.PHONY: console
console: venv ## Build the console's pages, which the gateway serves at /console/
	@$(PYTHON) scripts/setup.py console

.PHONY: setup-bench
setup-bench: venv ## Install what `make bench` needs beside that (wrk, smtp-sink)
	@$(PYTHON) scripts/setup.py bench

.PHONY: run
run: venv viewer console ## Run the whole system in one process and print how to talk to it (ARGS=--fresh empties its data)
	@$(BIN)/python -m devstack $(ARGS)

.PHONY: demo
demo: venv ## Send one e-mail and one push through the whole system, show both, exit 0
	@$(BIN)/python -m devstack.demo $(ARGS)

.PHONY: demo-later
demo-later: setup ## The demo as if it were 40 days later (faketime)
	@faketime -f +40d $(BIN)/python -m devstack.demo $(ARGS)

.PHONY: test
test: setup ## Run all tests (ARGS="tests/mesh -k deadline" narrows them, JOBS=1 runs them one after the other)
	@$(BIN)/python -m pytest $(PARALLEL) $(ARGS)

.PHONY: test-fast
test-fast: venv viewer ## Run the tests that start no process: no database, no broker, under a minute
	@$(BIN)/python -m pytest -m "not processes" --hypothesis-profile=fast $(PARALLEL) $(ARGS)

.PHONY: test-later
test-later: setup ## Run the tests of `test-fast` as if it were 400 days later (faketime)
	@faketime -f +400d $(BIN)/python -m pytest -m "not processes" --hypothesis-profile=fast $(PARALLEL) $(ARGS)

.PHONY: fuzz
fuzz: setup ## Test the API against its OpenAPI document (five seeds, about 3,000 cases and 1 to 6 minutes each)
	@$(BIN)/python -m scripts.lint_openapi
	@FUZZ_EXAMPLES=$(FUZZ_EXAMPLES) FUZZ_SEEDS="$(FUZZ_SEEDS)" FUZZ_PHASES=examples,coverage,fuzzing,stateful $(BIN)/python -m pytest \
		-o faulthandler_timeout=0 tests/devstack/test_openapi_document.py $(ARGS)

.PHONY: coverage
coverage: setup ## Run all tests and report what they do not reach
	@$(BIN)/coverage erase
	@$(BIN)/coverage run -m pytest $(ARGS)
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report

.PHONY: lint
lint: venv ## Check style, import contracts and the schema
	$(BIN)/ruff check
	$(BIN)/ruff format --check --quiet
	cd clients/python && ../../$(BIN)/ruff check && ../../$(BIN)/ruff format --check --quiet
	$(BIN)/lint-imports --no-cache
	$(BIN)/python -m scripts.lint_protos

.PHONY: check
check: lint ## Everything that reads the code without running it: lint, types, fresh gen/
	$(BIN)/mypy
	$(BIN)/mypy --python-version 3.10 --package clarion_client
	$(BIN)/python -m scripts.gen --check
	$(BIN)/python -m scripts.gen_client --check
	$(BIN)/python -m scripts.gen_console --check
	$(BIN)/python -m scripts.gen_telemetry --check

.PHONY: fmt
fmt: venv ## Format the code and fix what can be fixed
	@$(BIN)/ruff check --fix-only --quiet
	@$(BIN)/ruff format
	@cd clients/python && ../../$(BIN)/ruff check --fix-only --quiet && ../../$(BIN)/ruff format --quiet

.PHONY: gen
gen: venv ## Generate gen/, the Python client and the console's types from protos/
	@$(BIN)/python -m scripts.gen
	@$(BIN)/python -m scripts.gen_client
	@$(BIN)/python -m scripts.gen_console

.PHONY: docs
docs: venv ## Write the tables of docs/operations.md, docs/providers.md and docs/scaling.md
	@$(BIN)/python -m scripts.settings_table
	@$(BIN)/python -m scripts.provider_tables
	@$(BIN)/python -m scripts.scaling_plan

.PHONY: screenshots
screenshots: setup ## Take the pictures of the console in docs/images/ (ARGS=overview-light takes one)
	@$(BIN)/python -m scripts.screenshots $(ARGS)

.PHONY: telemetry
telemetry: venv ## Write alert rules and dashboards into deploy/ from scripts/alerts.py and scripts/dashboards.py
	@$(BIN)/python -m scripts.gen_telemetry

.PHONY: migrate
migrate: venv ## Bring the databases up to date that GATEWAY_, USER_SVC_ and TEMPLATE_SVC_DATABASE_URL name
	@$(BIN)/python -m scripts.migrate

.PHONY: bench
bench: setup-bench ## Measure the system beside the floor of each layer; the last line is JSON
	@$(BIN)/python -m bench $(ARGS)

.PHONY: sessions
sessions: setup ## Record the sessions of docs/command-line.md anew
	@$(BIN)/python -m tests.clients.sessions

.PHONY: drill
drill: setup ## Take every part away under load and account for every notification (ARGS=--short: 2 minutes; ARGS="--rounds 20": hours; ARGS=--fuzz: odd requests; ARGS=--poison: hostile input; ARGS=--feed: readers of the feed; --soak: half an hour of steady load; --roll: rolling restarts)
	@$(BIN)/python -m tests.system.drills $(ARGS)

.PHONY: release
release: venv console viewer ## Make dist/clarion-VERSION of this commit: wheel, SBOM, OpenAPI, descriptors, notes, checksums
	@$(BIN)/python -m scripts.release

.PHONY: lock
lock: venv ## Resolve pyproject.toml anew into the hashed lock files (ARGS=--upgrade takes newer versions)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@$(LOCK) $(ARGS) --output-file requirements.lock > /dev/null
	@$(LOCK) $(ARGS) --extra dev --output-file requirements-dev.lock > /dev/null
	@$(MAKE) venv

.PHONY: clean
clean: ## Remove .venv, the data of `make run` and every cache
	@rm -rf .venv .clarion .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage .coverage.* dist build console/node_modules gateway/console/built
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
