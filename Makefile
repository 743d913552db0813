# The one definition of how Tricorn is built, checked, tested and measured; .ci/run and people call the same targets.
# Needs python3 (>= 3.11), cargo and make. Everything made here goes to .venv, .build and target; `make clean` removes it.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMPS := .build/stamps
export VIRTUAL_ENV := $(CURDIR)/$(VENV)
export PYO3_PYTHON := $(VIRTUAL_ENV)/bin/python
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_NO_INPUT := 1
export PYTHONNOUSERSITE := 1
# What a shell of a developer may have set for other projects must not reach the build.
unexport PYTHONPATH PYTHONHOME CONDA_PREFIX PYTHONDONTWRITEBYTECODE MAKEFLAGS

RUST := $(shell find rust -name target -prune -o -type f \( -name '*.rs' -o -name Cargo.toml \) -print) \
        Cargo.toml $(wildcard Cargo.lock)
EXAMPLE ?= examples/hello.py:application
PYTEST ?=

.DEFAULT_GOAL := help
.PHONY: help run test test-rust test-python check format bench fuzz build clean
.DELETE_ON_ERROR:
.NOTPARALLEL:

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: build ## build all that is needed, then serve examples/hello.py with the event MPM (EXAMPLE=, ARGS= change it)
	@echo "Serving $(EXAMPLE)."
	@if [ '$(EXAMPLE)' = examples/hello.py:application ]; then \
	  echo "When the address appears, try from another terminal (with that address, if ARGS chose another):"; \
	  echo "    curl -i http://127.0.0.1:8000/                   a plain answer"; \
	  echo "    curl -N http://127.0.0.1:8000/stream             an answer made piece by piece"; \
	  echo "    curl 'http://127.0.0.1:8000/slow?seconds=2'      a handler that takes its time"; \
	  echo "    curl --data-binary @Makefile http://127.0.0.1:8000/upload"; fi
	@echo "The same application under another MPM: make run ARGS='--mpm prefork'. Ctrl-C stops."
	@$(BIN)/tricorn serve $(EXAMPLE) $(if $(findstring --mpm,$(ARGS)),,--mpm event) $(ARGS)

test: build test-rust test-python ## build, then run all tests: those of the engine, then those of the whole server

test-rust: $(STAMPS)/venv ## run the tests of the engine only
	cargo test --locked --quiet -p tricorn-engine

test-python: build ## run the Python tests only (PYTEST='-k name' narrows them)
	$(BIN)/python -m pytest $(PYTEST)

check: build ## formatting, lint, types, stubs, import rules, fresh documentation
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m mypy.stubtest tricorn._engine
	$(BIN)/lint-imports --no-cache
	cargo fmt --all --check
	cargo clippy --locked --quiet --workspace --all-targets -- -D warnings
	$(BIN)/tricorn directives --markdown | diff -u docs/reference/directives.md - \
	  || { echo "docs/reference/directives.md is stale: run 'make format'"; exit 1; }

format: build ## format all sources and rewrite the generated documentation
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix-only --quiet . || true
	cargo fmt --all
	mkdir -p docs/reference
	$(BIN)/tricorn directives --markdown > .build/directives.md && mv .build/directives.md docs/reference/directives.md

bench: $(STAMPS)/bench ## measure CPU per request beside other servers, optimised build (ARGS=--quick for a short run)
	.build/bench/bin/python -m benchmarks.run $(ARGS)

fuzz: ## fuzz the parsers, half a minute per target (needs rustup's nightly and cargo-fuzz)
	@cargo fuzz --version >/dev/null 2>&1 || { echo "cargo-fuzz is missing: cargo install cargo-fuzz"; exit 1; }
	cd rust/engine && for target in $$(cargo +nightly fuzz list); do \
	  cargo +nightly fuzz run "$$target" -- -max_total_time=30 || exit 1; done

build: $(STAMPS)/engine ## the virtual environment with the tools, and the extension built for tests
	@:

clean: ## remove everything that was built
	rm -rf $(VENV) .build target rust/engine/fuzz/target dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
	rm -f src/tricorn/_engine*.so

# The interpreter is asked, not trusted: a shim that points nowhere, or an old Python, gets a sentence. The loop finds a
# newer one beside an old python3.
$(STAMPS)/venv:
	@mkdir -p $(STAMPS)
	@command -v cargo >/dev/null || { echo "cargo is missing: install Rust from https://rustup.rs"; exit 1; }
	@for python in "$(PYTHON)" python3.14 python3.13 python3.12 python3.11; do \
	  if "$$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	    echo "$$python -m venv $(VENV)"; rm -rf $(VENV); "$$python" -m venv $(VENV); touch $@; exit 0; fi; done; \
	  echo "No Python 3.11 or later with its venv module was found: install one, or name it: make PYTHON=/path/to/python3"; \
	  exit 1

$(STAMPS)/tools: requirements/dev.txt $(STAMPS)/venv
	$(BIN)/python -m pip install --quiet --require-virtualenv -r requirements/dev.txt
	@touch $@

# The dev profile of Cargo.toml (opt-level 1): quick to build and near enough to the release to test with.
$(STAMPS)/engine: $(STAMPS)/tools pyproject.toml $(RUST)
	$(BIN)/maturin develop --locked --quiet
	@touch $@

# The optimised build, as `pip install .` makes it, in an environment of its own.
$(STAMPS)/bench: $(STAMPS)/tools pyproject.toml $(RUST) $(shell find src -name '*.py' -o -name '*.pyi')
	$(BIN)/python -m venv .build/bench
	VIRTUAL_ENV=$(CURDIR)/.build/bench PYO3_PYTHON=$(CURDIR)/.build/bench/bin/python \
	  .build/bench/bin/python -m pip install --quiet --force-reinstall --no-deps .
	.build/bench/bin/python -m pip install --quiet 'click>=8.1,<9'
	@touch $@
