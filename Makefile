# Two commands: `make demo` runs Gimel on this machine, `make test` runs its tests.
# Both set up what they need, in .venv and build/, and say so.

PYTHON ?= python3
PORT ?= 8000
BIN := .venv/bin
# Much of the tests' time is waiting. A module's tests share their servers: they stay together.
SIDE_BY_SIDE := -n 3 --dist loadfile --no-loadscope-reorder

.PHONY: demo test test-full lint bench screenshots clean

demo: .venv/installed-local
	@exec $(BIN)/gimel local --demo --port $(PORT)

test: .venv/installed-test build/browser lint
	$(BIN)/pytest $(SIDE_BY_SIDE) --cov --cov-report=term $(ARGS)

# The long forms of what `make test` does in short: every call to AWS disturbed in every way,
# 50,000 requests of each kind made up, the ledgers, the soak (docs/reliability.md). It takes hours.
test-full: .venv/installed-test build/browser lint
	GIMEL_EXAMPLES=50000 $(BIN)/pytest $(SIDE_BY_SIDE) -m "full or not full" $(ARGS)
	$(BIN)/python -m tests.full.ledger
	$(BIN)/python -m tests.full.ledger --deployed
	$(BIN)/python -m tests.full.patience
	$(BIN)/python -m tests.full.soak

lint: .venv/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: .venv/installed-test
	$(BIN)/python -m bench $(ARGS)
ifeq ($(ARGS),)
	$(BIN)/python -m bench.reads
	$(BIN)/python -m bench.throughput
endif

# Of every view of the dashboard, into build/screenshots; two of them into docs/images.
screenshots: .venv/installed-test build/browser
	@fc-list | grep -q Inter || tests/apt-install fonts-inter
	$(BIN)/python -m tests.screenshots

clean:
	rm -rf .venv build

.venv/installed-%: pyproject.toml
	@echo "Installing into .venv: gimel[$*] and what it depends on, from PyPI"
	@$(PYTHON) -c 'import sys; sys.exit("Gimel needs Python 3.11 or newer: make PYTHON=python3.12 …" if sys.version_info < (3, 11) else 0)'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv || (tests/apt-install python3-venv && $(PYTHON) -m venv .venv)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[$*]'
	@touch $@

# AlephBet and axe-core as npm serves them, and a browser to run them in.
build/browser: Makefile
	@command -v chromium > /dev/null || tests/apt-install chromium
	@command -v redis-server > /dev/null || tests/apt-install redis-server
	@echo "Installing into build/: alephbet 0.27.0 and axe-core 4.14.1, from npm"
	@mkdir -p build && npm install --silent --no-save --no-package-lock --prefix build alephbet@0.27.0 axe-core@4.14.1
	@touch $@
