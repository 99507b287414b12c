"""Runs for the tests of stores: known ones, and any."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from pytest_memperf.baseline.file_store import FileStore
from pytest_memperf.baseline.storage import store_at
from pytest_memperf.baseline.store import Store
from pytest_memperf.model.metric import Better, Cost, Measured, Metric, Trust
from pytest_memperf.model.result import FORMAT, Result
from pytest_memperf.model.run import Commit, Run
from pytest_memperf.model.units import COUNT

CREATED = "2026-11-22T04:29:47+00:00"
PLATFORM = "Linux-any"
FAULTS = Metric("minor_faults", COUNT, Better.LOWER, Trust.EXACT, Cost.ON_REQUEST, help="", source="", floor=2)


def at(address: str, platform: str = PLATFORM) -> Store:
    """Return the store at an address or an absolute path."""
    return store_at(address, Path("/nowhere"), platform)


def result_of(test: str = "test_it.py::test_it", faults: int = 600) -> dict[str, Any]:
    """A result as JSON."""
    return Result(test, "call", metrics={"minor_faults": Measured(FAULTS, (faults, faults + 2), 1)}).as_json()


def save(
    store: Store,
    name: str | None = None,
    commit: Commit | None = None,
    results: Iterable[Mapping[str, Any]] | None = None,
    created: str = CREATED,
) -> str:
    """Save a run as a session does, and return what it is called."""
    rows = store.save(Run(created, commit, name=name))
    for result in [result_of()] if results is None else results:
        rows.add(result)
    rows.finish({"environment": {"kernel": "6.18.1", "cpus": 8}})
    return rows.path


NUMBERS = st.integers(0, 2**60) | st.floats(0, 1e300)
LETTERS = st.characters(codec="utf-8") | st.characters(min_codepoint=0xDC80, max_codepoint=0xDCFF)
"""Of any name: Python has the last ones for bytes of a file's name that are no text."""
TEXTS = st.text(LETTERS, max_size=20) | st.text("a%_/\\\0'\"", max_size=8)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
RESULTS = st.builds(
    lambda test, window, samples, uncertainty, extra: {
        **Result(test, window, metrics={"minor_faults": Measured(FAULTS, tuple(samples), uncertainty)}).as_json(),
        "of a later version": extra,
    },
    TEXTS, TEXTS, st.lists(NUMBERS, min_size=1, max_size=4), NUMBERS, ANYTHING,
)  # fmt: skip
COMMITS = st.builds(
    lambda id, branch, dirty: {"id": id, "branch": branch, "dirty": dirty},
    st.from_regex("[0-9a-f]{40}|[0-9a-f]{64}", fullmatch=True), st.none() | TEXTS, st.booleans(),
)  # fmt: skip
DOCUMENTS = st.builds(
    lambda created, optional, results, environment: {
        "format": FORMAT,
        "created": f"{created.replace(microsecond=0).isoformat()}+00:00",
        **optional,
        "results": results,
        "environment": environment,
    },
    st.datetimes(),
    st.fixed_dictionaries({}, optional={"commit": COMMITS, "name": TEXTS.filter(bool), "of a later version": ANYTHING}),
    st.lists(RESULTS, max_size=4),
    st.dictionaries(TEXTS, ANYTHING, max_size=3),
)
"""Of files of results; also with what this version does not know."""


def write(folder: Path, documents: Iterable[dict[str, Any]]) -> None:
    """Save each in the store of a folder."""
    for document in documents:
        head = {name: document[name] for name in document if name not in ("format", "results", "environment")}
        file = FileStore(folder, PLATFORM).save(Run.from_json(document), head)
        for result in document["results"]:
            file.add(result)
        file.finish({"environment": document["environment"]})


def files(folder: Path) -> dict[str, bytes]:
    """Return the files of the store of a folder."""
    return {path.name: path.read_bytes() for path in folder.joinpath(PLATFORM).glob("*.json")}


def text(document: Any) -> str:
    """Return it as JSON, for comparisons: 1, 1.0 and True are equal in Python."""
    return json.dumps(document)
