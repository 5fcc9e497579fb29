# make setup   the environment in .venv (does nothing when it is up to date)
# make bench   environment, data, the quick profile of all three suites, speed runs, report
# make test    environment and the tests that this commit owes: all cheap ones, what the change touches, a sixteenth of the dear ones
# make quick-test  the tests that reach what the working tree changes; both say what they left to:
# make test-long   every test, then the faults with many draws; writes what each costs into tests/costs.json
# make costs   measures the functions that tests/costs.json does not know yet, and forgets those that are gone
# make faults  the fault suite with many more draws: 100 random kills, more than 10,000 mutated inputs
# make faults-cluster  a Ray cluster in three network namespaces under 30 random faults (root, ip, tc; many minutes)
# make parity  every round trip against foreign code and official outputs: writes models/PARITY.md, fails where one is off
# make device-audit  what runs on CUDA, checked without a GPU: writes models/DEVICE.md (gigabytes once, half an hour)
# make gpu     on a machine with a GPU: every check and speed cell of it, into reports/results/gpu
# make docs    the documentation as a site, in build/docs/site; a warning is an error
# make browser  the page in Chromium: sizes, axe-core, every control by keyboard; an environment of its own
# make check   ruff, pyright, import-linter
# make speed   the speed cells alone; SPARSEBENCH_SPEED=full make speed takes every cell and peer
# make speed-check  the same, and fails where a target is not reached
# make lowest  the profile smoke in an environment with the lowest versions that pyproject.toml allows (gigabytes, minutes)
# make newest  the same with the newest versions that there are
PYTHON ?= python3
BIN := .venv/bin
OUT ?= results/quick
PYTEST = $(BIN)/python -m pytest -q --numprocesses auto --dist worksteal
DEVICE_ENV ?= .venv-device
DOCS_ENV := .venv-docs
FAULTS = SPARSEBENCH_FAULTS=long $(PYTEST) tests/faults --timeout=7200
BROWSER_ENV ?= .venv-browser
BROWSER_OUT ?= results/browser
SPEED = $(BIN)/sparsebench speed --out $(OUT)

.PHONY: setup bench test quick-test test-long costs faults faults-cluster parity device-audit gpu docs browser check speed speed-check lowest newest

setup: .venv/.ready

.venv/.ready: pyproject.toml setup.py
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "sparsebench needs Python 3.11 or newer: make PYTHON=python3.12 ...")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip setuptools
	PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

# The report is made in any case; the status is that of the cells. Speed runs that fall short are said on the page.
bench: setup
	$(BIN)/sparsebench prepare --profile quick
	$(BIN)/sparsebench run --profile quick --out $(OUT); status=$$?; $(SPEED); $(BIN)/sparsebench report $(OUT) && exit $$status

speed: setup
	$(SPEED)

speed-check: setup
	$(SPEED) --check

test: setup
	$(PYTEST) --tier test

quick-test: setup
	$(PYTEST) --tier quick

test-long: setup
	$(PYTEST) --tier long; status=$$?; $(FAULTS) && exit $$status

costs: setup
	$(PYTEST) --tier new

faults: setup
	$(FAULTS)

faults-cluster: setup
	SPARSEBENCH_FAULTS=long $(BIN)/python -m pytest tests/faults/cluster -q -rs --timeout=7200

parity: setup
	$(BIN)/python -m tests.models.parity

device-audit: setup
	$(BIN)/python -m tests.device.environment $(DEVICE_ENV)
	$(DEVICE_ENV)/bin/python -m tests.device

gpu: setup
	$(BIN)/python -m tests.device.gpu

docs: setup
	test -x $(DOCS_ENV)/bin/python || $(BIN)/uv venv --quiet --python $(BIN)/python $(DOCS_ENV)
	$(BIN)/uv pip install --quiet --python $(DOCS_ENV)/bin/python --group docs
	$(BIN)/python -m tests.docs build/docs
	NO_MKDOCS_2_WARNING=1 $(DOCS_ENV)/bin/mkdocs build --quiet --strict --config-file build/docs/mkdocs.yml
	$(BIN)/python -m tests.docs --check build/docs

browser: setup
	test -x $(BROWSER_ENV)/bin/python || $(PYTHON) -m venv $(BROWSER_ENV)
	$(BROWSER_ENV)/bin/python -m pip install --quiet playwright axe-playwright-python
	$(BIN)/sparsebench report reports/results/quick --quiet --out $(BROWSER_OUT)/quick
	$(BIN)/python -m tests.reports.page.large_page $(BROWSER_OUT)/large
	$(BIN)/python -m tests.reports.page.best_rows reports/results/quick $(BROWSER_OUT)/quick/index.html
	$(BROWSER_ENV)/bin/python tests/reports/page/browser.py $(BROWSER_OUT)/quick/index.html $(BROWSER_OUT)/large/index.html $(BROWSER_OUT)

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports --no-cache

lowest: RESOLUTION := lowest-direct
newest: RESOLUTION := highest
lowest newest: setup
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python .venv-$@
	$(BIN)/uv pip install --quiet --python .venv-$@/bin/python --resolution $(RESOLUTION) '.[all]' ./suites
	rm -rf results/$@
	.venv-$@/bin/sparsebench run --profile smoke --out results/$@
