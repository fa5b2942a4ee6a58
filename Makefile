# Millrace. `make` alone lists the targets.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# The tests' processes; each that meets a test on Kafka starts a broker of its own (330 MB).
WORKERS ?= 2
PYTEST := $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder --durations=10
PYTEST_FAULTS := $(BIN)/python -m pytest -n $(WORKERS) --maxschedchunk=1 --durations=10 -m faults

.PHONY: help setup demo quick test check format faults faults-all bench clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

setup: $(STAMP) ## make .venv with everything, from the hash-locked list

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "error: $(PYTHON) must be Python 3.11 or newer; set PYTHON=/path/to/python3.11"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check 'uv>=0.9'
	$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $(STAMP)

demo: $(STAMP) ## play financial text through the whole loop; DATA=file.csv [TEXT=column LABEL=column] [TEACHER=fitted] [CHAOS=1]
	@$(BIN)/python -m deploy.trial.demo $(if $(DATA),--data '$(DATA)') $(if $(TEXT),--text '$(TEXT)') $(if $(LABEL),--label '$(LABEL)') \
	  $(if $(TEACHER),--teacher '$(TEACHER)') $(if $(CHAOS),--chaos) $(if $(SEED),--seed '$(SEED)')

quick: $(STAMP) ## the tests that need neither a broker nor much time (under 90 seconds on 2 cores)
	$(PYTEST) -m 'not broker and not slow and not faults'

test: $(STAMP) ## the suite, on real brokers and with the whole loop (under 10 minutes on 2 cores)
	$(PYTEST) -m 'not faults'

check: $(STAMP) ## format, lint, types, import rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/mypy

format: $(STAMP) ## put the code into the form that check wants
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

faults: $(STAMP) ## kill real processes while work is in flight: one form of each fault, by a seed; SEED=number
	$(PYTEST_FAULTS) --one-form $(or $(SEED),$$(date +%s))

faults-all: $(STAMP) ## every form of every fault, as before a release
	$(PYTEST_FAULTS)

bench: $(STAMP) ## print the figures of docs/figures.md (about an hour); DATA=file.csv compares students on your own labelled text too
	$(BIN)/python -m benchmarks.guardrail_simulation
	$(BIN)/python -m benchmarks.newswire_difficulty
	$(BIN)/python -m benchmarks.redaction
	$(BIN)/python -m benchmarks.quality
	$(BIN)/python -m benchmarks.near_duplicates
	$(BIN)/python -m benchmarks.memory
	$(BIN)/python -m benchmarks.triggers
	$(BIN)/python -m benchmarks.active
	$(BIN)/python -m benchmarks.label_noise
	$(BIN)/python -m benchmarks.day_one
	$(BIN)/python -m benchmarks.labelling
	$(BIN)/python -m benchmarks.streams
	$(BIN)/python -m benchmarks.latency
	$(BIN)/python -m benchmarks.window
	$(if $(DATA),$(BIN)/python -m benchmarks.student_vs_baseline '$(DATA)')

clean: ## remove what the programs made; keeps .venv
	rm -rf var .mypy_cache .ruff_cache .pytest_cache .hypothesis dist build
