# The only entry, for people and CI alike. Every target works as the first command after `git clone`:
# Python >= 3.11, git and make are enough, the rest is installed into .venv.

VENV := .venv
BIN := $(VENV)/bin
# Two makes at a time take turns at installing, where there is flock (on any Debian).
TURN := $(if $(shell command -v flock),flock $(VENV)/pyvenv.cfg)
PIP := $(TURN) $(BIN)/python -m pip --disable-pip-version-check --no-input -qq
CODE := src tests $(wildcard benchmarks examples scripts)
MAX_LINES := 500
# Tests start hundreds of processes, each of which would compile everything anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help install servers demo test test-fast test-long team orchestrators torch check format bench docs lock clean

help:  ## show this list
	@sed -n 's/^\([a-z-]*\):.*##\(.*\)/make \1|\2/p' $(MAKEFILE_LIST) | while IFS='|' read -r name text; do printf '%-16s%s\n' "$$name" "$$text"; done

install: $(VENV)/dev.stamp  ## make .venv with everything that developing needs

servers: $(VENV)/dev.stamp  ## install the servers that tests start, as root on Debian, the packages of clients/node, PySpark, Great Expectations
	@$(TURN) sh scripts/need_node.sh $(abspath $(BIN))/python & sh scripts/need_servers.sh; wait; \
	$(TURN) sh scripts/need_spark.sh $(abspath $(BIN))/python; \
	$(TURN) sh scripts/need_expectations.sh $(abspath $(BIN))/python

demo: $(VENV)/demo.stamp  ## from nothing to a served vector and a model that predicts, on real flights
	@$(BIN)/asof demo

test: $(VENV)/dev.stamp servers  ## run all tests but the long ones
	@$(MEMORY) $(BIN)/python -m pytest --numprocesses=auto --dist=worksteal $(KEPT) $(ARGS)

# In memory, where there are 4 GB of it to hold files: to wait for the disk at each sync proves nothing (tests/crash does wait).
KEPT := -o tmp_path_retention_policy=failed
MEMORY := $(shell [ "$$(df --output=avail /dev/shm 2>/dev/null | tail -1)" -gt 4000000 ] 2>/dev/null && echo TMPDIR=/dev/shm)
test-fast: $(VENV)/dev.stamp  ## run the tests that take no seconds; stop at the first failure
	@$(MEMORY) $(BIN)/python -m pytest -q --numprocesses=auto --exitfirst --hypothesis-profile=fast \
		-m "not slow and not long" $(KEPT) $(ARGS)

test-long: $(VENV)/dev.stamp servers  ## run the tests that take minutes
	@$(BIN)/python -m pytest -m long $(ARGS)

team: $(VENV)/dev.stamp servers  ## bring the team of docs/deploy.md up on loopback, and ask it what the page promises
	@$(BIN)/python scripts/team.py $(ARGS)

orchestrators: $(VENV)/dev.stamp  ## run the examples of orchestration in Airflow, Dagster and Kubeflow Pipelines
	@$(BIN)/python scripts/try_orchestrators.py $(ARGS)

torch: $(VENV)/dev.stamp  ## read training sets by PyTorch and Hugging Face, and predict with a net
	@$(BIN)/python scripts/try_torch.py $(ARGS)

# Each check runs, also after a failure: one run shows everything there is to mend.
check: $(VENV)/dev.stamp  ## lint, format, types, import contracts, dependencies, file sizes, docs
	@status=0; \
	run() { printf '%s\n' "-- $$*"; "$$@" || status=1; }; \
	run $(BIN)/ruff check --quiet $(CODE); \
	run $(BIN)/ruff format --quiet --diff $(CODE); \
	run $(BIN)/pyright; \
	run $(BIN)/lint-imports --no-logo; \
	run $(BIN)/deptry src $(wildcard examples); \
	run $(BIN)/python scripts/plant_faults.py --check; \
	run $(BIN)/python scripts/check_sizes.py --max-lines $(MAX_LINES) src; \
	if [ -e scripts/generate_docs.py ]; then run $(BIN)/python scripts/generate_docs.py --check; fi; \
	run $(BIN)/python scripts/draw_windows.py --check; \
	exit $$status

format: $(VENV)/dev.stamp  ## format the code and mend what can be mended
	@$(BIN)/ruff check --quiet --fix $(CODE); $(BIN)/ruff format $(CODE)

bench: $(VENV)/dev.stamp  ## run the benchmarks
	@if [ -e benchmarks/run.py ]; then $(BIN)/python benchmarks/run.py $(ARGS); else echo 'asof: no benchmarks/run.py yet'; fi

docs: $(VENV)/dev.stamp  ## write the generated pages of docs/
	@if [ -e scripts/generate_docs.py ]; then $(BIN)/python scripts/generate_docs.py; else echo 'asof: no scripts/generate_docs.py yet'; fi

# They agree with each other: core and demo are cut out of dev, expectations and spark stand on it. `make lock ARGS=--upgrade` takes newer versions.
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-header --no-annotate pyproject.toml
lock: $(VENV)/dev.stamp  ## write requirements/*.txt from pyproject.toml
	@$(PIP) install uv
	@$(LOCK) $(ARGS) --extra demo --extra redis --extra kafka --extra nats --extra avro --extra protobuf --extra postgres --extra mysql --extra objects --extra external --extra sklearn --extra mlflow --extra server --extra ui --extra metrics --extra jwt --extra vectors --extra testing --group dev -o requirements/dev.txt
	@$(LOCK) -c requirements/dev.txt --extra demo -o requirements/demo.txt
	@$(LOCK) -c requirements/dev.txt --group expectations -o requirements/expectations.txt
	@$(LOCK) -c requirements/dev.txt --extra spark -o requirements/spark.txt
	@$(LOCK) -c requirements/dev.txt -o requirements/core.txt

clean:  ## remove .venv and everything that tools leave behind
	@rm -rf $(VENV) clients/node/node_modules build dist .pytest_cache .ruff_cache .hypothesis .import_linter_cache .benchmarks
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Stamps inside .venv: what they name is installed, until a file on the right changes.
$(VENV)/pyvenv.cfg:
	@sh scripts/make_venv.sh

$(VENV)/demo.stamp: requirements/demo.txt pyproject.toml | $(VENV)/pyvenv.cfg
	@echo 'asof: installing what the demo needs into $(VENV) (about a minute) ...' >&2
	@$(PIP) install -r requirements/demo.txt
	@$(PIP) install --no-deps -e .
	@touch $@

# dev holds all that demo holds, in the same versions.
$(VENV)/dev.stamp: requirements/dev.txt pyproject.toml | $(VENV)/pyvenv.cfg
	@echo 'asof: installing what developing needs into $(VENV) (about a minute) ...' >&2
	@$(PIP) install -r requirements/dev.txt
	@$(PIP) install --no-deps -e .
	@touch $@ $(VENV)/demo.stamp
