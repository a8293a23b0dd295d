# Table of contents. Every target works from a fresh clone with only Python 3.11 or newer; PYTHON=… picks another one.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
RUN    := $(VENV)/.installed-run
DEV    := $(VENV)/.installed-dev

.DEFAULT_GOAL := help
.PHONY: help run test check bench fuzz docs clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1\t\2/p' Makefile | expand -t 14

run: $(RUN) ## run the bundled guest under the hypervisor: make run ARGS='--json'
	$(BIN)/vmxon run $(ARGS)

test: $(DEV) ## run the tests: make test ARGS='-m "not slow" tests/devices'
	$(BIN)/python -m pytest -n auto $(ARGS)

check: $(DEV) ## lint, types and layers
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

bench: $(DEV) ## the workloads beside Debian's Bochs and QEMU where installed, as ratios
	$(BIN)/python -m benchmarks $(ARGS)

fuzz: $(DEV) ## random instructions, VMCSs, guests, devices and damaged images: make fuzz ARGS='rules --seed 7'
	$(BIN)/python -m tests.fuzz $(ARGS)

docs: $(DEV) ## check the links of the documentation
	$(BIN)/python -m pytest tests/test_docs.py $(ARGS)

clean: ## remove what the other targets made, .venv included
	rm -rf $(VENV) .coverage .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache build dist
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "vmxon needs Python 3.11 or newer; try make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)

$(RUN): pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(DEV): pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@ $(RUN)
