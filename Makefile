# The verbs of this project. Each makes .venv itself from the hashed requirements; `make` alone lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export DAGSTER_DISABLE_TELEMETRY := 1

.PHONY: help setup demo dev test fix bench screenshots clean lock

help: ## list the verbs
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 16

$(VENV)/.ready: requirements/setup.txt requirements/test.txt pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "make: $(PYTHON) is not on PATH; install Python 3.11 or newer, or say PYTHON=..."; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "make: $(PYTHON) is $$($(PYTHON) -V); this project needs 3.11 or newer, say PYTHON=..."; exit 1; }
	@echo "making $(VENV): $$(grep -c '==' requirements/test.txt) packages of requirements/test.txt (once; a minute or more, by your network)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/setup.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements/test.txt
	@echo "installing the project into $(VENV)"
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@

setup: $(VENV)/.ready ## make .venv (the other verbs do it too)

demo: setup ## a real lakehouse and a gateway here: collect six hours, push them, check what arrived
	@$(BIN)/iomete-mc demo

dev: setup ## the Dagster UI on the demo's data
	@$(BIN)/iomete-mc dev

test: setup ## format, lint, import contracts, types, all tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/pyright
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

fix: setup ## let ruff format and mend what it can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: setup ## measure, print one line a figure, fail where one is short
	@$(BIN)/python -m iomete_mc_assets_tests.bench

screenshots: setup ## the README's pictures anew, from the demo's data (needs Debian's chromium)
	@$(BIN)/python -m iomete_mc_assets_tests.screenshots

lock: setup ## compile requirements/*.txt again after a change in pyproject.toml
	$(BIN)/uv pip compile --group setup --generate-hashes --no-emit-index-url --no-header --quiet -o requirements/setup.txt
	$(BIN)/uv pip compile pyproject.toml --extra postgres --extra s3 --extra k8s --extra fast --generate-hashes --no-emit-index-url --no-header --quiet -o requirements/run.txt
	$(BIN)/uv pip compile pyproject.toml --extra sandbox --extra postgres --extra s3 --extra fast --group test --generate-hashes --no-emit-index-url --no-header --quiet -o requirements/test.txt

clean: ## stop the sandbox, remove .venv and everything the demo wrote
	@test ! -x $(BIN)/iomete-mc || $(BIN)/iomete-mc sandbox stop --quiet || true
	rm -rf $(VENV) .demo .bench dist .coverage .coverage.* .pytest_cache .ruff_cache .import_linter_cache .hypothesis
