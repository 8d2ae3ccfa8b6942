# One door in: `make demo` shows it at work, `make test` proves it. Both make what they need, from Python and a package index.

PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed

.DEFAULT_GOAL := help
.PHONY: help demo test check bench simulate format lock clean

help: ## what can be made
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1	\2/' | expand -t 18

$(STAMP): tests/requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "panelmux needs Python 3.11 or newer; this is " + sys.version)'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r tests/requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --no-index -e .
	@touch $@

demo: $(STAMP) ## three sandbox panels, a gateway, an account; prints the URL, the key and a curl line
	@$(BIN)/panelmux demo

check: $(STAMP) ## format, lint, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

test: check ## check, then all tests with coverage
	@rm -f .coverage .coverage.*
	$(BIN)/coverage run -m pytest -n 2 --dist loadfile --no-loadscope-reorder -q
	$(BIN)/coverage combine -q
	$(BIN)/coverage report --fail-under=95

SEEDS ?= 200

simulate: $(STAMP) ## days of trouble in virtual time: make simulate SEEDS=1000
	$(BIN)/python -m tests.simulator --seeds $(SEEDS)

bench: $(STAMP) ## how fast, as ratios measured side by side in one run
	$(BIN)/python -m tests.benchmarks

format: $(STAMP) ## put the code in its form
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: ## resolve the dependencies anew (needs uv)
	uv pip compile --quiet --upgrade --generate-hashes --no-header --no-annotate --no-emit-index-url --universal --python-version 3.11 --extra fast pyproject.toml -o deploy/requirements.txt
	uv pip compile --quiet --upgrade --generate-hashes --no-header --no-annotate --no-emit-index-url --universal --python-version 3.11 --extra fast pyproject.toml tests/requirements.in -o tests/requirements.txt
	uv pip compile --quiet --upgrade --generate-hashes --no-header --no-annotate --no-emit-index-url --universal --python-version 3.11 deploy/build-requirements.in -o deploy/build-requirements.txt

clean: ## take away what was made
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage .coverage.* .demo
