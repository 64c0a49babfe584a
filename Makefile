# Everything runs in .venv, which `install` builds from the pinned versions in requirements-dev.constraints.txt.

PYTHON ?= python3
PORT ?= 2024
JOBS ?= 2
VENV := .venv
BIN := $(VENV)/bin
# Each of JOBS processes begins with a share of the tests, and takes over half of another's rest when it is done. They keep
# what they have compiled, even where the environment says not to.
SUITE := PYTHONDONTWRITEBYTECODE= $(BIN)/pytest -n $(JOBS) --dist worksteal
INSTALLED := $(VENV)/.installed
FIGURES := bench/figures
JS := tests/clients/js
JS_INSTALLED := $(if $(wildcard $(JS)/package-lock.json),$(JS)/node_modules/.package-lock.json)

.PHONY: help install run test test-postgres nightly chaos bench bench-scale lint
.DEFAULT_GOAL := help

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(INSTALLED) ## build .venv with everything

run: $(INSTALLED) ## serve the demo project on port 2024
	@$(BIN)/waystation dev --config examples/demo/langgraph.json --port $(PORT)

test: $(INSTALLED) $(JS_INSTALLED) lint ## lint, then run all tests
	@$(SUITE)

test-postgres: $(INSTALLED) $(JS_INSTALLED) ## run all tests on PostgreSQL
	@WAYSTATION_TEST_DATABASE=postgresql $(SUITE)

nightly: $(INSTALLED) ## run the tests that kill servers, at many more moments
	@$(BIN)/pytest tests/faults -m 'nightly or not nightly'

chaos: $(INSTALLED) ## run 500 runs while processes, PostgreSQL and Valkey fail
	@$(BIN)/pytest tests/chaos -m chaos -s

bench: $(INSTALLED) ## measure the graphs alone, then through a server
	@$(BIN)/python bench/report.py --json $(FIGURES)/sqlite.json

bench-scale: bench ## the same on PostgreSQL and with workers, many threads, memory over 10,000 runs
	@$(BIN)/python bench/report.py --system postgres --against $(FIGURES)/sqlite.json --json $(FIGURES)/postgres.json
	@for workers in 1 2 4; do $(BIN)/python bench/report.py --system workers --workers $$workers --threads 2000 --turns 0 \
	  --against $(FIGURES)/sqlite.json --json $(FIGURES)/workers-$$workers.json || exit 1; done
	@$(BIN)/python bench/in_turn.py
	@$(BIN)/python bench/in_turn.py workers:1 workers:2 workers:4
	@$(BIN)/python bench/threads.py
	@$(BIN)/python bench/leak.py --json $(FIGURES)/leak-sqlite.json
	@$(BIN)/python bench/leak.py --system workers --json $(FIGURES)/leak-workers.json

lint: $(INSTALLED) ## check style and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

$(INSTALLED): pyproject.toml requirements-dev.constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed; name one with: make install PYTHON=python3.12"; exit 1; }
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV) \
	  || { echo "Debian keeps venv in a package of its own: apt-get install python3-venv"; exit 1; }
	@echo 'Installing into $(VENV) (a minute or two)…'
	@$(BIN)/pip install -qq --disable-pip-version-check -c requirements-dev.constraints.txt -e '.[dev]'
	@touch $@

$(JS)/node_modules/.package-lock.json: $(JS)/package-lock.json
	@command -v node >/dev/null && command -v npm >/dev/null \
	  || { echo "The JavaScript client tests need Node.js 20 or newer with npm."; \
	       echo "Debian: apt-get install nodejs npm    macOS: brew install node"; exit 1; }
	@cd $(JS) && npm ci --no-audit --no-fund --loglevel=error
	@touch $@
