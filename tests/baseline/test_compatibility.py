"""Whether environments can be compared: each thing that decides counts or times is told in words."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from pytest_memperf.baseline.compatibility import DECIDES_COUNTS, DECIDES_TIMES, differences
from pytest_memperf.environment import collect
from pytest_memperf.model.environment import Environment
from pytest_memperf.model.metric import Trust

OTHERS: dict[str, tuple[Any, Any, str]] = {
    "kernel": ("6.17.0", "6.18.1", "kernel 6.17.0 and 6.18.1"),
    "architecture": ("x86_64", "aarch64", "architecture x86_64 and aarch64"),
    "page_size": (4096, 65536, "page_size 4096 and 65536"),
    "thp": ("always", "madvise", "thp always and madvise"),
    "thp_sizes": ({"64kB": "never"}, {"64kB": "always"}, "thp_sizes: 64kB never and always"),
    "allocator": ("glibc 2.36", "jemalloc", "allocator glibc 2.36 and jemalloc"),
    "allocator_tuning": ({}, {"MALLOC_ARENA_MAX": "1"}, "allocator_tuning: MALLOC_ARENA_MAX none and 1"),
    "python": ("CPython 3.12.1", "CPython 3.13.0", "python CPython 3.12.1 and CPython 3.13.0"),
    "numpy": ("2.1.3", "2.2.0", "numpy 2.1.3 and 2.2.0"),
    "numpy_huge_pages": (True, False, "numpy_huge_pages True and False"),
    "plugins": (
        {"pytest-cov": "5.0", "pytest-xdist": "3.6"},
        {"pytest-cov": "6.0"},
        "plugins: pytest-cov 5.0 and 6.0, plugins: pytest-xdist 3.6 and none",
    ),
    "libraries": (
        {"pandas": "2.2.3", "pyarrow": "17.0.0", "six": "1.16.0"},
        {"pandas": "2.3.0", "pyarrow": "17.0.0", "lxml": "5.0"},
        "libraries: pandas 2.2.3 and 2.3.0",
    ),
    "machine": ("3f2a", "9b1c", "machine 3f2a and 9b1c"),
    "cpu": ("A", "B", "cpu A and B"),
    "cpus": (2, 64, "cpus 2 and 64"),
    "affinity": ("0-1", "0", "affinity 0-1 and 0"),
    "cgroup": ({"version": "2"}, {"version": "2", "cpu.max": "5 10"}, "cgroup: cpu.max none and 5 10"),
}


def environments(name: str) -> tuple[Environment, Environment]:
    """Return two that differ in this alone."""
    ours, theirs, _ = OTHERS[name]
    return Environment(**{name: ours}), Environment(**{name: theirs})


@pytest.mark.parametrize("name", DECIDES_COUNTS)
def test_what_decides_counts_is_told(name: str) -> None:
    """Metrics of every trust are not compared, and the reason has both values."""
    apart = differences(*environments(name))
    assert apart.counts == tuple(apart.reason(Trust.EXACT).split(", "))
    for trust in Trust:
        assert apart.reason(trust) == OTHERS[name][2]


@pytest.mark.parametrize("name", DECIDES_TIMES)
def test_what_decides_times_is_told_of_times(name: str) -> None:
    """Counts compare across machines."""
    apart = differences(*environments(name))
    assert apart.reason(Trust.NOISY) == OTHERS[name][2]
    assert apart.reason(Trust.EXACT) == apart.reason(Trust.BOUNDED) == ""


@pytest.mark.parametrize("name", [*DECIDES_COUNTS, *DECIDES_TIMES])
def test_what_one_side_does_not_know_tells_nothing(name: str) -> None:
    """A file from before that was recorded still compares."""
    for environment in environments(name):
        assert differences(environment, Environment()).reason(Trust.NOISY) == ""
        assert differences(Environment(), environment).reason(Trust.NOISY) == ""


def test_all_that_differs_is_told() -> None:
    """Counts first, in the order of their list."""
    ours, theirs = Environment("a", "6.1", page_size=1), Environment("b", "6.2", page_size=2)
    apart = differences(ours, theirs)
    assert apart.reason(Trust.EXACT) == "kernel 6.1 and 6.2, page_size 1 and 2"
    assert apart.reason(Trust.NOISY) == "kernel 6.1 and 6.2, page_size 1 and 2, machine a and b"


def test_a_machine_is_like_itself() -> None:
    """What is collected here twice does not differ; what decides nothing is not looked at."""
    here = collect({"pytest-cov": "5.0"})
    assert differences(here, collect({"pytest-cov": "5.0"})) == differences(here, replace(here, memory=1, swap=None))
    assert differences(here, here).reason(Trust.NOISY) == ""


def test_the_lists_are_of_what_is_recorded() -> None:
    """Each name is one of the environment's, and in one list."""
    names = [*DECIDES_COUNTS, *DECIDES_TIMES]
    assert len(set(names)) == len(names)
    assert set(names) <= {field.name for field in fields(Environment)}
