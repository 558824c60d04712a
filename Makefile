# The only commands to learn. Each makes what it needs; PYTHON=python3.12 make test uses another interpreter.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
BENCH  ?= .venv-bench
ARGS   ?=

BENCHMARKS := $(filter-out benchmarks/agents.py benchmarks/common.py benchmarks/peers.py benchmarks/engines.py benchmarks/record_curves.py,$(wildcard benchmarks/*.py))

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo test check bench docs long protos
.DELETE_ON_ERROR:

demo: $(VENV)/.runtime  ## see it work, in seconds
	$(BIN)/python examples/digits.py

test: $(VENV)/.dev $(VENV)/.system  ## every test but the long ones, two files at a time; ARGS="-k asha" narrows it
	$(BIN)/python -m pytest -n 2 --dist loadfile $(ARGS)

long: $(VENV)/.dev $(VENV)/.system  ## the tests that take minutes, those on Ray among them
	$(BIN)/pip install -q -e '.[ray]'
	$(BIN)/python -m pytest -m long $(ARGS)

check: $(VENV)/.dev  ## style, types, who may import whom
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

bench: $(BENCH)/.bench  ## one JSON line for each benchmark; ARGS="benchmarks/import_time.py" for some of them
	@for file in $(or $(ARGS),$(BENCHMARKS)); do $(BENCH)/bin/python "$$file" || exit 1; done

docs: $(VENV)/.dev  ## every code block of the guides and the README, run
	$(BIN)/python -m pytest tests/test_docs.py $(ARGS)

PROTOS := executor/cluster/protos
protos: | $(BIN)/pip  ## make anew what protobuf makes of our messages
	$(BIN)/pip install -q grpcio-tools
	cd $(PROTOS) && for name in *.proto; do name=$${name%.proto}; \
	  $(abspath $(BIN))/python -m grpc_tools.protoc -I. --descriptor_set_out=$$name.binpb --pyi_out=. $$name.proto && \
	  mv $${name}_pb2.pyi $$name.pyi; done

# A stamp says that pyproject.toml's wishes are met; it lies in the venv, so the two are thrown away together.
# The target is pip, not python: without Debian's python3-venv a venv is left half made, and is made again.
$(VENV)/bin/pip $(BENCH)/bin/pip: %/bin/pip:
	$(PYTHON) -m venv $*

$(VENV)/.runtime: pyproject.toml | $(BIN)/pip
	$(BIN)/pip install -q -e .
	@touch $@

$(VENV)/.dev: pyproject.toml | $(BIN)/pip
	$(BIN)/pip install -q -e '.[dev]'
	@touch $(VENV)/.runtime $@

$(VENV)/.system: tests/system-packages.txt | $(BIN)/pip
	@tests/system-packages.sh
	@touch $@

# The peers have an environment of their own: Ray's pins, and its script `tune`, would mix with ours.
$(BENCH)/.bench: pyproject.toml | $(BENCH)/bin/pip
	$(BENCH)/bin/pip install -q -e '.[bench]'
	@touch $@
