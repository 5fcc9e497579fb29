# make setup   the environment in .venv (does nothing when it is up to date)
# make bench   environment, data, the quick profile of all three suites, speed runs, report
# make test    environment and the whole test suite
# make faults  the fault suite of `make test` with many more draws: 100 random kills, more than 10,000 mutated inputs
# make faults-cluster  a Ray cluster in three network namespaces under 30 random faults (root, ip, tc; many minutes)
# make check   ruff, pyright, import-linter
# make speed   the speed runs alone; SPARSEBENCH_SPEED=full make speed takes every cell and peer
PYTHON ?= python3
BIN := .venv/bin
OUT ?= results/quick

.PHONY: setup bench test faults faults-cluster check speed

setup: .venv/.ready

.venv/.ready: pyproject.toml setup.py
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "sparsebench needs Python 3.11 or newer: make PYTHON=python3.12 ...")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip setuptools
	PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

bench: setup
	$(BIN)/sparsebench prepare --profile quick
	$(BIN)/sparsebench run --profile quick --out $(OUT)
	$(MAKE) --no-print-directory speed
	$(BIN)/sparsebench report $(OUT)

speed: setup
	mkdir -p $(OUT)
	$(BIN)/python -m pytest tests/speed --override-ini addopts='--import-mode=importlib' -q --benchmark-json=$(OUT)/speed.json

test: setup
	$(BIN)/python -m pytest -q --numprocesses auto --dist worksteal

faults: setup
	SPARSEBENCH_FAULTS=long $(BIN)/python -m pytest tests/faults -q --numprocesses auto --dist worksteal --timeout=7200

faults-cluster: setup
	SPARSEBENCH_FAULTS=long $(BIN)/python -m pytest tests/faults/cluster -q -rs --timeout=7200

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports --no-cache
