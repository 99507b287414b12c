# The menu. Every target makes what it needs: an environment of its own under .venv and a built wheel.
# PYTHON=python3.13 make test    another interpreter
# make test ARGS="-k budget -x"  more arguments for pytest

PYTHON ?= python3
ARGS ?=
BENCH ?=

VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
VENVS := .venv/$(VERSION)
DIST := dist/$(VERSION)
SOURCES := pyproject.toml MANIFEST.in README.md LICENSE \
    $(shell find pytest_memperf cyx -name '*.py' -o -name '*.pyi' -o -name '*.pyx' -o -name '*.pxd' \
        -o -name '*.h' -o -name 'preload.c' -o -name '*.json' -o -name 'py.typed')
PIP_INSTALL = bin/python -m pip install --quiet --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help demo gate-demo test fuzz kills numa asan valgrind wheel develop bench bench-kernels bench-allocators check-real lint types clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# By testpaths the templates would load the conftest of the tests, which needs more than this environment has.
demo: $(VENVS)/demo/ready ## run the example suite on real input
	$(VENVS)/demo/bin/pytest examples -o testpaths=examples -rsx --xfail-tb $(ARGS)

gate-demo: $(VENVS)/demo/ready ## plant a regression in a small repository and run the gate (ARGS=--innocent: without)
	$(VENVS)/demo/bin/python examples/gate/run.py $(ARGS)

test: $(VENVS)/test/ready ## run the tests on the built wheel, in random order
	$(VENVS)/test/bin/pytest --random-order -rsfE $(ARGS)

fuzz: $(VENVS)/test/ready ## give every call anything, in 100,000 cases in sum (minutes)
	MEMPERF_FUZZ=3400 $(VENVS)/test/bin/pytest -m fuzz $(ARGS)

kills: $(VENVS)/test/ready ## kill 200 sessions that hold every fixture, and look for what is left (minutes; as root)
	$(VENVS)/test/bin/python tests/leftovers/kills.py $(ARGS)

numa: $(VENVS)/test/ready ## run the tests on several NUMA nodes and the examples, in virtual machines (on Debian; minutes)
	$(VENVS)/test/bin/python tests/numa/machines.py $(ARGS)

asan: $(VENVS)/asan/ready ## run the tests of cyx under the sanitizers for addresses and undefined behaviour (gcc; minutes)
	$(VENVS)/asan/bin/python tests/checkers/asan.py $(ARGS)

valgrind: $(VENVS)/test/ready ## run tests of the kernels and regions under valgrind (minutes)
	$(VENVS)/test/bin/python tests/checkers/valgrind.py $(ARGS)

wheel: $(DIST)/ready ## build the sdist, and the wheel from it, into dist

develop: $(VENVS)/develop/ready ## an environment with an editable install and every tool; again after a change in Cython

bench: $(VENVS)/bench/ready ## measure our own cost and precision against the claims (long; BENCH=quick is shorter)
	MEMPERF_BENCH=$(BENCH) $(VENVS)/bench/bin/pytest tests/benchmarks -s $(ARGS)

bench-kernels: $(VENVS)/bench/ready ## compare access patterns and huge pages with plain C, built in the run (minutes; when quiet)
	$(VENVS)/bench/bin/pytest tests/benchmarks/test_kernels.py tests/benchmarks/test_huge_pages.py -s $(ARGS)

bench-allocators: $(VENVS)/bench/ready ## compare our allocators with four libraries for malloc, per pair (minutes; when quiet)
	$(VENVS)/bench/bin/python tests/benchmarks/own_allocators/compare.py $(ARGS)

check-real: $(VENVS)/real/ready ## run NumPy's and networkx's own suites with and without the plugin (long)
	$(VENVS)/real/bin/python tests/real/check_real.py $(ARGS)

lint: $(VENVS)/lint/ready ## ruff and cython-lint
	$(VENVS)/lint/bin/ruff check .
	PATH="$(CURDIR)/$(VENVS)/lint/bin:$$PATH" cython-lint cyx  # which looks for pycodestyle there

types: $(VENVS)/lint/ready ## mypy --strict, on the stubs too
	$(VENVS)/lint/bin/mypy

clean: ## remove what the other targets made
	rm -rf .venv dist build *.egg-info .tox .benchmarks .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find pytest_memperf cyx tests examples -name __pycache__ -prune -exec rm -rf {} +
	find cyx \( -name '*.so' -o -name '*.c' ! -name preload.c \) -delete

# The wheel is built from the sdist, so both are complete or neither is.
$(DIST)/ready: $(SOURCES)
	rm -rf $(DIST) build
	$(PYTHON) -m venv $(VENVS)/build
	$(VENVS)/build/$(PIP_INSTALL) build
	$(VENVS)/build/bin/python -m build --outdir $(DIST) > $(VENVS)/build/log 2>&1 || { cat $(VENVS)/build/log; exit 1; }
	touch $@

# The wheel replaces an older one of the same version; its dependencies stay.
$(VENVS)/%/ready: $(DIST)/ready
	test -x $(VENVS)/$*/bin/python || $(PYTHON) -m venv $(VENVS)/$*
	$(VENVS)/$*/$(PIP_INSTALL) --upgrade 'pip>=25.1'
	$(VENVS)/$*/$(PIP_INSTALL) --group $* $(DIST)/*.whl
	$(VENVS)/$*/$(PIP_INSTALL) --force-reinstall --no-deps $(DIST)/*.whl
	touch $@

$(VENVS)/asan/ready: $(SOURCES)
	test -x $(VENVS)/asan/bin/python || $(PYTHON) -m venv $(VENVS)/asan
	$(VENVS)/asan/$(PIP_INSTALL) --upgrade 'pip>=25.1'
	$(VENVS)/asan/$(PIP_INSTALL) --group test
	$(VENVS)/asan/bin/python tests/checkers/asan.py --build
	touch $@

$(VENVS)/develop/ready: $(SOURCES)
	test -x $(VENVS)/develop/bin/python || $(PYTHON) -m venv $(VENVS)/develop
	$(VENVS)/develop/$(PIP_INSTALL) --upgrade 'pip>=25.1'
	$(VENVS)/develop/$(PIP_INSTALL) --group develop --editable .
	touch $@
