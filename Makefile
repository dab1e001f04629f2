# make          everything that has to be green before a commit: lint, types, import contracts, tests
# make up       set up and run the collector in the foreground; options in ARGS, e.g. ARGS="--port 44399"
# make test     the tests, by two processes; options for pytest in ARGS, e.g. ARGS="-k fetch -x -n 0"
# make engines  as root: the tests with real container engines (Debian packages: tests/containers/engines.py)
# make format   rewrite the sources the way `make lint` wants them
# make bench    the daemon beside stock's (needs stock PCP, see bench/README.md); options in ARGS
# make stall    what clients feel of a bad agent or a greedy client, beside stock's; options in ARGS
# make soak-agents  agents that die and hang, clients that come and go: half an hour, ARGS="--minutes 5"
# make fuzz     look for inputs that break the decoder or the daemon; options in ARGS, e.g. ARGS="--minutes 60 --keep"
# make soak     honest, heavy and hostile clients together for half an hour; options in ARGS, e.g. ARGS="--minutes 5"
# make lock     write requirements/*.txt anew from requirements/*.in; ARGS="--upgrade" takes newer versions
# make clean    remove whatever the other targets made

PYTHON ?= python3
ARGS ?=

BIN := .venv/bin
# Settings meant for a person's own Python would make pip install somewhere else than into .venv.
PIP := env -u PIP_TARGET -u PIP_PREFIX -u PYTHONPATH PIP_USER=0 PIP_REQUIRE_VIRTUALENV=0 \
       PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip --quiet
COMPILE := CUSTOM_COMPILE_COMMAND="make lock" ../$(BIN)/pip-compile --quiet --allow-unsafe --generate-hashes \
           --strip-extras --no-emit-find-links --no-emit-index-url --no-emit-trusted-host

.PHONY: check up test engines lint format types imports bench stall soak-agents fuzz soak lock clean
.DEFAULT_GOAL := check
.NOTPARALLEL:

check: lint types imports test

up: .venv/.run
	@exec $(BIN)/pypcp up $(ARGS)

test: .venv/.dev
	@$(BIN)/python -m pytest -n 2 $(ARGS)

engines: .venv/.dev
	@PYPCP_REQUIRE_PEERS=1 $(BIN)/python -m pytest -m engines $(ARGS)

lint: .venv/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

format: .venv/.dev
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

types: .venv/.dev
	$(BIN)/mypy

imports: .venv/.dev
	$(BIN)/lint-imports

bench: .venv/.dev
	@$(BIN)/python bench/run.py $(ARGS)

stall: .venv/.dev
	@$(BIN)/python bench/stall.py $(ARGS)

soak-agents: .venv/.dev
	@$(BIN)/python bench/agents_soak.py $(ARGS)

fuzz: .venv/.fuzz
	@.venv/fuzz/bin/python tests/fuzz/run.py $(ARGS)

soak: .venv/.dev
	@$(BIN)/python tests/soak/run.py $(ARGS)

lock: .venv/.dev
	cd requirements && $(COMPILE) $(ARGS) --output-file=run.txt run.in
	cd requirements && $(COMPILE) $(ARGS) --output-file=dev.txt dev.in
	cd requirements && $(COMPILE) $(ARGS) --output-file=fuzz.txt fuzz.in

clean:
	rm -rf .venv .*_cache .hypothesis .coverage build dist bench/out src/*.egg-info
	find src tests bench -name __pycache__ -prune -exec rm -rf {} +

# What pip has already installed is remembered by an empty file, so that a second `make` starts at once.
.venv/.dev: requirements/dev.txt .venv/.run
	@echo "Installing the development tools into .venv"
	@$(PIP) install --require-hashes -r $<
	@touch $@

# An environment of its own: there is no wheel of atheris for every Python that the rest runs on.
.venv/.fuzz: requirements/fuzz.txt | $(BIN)/pip
	@echo "Installing the fuzzer into .venv/fuzz"
	@$(BIN)/python -m venv .venv/fuzz
	@env -u PIP_TARGET -u PIP_PREFIX -u PYTHONPATH PIP_USER=0 PIP_DISABLE_PIP_VERSION_CHECK=1 \
	  .venv/fuzz/bin/python -m pip --quiet install --require-hashes -r $<
	@touch $@

.venv/.run: requirements/run.txt pyproject.toml | $(BIN)/pip
	@echo "Installing pypcp into .venv"
	@$(PIP) install --require-hashes -r $<
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

# pip, not python: it is the last file that venv writes, and where Debian's python3-venv is missing it never appears.
$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "pypcp needs Python 3.11 or later; choose one with PYTHON=/path/to/python3 on make's command line"; exit 1; }
	@echo "Creating .venv"
	@$(PYTHON) -m venv .venv
