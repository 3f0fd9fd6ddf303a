# `make demo` runs Gimel on this machine, `make check` checks a change, `make test` runs all tests.
# Each installs what it needs into .venv and build/, and prints what it installs.

PYTHON ?= python3
PORT ?= 8000
BIN := .venv/bin
# Tests wait most of the time, so three processes suit two cores. The tests of one module share
# their servers, so they run in one process.
SIDE_BY_SIDE := -n 3 --dist loadfile --no-loadscope-reorder

.PHONY: demo check format test coverage test-full test-bounds test-page lint dist audit release bench screenshots clean

demo: .venv/installed-local
	@exec $(BIN)/gimel local --demo --port $(PORT)

# All that needs only packages from PyPI and npm. The linters run first: they take seconds.
check: .venv/installed-test lint test-page
	$(BIN)/pytest $(SIDE_BY_SIDE) -m "not full and not slow" $(ARGS)

format: .venv/installed-test
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

test: .venv/installed-test build/browser lint test-page
	$(BIN)/pytest $(SIDE_BY_SIDE) $(ARGS)

# Which lines of gimel/ no test runs. Counting them takes Python twice as long.
coverage: .venv/installed-test build/browser
	$(BIN)/pytest $(SIDE_BY_SIDE) --cov --cov-report=term $(ARGS)

# The long forms of what `make test` does in short: every call to AWS disturbed in every way,
# 50,000 requests of each kind made up, the ledgers, the soak (docs/reliability.md). It takes hours.
test-full: .venv/installed-test build/browser lint test-page
	GIMEL_EXAMPLES=50000 $(BIN)/pytest $(SIDE_BY_SIDE) -m "full or not full" $(ARGS)
	$(BIN)/python -m tests.full.ledger
	$(BIN)/python -m tests.full.ledger --deployed
	$(BIN)/python -m tests.full.ledger --served
	$(BIN)/python -m tests.full.ledger --cluster
	$(BIN)/python -m tests.full.move
	$(BIN)/python -m tests.full.move --deployed
	$(BIN)/python -m tests.full.patience
	$(BIN)/python -m tests.full.soak

# The tests of the dashboard's page that need no browser.
test-page:
	node --test tests/backend/dashboard/*.test.mjs

lint: .venv/installed-test build/npm
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	build/node_modules/.bin/biome lint --error-on-warnings
	build/node_modules/.bin/tsc

# The sdist and the wheel that a release publishes, in build/dist. The tests install the wheel into
# a clean environment of each Python from 3.11 to 3.14 that is found, and name the ones that are not.
dist: .venv/installed-test
	$(BIN)/pytest -m "full or not full" tests/test_distribution.py

# The quick tests with the lowest versions that pyproject.toml allows, then with the newest redis-py.
test-bounds: .venv/installed-test build/npm
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python build/bounds
	$(BIN)/uv pip install --quiet --compile-bytecode --python build/bounds --resolution lowest-direct '.[test]'
	PYTHONPATH=. build/bounds/bin/pytest $(SIDE_BY_SIDE) -m "not full and not slow" $(ARGS)
	$(BIN)/uv pip install --quiet --compile-bytecode --python build/bounds --upgrade '.[test]'
	$(BIN)/uv pip install --quiet --compile-bytecode --python build/bounds 'redis>=8,<9'
	PYTHONPATH=. build/bounds/bin/pytest $(SIDE_BY_SIDE) -m "not full and not slow" $(ARGS)

# Known vulnerabilities in what Gimel installs and in the redis-py that it deploys.
audit: .venv/installed-test
	@.ci/audit

# A dry run: it checks, and prints the tag and the notes of the release. It publishes nothing.
release: .venv/installed-test
	@.ci/release

bench: .venv/installed-test
	$(BIN)/python -m bench $(ARGS)
ifeq ($(ARGS),)
	$(BIN)/python -m bench.reads
	$(BIN)/python -m bench.throughput
endif

# Every view of the dashboard, into build/screenshots, and two of them into docs/images.
screenshots: .venv/installed-test build/browser
	@fc-list | grep -q Inter || tests/apt-install fonts-inter
	$(BIN)/python -m tests.screenshots

clean:
	rm -rf .venv build

# uv takes a third of pip's time. Without --compile-bytecode, each process of a test would compile
# anew what it imports where PYTHONDONTWRITEBYTECODE is set.
.venv/installed-%: pyproject.toml hatch_build.py
	@echo "Installing into .venv: gimel[$*] and what it depends on, from PyPI"
	@$(PYTHON) -c 'import sys; sys.exit("Gimel needs Python 3.11 or newer: make PYTHON=python3.12 …" if sys.version_info < (3, 11) else 0)'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv || (tests/apt-install python3-venv && $(PYTHON) -m venv .venv)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check 'uv>=0.9,<1'
	@$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --editable '.[$*]'
	@touch $@

# From npm: the linter and the types of browser modules, what makes gimel.js, and what tests
# run in a browser or in Node: AlephBet, axe-core, OpenFeature's SDKs and providers, React, Next.js.
# esbuild bundles them for a page. Of AdGuard's package only two lists of rules are used, and none of
# its dependencies.
NPM := @biomejs/biome@2.6.8 typescript@7.0.2 alephbet@0.27.0 axe-core@4.14.1 esbuild@0.28.2 terser@5.51.4 \
	@openfeature/server-sdk@1.23.0 @openfeature/ofrep-provider@0.1.3 \
	@openfeature/web-sdk@1.10.0 @openfeature/ofrep-web-provider@0.4.3 \
	next@16.4.6 react@19.3.1 react-dom@19.3.1
ADGUARD := dnr-rulesets@3.3.20260320140136

build/npm: Makefile
	@echo "Installing into build/, from npm: $(NPM)"
	@mkdir -p build && npm install --silent --no-save --no-package-lock --prefix build $(NPM)
	@touch $@

# A browser, a second Redis, shells that complete commands, and AdGuard's rules.
build/browser: build/npm
	@command -v chromium > /dev/null || tests/apt-install chromium
	@command -v redis-server > /dev/null || tests/apt-install redis-server
	@command -v zsh > /dev/null || tests/apt-install zsh
	@command -v fish > /dev/null || tests/apt-install fish
	@echo "Installing into build/, from npm: @adguard/$(ADGUARD)"
	@mkdir -p build/adguard && npm pack --silent --pack-destination build @adguard/$(ADGUARD) > /dev/null
	@tar -xzf build/adguard-$(subst @,-,$(ADGUARD)).tgz -C build/adguard --strip-components=4 package/dist/filters/declarative/ruleset_2 package/dist/filters/declarative/ruleset_3
	@touch $@
