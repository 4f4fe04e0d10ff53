# Penstock. `make` prints this help; every target installs what it needs.
SHELL := /bin/bash
.DEFAULT_GOAL := help
CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/penstock
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# kubectl and pip where the machine has none: the cache's own come last.
export PATH := $(PATH):$(CACHE)/bin:$(CACHE)/uv/bin
# Where it is set every start of Python compiles all that it imports: 2 s of CPU for the operator, 7 s for each worker of
# pytest.
export PYTHONDONTWRITEBYTECODE :=
# What mypy knows of the libraries is the same for each checkout: half a minute.
export MYPY_CACHE_DIR := $(CACHE)/mypy
RUN := PYTHONPATH=operator:. $(BIN)/python

.PHONY: help
help: ## Print this help
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: cluster ## Set everything up and run the flights job on real Kafka, Flink and S3; leaves it running
	@$(PYTHON) -m demo.show

.PHONY: test
test: $(VENV)/.ready ## Run every test, end-to-end ones included, on the built-in cluster
	@$(RUN) -m tests.phases

.PHONY: test-all
test-all: $(VENV)/.ready ## The same, and the long forms of what `make test` holds by a quicker test
	@$(RUN) -m tests.phases --all

.PHONY: check
check: lint ## Lint, types, layers, CRD drift and unit tests (before each commit)
	@$(BIN)/pytest -q -n auto --dist worksteal tests/unit

.PHONY: lint
lint: $(VENV)/.ready ## Lint, types, layers and CRD drift alone
	@$(BIN)/ruff format --check --quiet . && $(BIN)/ruff check --quiet .
	@$(BIN)/mypy --no-error-summary
	@PYTHONPATH=operator $(BIN)/lint-imports --no-cache > $(VENV)/layers.log || { cat $(VENV)/layers.log; exit 1; }
	@$(RUN) -m penstock.api.crdgen --check crds/

.PHONY: cluster
cluster: ## Start the test cluster (a real Kubernetes without Docker) and load the images
	@$(PYTHON) -m cluster up
	@$(PYTHON) -m cluster images

.PHONY: e2e
e2e: $(VENV)/.ready ## Run what needs the cluster only
	@$(RUN) -m tests.phases --only cluster,operator,integration,end-to-end,alone

.PHONY: replay
replay: $(VENV)/.ready cluster ## Prove restores and replays on real Kafka and Flink: a line for each scenario
	@$(PYTHON) tests/prepare.py
	@$(BIN)/pytest -q $(addprefix tests/e2e/test_,$(addsuffix .py,preflight replay forks restorable rollback positions))

.PHONY: recovery
recovery: $(VENV)/.ready cluster ## Prove what is told of recoveries: estimates beside what it took, for each run
	@$(PYTHON) tests/prepare.py
	@$(BIN)/pytest -q tests/e2e/test_recovery.py tests/e2e/test_undo.py

.PHONY: crash
crash: $(VENV)/.ready ## Kill the operator at every single effect and compare the ends (up to an hour, no cluster)
	@$(RUN) -m tests.crash

.PHONY: bench
bench: $(VENV)/.ready ## Measure memory, delays and writes of the operator with 100 jobs (3 minutes, no cluster)
	@$(RUN) -m tests.bench

.PHONY: down
down: ## Stop the test cluster and remove all that it made; the cache stays
	@$(PYTHON) -m cluster down

.PHONY: crds
crds: $(VENV)/.ready ## Generate crds/ (and the chart's copy) from the models
	@$(RUN) -m penstock.api.crdgen crds/
	@mkdir -p charts/penstock/crds && cp crds/*.yaml charts/penstock/crds/

.PHONY: golden
golden: $(VENV)/.ready ## Write the golden files of the built objects anew; read the diff before you commit it
	@PENSTOCK_GOLDEN=write $(BIN)/pytest -q tests/unit/build

.PHONY: format
format: $(VENV)/.ready ## Format the code
	@$(BIN)/ruff format --quiet . && $(BIN)/ruff check --fix --quiet .

UV_COMPILE := pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate --no-header
.PHONY: lock
lock: $(CACHE)/uv/bin/uv ## Resolve the dependencies anew into locks/
	@$(CACHE)/uv/bin/uv $(UV_COMPILE) pyproject.toml -o locks/operator.txt
	@$(CACHE)/uv/bin/uv $(UV_COMPILE) pyproject.toml --group dev -o locks/dev.txt
	@$(CACHE)/uv/bin/uv $(UV_COMPILE) --group demo -o locks/demo.txt

$(CACHE)/uv/bin/uv:
	@echo "installing uv into $(CACHE)/uv ..."
	@$(PYTHON) -m venv $(CACHE)/uv 2>/dev/null || { apt-get install -qy python3-venv >/dev/null && $(PYTHON) -m venv $(CACHE)/uv; }
	@$(CACHE)/uv/bin/pip install -q --disable-pip-version-check uv

$(VENV)/.ready: locks/dev.txt | $(CACHE)/uv/bin/uv
	@echo "installing the development tools into $(VENV) ..."
	@$(CACHE)/uv/bin/uv venv -q --allow-existing --python $(PYTHON) $(VENV)
	@VIRTUAL_ENV=$(CURDIR)/$(VENV) $(CACHE)/uv/bin/uv pip sync -q --compile-bytecode --require-hashes locks/dev.txt
	@touch $@
