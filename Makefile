# ModelGrid's two commands: `make demo` and `make test`. Both make their own virtual environment.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

.PHONY: help demo test unit lint goldens schemas bench clean
help:
	@sed -n 's/^## //p' $(MAKEFILE_LIST)

## make demo          run a real small model behind the gateway, on any machine; Ctrl-C ends it
## make demo ONCE=1   the same, and end after the answer
demo:
	@PYTHON="$(PYTHON)" VENV="$(VENV)" scripts/install local
	@$(BIN)/modelgrid up examples/demo/modelgrid.yaml --ask "In one sentence: what is a compiler?" $(if $(ONCE),--once)

## make test          lint, types, import rules and all tests; what the machine lacks is skipped with the reason
test: lint unit
	@$(BIN)/pytest -n 2 --dist loadfile -m "tools or machine or local" --durations=25

## make unit          the tests that need no other tool, machine or model
unit: $(VENV)/.test
	@$(BIN)/pytest -q -n auto --maxprocesses 8 -m "not tools and not machine and not local"

## make lint          ruff, mypy and import-linter
lint: $(VENV)/.test
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

## make goldens       write tests/golden/ anew from examples/; review the diff
goldens: $(VENV)/.test
	@$(BIN)/pytest tests/test_goldens.py --update-goldens

## make schemas       write schemas/ and docs/errors.md anew from the code
schemas: $(VENV)/.test
	@$(BIN)/python scripts/schema

## make bench         the benchmarks; they print ratios within one run
bench: $(VENV)/.test
	@for file in benchmarks/*.py; do $(BIN)/python $$file; done

$(VENV)/.test: pyproject.toml scripts/install
	@PYTHON="$(PYTHON)" VENV="$(VENV)" scripts/install test
	@touch $@

clean:
	rm -rf $(VENV) build dist .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis
