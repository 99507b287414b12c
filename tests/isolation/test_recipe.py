"""What templates are made of: plain data, the same bytes whatever was selected and whoever drives them."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_memperf.isolation.recipe import as_plain, environment_of, from_plain

Run = Callable[..., pytest.RunResult]

TEXT = st.text(max_size=8)
PATHS = st.text(st.characters(codec="ascii", exclude_characters="\0"), min_size=1, max_size=8).map(Path)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT | PATHS
SETS = st.sets(TEXT, max_size=4) | st.frozensets(st.integers(), max_size=4)
VALUES = st.recursive(
    LEAVES | SETS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(TEXT | st.sampled_from(["path", "of", "items", "entries"]), inner, max_size=4)
    ),
    max_leaves=12,
)


def shape(value: Any) -> Any:
    """Return the types of a value and of what it holds, in order."""
    if isinstance(value, dict):
        return dict, [(key, shape(item)) for key, item in value.items()]
    if isinstance(value, list | tuple):
        return type(value), [shape(item) for item in value]
    return type(value)


@given(VALUES)
def test_plain_form_brings_the_value_back(value: Any) -> None:
    """Through JSON text and back, values and types are the same."""
    again = from_plain(json.loads(json.dumps(as_plain(value))))
    assert again == value
    assert shape(again) == shape(value)


@given(st.permutations(["a", "b", "c", "d"]))
def test_sets_have_one_form(order: list[str]) -> None:
    """Sets that are equal are the same bytes, in whatever order they were filled."""
    assert json.dumps(as_plain(set(order))) == json.dumps(as_plain({"a", "b", "c", "d"}))


@pytest.mark.parametrize("value", [object(), argparse.Namespace(), {1: 2}, [print], {"a": {object()}}, {1, "a"}, b"a"])
def test_what_is_no_plain_data_is_refused(value: Any) -> None:
    """It cannot be carried, and nothing else is carried in its place."""
    with pytest.raises(TypeError):
        as_plain(value)


def test_environment_of_templates() -> None:
    """Threads of BLAS and the hash seed are fixed; what changes from run to run or worker to worker is left out."""
    changing = {"PYTEST_CURRENT_TEST": "x", "PYTEST_XDIST_WORKER": "gw0", "COLUMNS": "80", "COV_CORE_SOURCE": "x"}
    environment = environment_of(0, {"HOME": "/h", "OMP_NUM_THREADS": "8", "PYTHONHASHSEED": "7", **changing})
    assert environment["HOME"] == "/h"
    assert environment["OMP_NUM_THREADS"] == environment["OPENBLAS_NUM_THREADS"] == "1"
    assert environment["PYTHONHASHSEED"] == "0"
    assert not changing.keys() & environment.keys()


WRITE_RECIPE = """
import json, os
def pytest_addoption(parser): parser.addoption("--level", type=int, default=1)
def pytest_sessionstart(session):
    for plugin in session.config.pluginmanager.get_plugins():
        if type(plugin).__name__ == "Template":
            with open(f"{os.environ['WHERE']}-{os.getpid()}", "w") as file:
                json.dump([plugin._recipe, sorted(os.environ.items())], file, sort_keys=True)
"""
WAYS = {
    "all": (),
    "workers": ("-n2", "--maxfail=3", "--benchmark-json=b.json"),
    "selected": ("-k", "one", "-x", "--lf", "--junitxml=out.xml"),
    "named": ("test_it.py::test_two", "--durations=3", "--memperf-json=out.json"),
    "shown": ("--memperf-columns=uss", "--memperf-sort=uss", "--memperf-strict", "--memperf-timeout=99"),
    "by ini": ("-omemperf_columns=uss", "-omemperf_sort=uss", "-omemperf_strict=true", "-omemperf_json=out.json"),
}


@pytest.mark.usefixtures("every_plugin")
def test_same_bytes_whoever_drives(isolated: Run, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers, selection and reports leave no trace in a template; an option of the project does."""
    pytest.importorskip("xdist")
    pytester.makeconftest(WRITE_RECIPE)
    monkeypatch.setenv("WHERE", "recipe")
    seen: dict[str, set[str]] = {}
    for way, arguments in {**WAYS, "another level": ("--level=2",)}.items():
        isolated("def test_one(): pass\ndef test_two(): pass", *arguments)
        files = list(pytester.path.glob("recipe-*"))
        seen[way] = {file.read_text() for file in files}
        assert len(files) == (2 if way == "workers" else 1)
        for file in files:
            file.unlink()
    assert all(seen[way] == seen["all"] for way in WAYS), _difference(seen)
    assert len(seen["all"]) == 1
    assert seen["another level"] != seen["all"]


def _difference(seen: dict[str, set[str]]) -> dict[str, list[str]]:
    (first,) = seen["all"]
    options, environment = json.loads(first)
    found = {}
    for way, texts in seen.items():
        for text in texts:
            others, other_environment = json.loads(text)
            found[way] = [
                *(
                    f"{name}: {value!r}, not {options.get(name)!r}"
                    for name, value in others.items()
                    if options.get(name) != value
                ),
                *(str(pair) for pair in other_environment if pair not in environment),
            ]
    return found
