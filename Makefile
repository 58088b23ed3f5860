# Everything a fresh machine needs; `make` alone lists the targets.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-cluster test-slow lint docs benchmark lock clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(STAMP) ## make .venv with the locked versions

$(STAMP): pyproject.toml requirements.lock
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint requirements.lock --editable '.[all,dev]'
	@touch $(STAMP)

demo: $(STAMP) ## train a DCGAN on drawn cats, 2 to 6 minutes on 2 CPU cores
	$(BIN)/trompe train experiment=dcgan_demo

test: $(STAMP) ## the tests: offline, CPU, a few minutes
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto

test-cluster: $(STAMP) ## what needs a real SLURM, PostgreSQL or browser, where they are installed
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m cluster

test-slow: $(STAMP) ## the tests that take minutes
	$(BIN)/python -m pytest -m slow

lint: $(STAMP) ## format check, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

docs: $(STAMP) ## build/docs/index.html, from docs/ and conf/; warnings are errors
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet docs build/docs

benchmark: $(STAMP) ## training and metrics against the usual implementations, side by side
	$(BIN)/python scripts/benchmark.py train
	$(BIN)/python scripts/benchmark.py metrics

lock: $(STAMP) ## write what is installed now into requirements.lock
	$(BIN)/python -m pip freeze --exclude-editable --exclude trompe | grep == > requirements.lock

clean: ## remove the environment and the caches, never outputs/
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache
