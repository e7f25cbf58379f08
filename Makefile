# polyrelay. `make help` lists the targets.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
JOBS ?= 4

.DEFAULT_GOAL := help

.PHONY: help
help: ## Show this list
	@grep -hE '^[a-z][a-z-]*:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | awk -F'\t' '{printf "  make %-10s %s\n", $$1, $$2}'

.PHONY: install
install: $(STAMP) ## Create the environment .venv from the pinned lock file

$(STAMP): locks/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "polyrelay needs Python 3.11 or newer; set PYTHON=python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement locks/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $(STAMP)

.PHONY: demo
demo: $(STAMP) ## Run one image, one video and one text task on real servers with a simulated vendor
	$(BIN)/polyrelay demo

.PHONY: dev
dev: $(STAMP) ## Run all processes and restart them on source changes; data is kept in .polyrelay/
	$(BIN)/polyrelay dev --reload

.PHONY: test
test: $(STAMP) ## Run the whole test suite
	$(BIN)/python -m pytest --numprocesses $(JOBS) --dist loadfile --no-loadscope-reorder $(TESTS)

.PHONY: chaos
chaos: $(STAMP) ## Run the chaos test: kill processes under load, then check invariants; SECONDS=180 SEED=7 RATE=6 FORMAT=json
	$(BIN)/python -m tests.chaos --seconds $(or $(SECONDS),180) $(if $(SEED),--seed $(SEED)) $(if $(RATE),--rate $(RATE)) $(if $(FORMAT),--format $(FORMAT))

.PHONY: bench
bench: $(STAMP) ## Measure the server and its alternatives; ONLY=pickup,drain ROUNDS=3 QUICK=1 PEERS=no FORMAT=json
	$(BIN)/python -m benchmarks $(if $(ONLY),--only $(ONLY)) $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(QUICK),--quick) $(if $(filter no,$(PEERS)),--no-peers) $(if $(FORMAT),--format $(FORMAT)) $(if $(OUT),--out $(OUT))

.PHONY: check
check: $(STAMP) ## Check format, lint rules, types, import rules and known vulnerabilities
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python .ci/audit $(VENV)/.audited

.PHONY: format
format: $(STAMP) ## Format the code and apply safe lint fixes
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: wheel
wheel: $(STAMP) ## Build the wheel into dist/
	$(BIN)/python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .

.PHONY: lock
lock: ## Pin all dependencies again (needs uv)
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --custom-compile-command "make lock" --extra dev --output-file locks/dev.txt pyproject.toml
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --custom-compile-command "make lock" --extra server --constraint locks/dev.txt --output-file locks/server.txt pyproject.toml

.PHONY: clean
clean: ## Delete the environment and all build results
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
