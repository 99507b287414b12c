"""Runs are copied between folders and databases, and nothing of them is lost on the way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from postgresql_server import Server
from stored import DOCUMENTS, PLATFORM, at, files, save, write

from pytest_memperf.baseline.copying import copy
from pytest_memperf.baseline.file_store import FileStore
from pytest_memperf.baseline.store import Store
from pytest_memperf.model.errors import UsageMistake
from pytest_memperf.model.run import Run


@given(documents=st.lists(DOCUMENTS, min_size=1, max_size=4))
def test_there_and_back(documents: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> None:
    """From a folder to sqlite to a folder: the same files under the same names, byte for byte."""
    folder = tmp_path_factory.mktemp("copies")
    write(folder / "first", documents)
    check_there_and_back(folder, f"sqlite:///{folder}/runs.db")


def test_there_and_back_by_a_server(server: Server, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The same of PostgreSQL, in an encoding that has few letters."""

    @given(documents=st.lists(DOCUMENTS, min_size=5, max_size=10))
    def check(documents: list[dict[str, Any]]) -> None:
        folder = tmp_path_factory.mktemp("copies")
        name = f"copies_{folder.name}".replace("-", "_")
        server.execute(f"CREATE DATABASE {name} ENCODING 'LATIN1' TEMPLATE template0")
        write(folder / "first", documents)
        check_there_and_back(folder, server.address(name))
        server.execute(f"DROP DATABASE {name}")

    settings(max_examples=10, phases=[Phase.generate])(check)()


def check_there_and_back(folder: Path, address: str) -> None:
    """Copy the files and assert that the copy of the copy is the same."""
    before = files(folder / "first")
    result = list(copy(FileStore(folder / "first", PLATFORM), at(address)))
    assert [each.new for each in result] == [True] * len(before)
    list(copy(at(address), FileStore(folder / "second", PLATFORM)))
    assert files(folder / "second") == before


@pytest.fixture(params=["folder", "sqlite"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """Return an empty store to copy to."""
    return at(str(tmp_path / "target") if request.param == "folder" else f"sqlite:///{tmp_path}/target.db")


@pytest.fixture
def source(tmp_path: Path) -> FileStore:
    """Return a store with runs 1, 2 and 3, of which two are alike."""
    store = FileStore(tmp_path / "source", PLATFORM)
    for name in ("first", "twice", "twice"):
        save(store, name)
    return store


def names(store: Store) -> list[tuple[int, str | None]]:
    """Return the runs of a store."""
    return [(run.number, run.head.name) for run in store.runs()]


def test_numbers_follow_those_of_the_target(source: FileStore, target: Store) -> None:
    """Oldest first; gaps that pruning left in the source are closed."""
    save(target, "mine")
    source.runs()[0].remove()
    assert [each.new for each in copy(source, target)] == [True, True]
    assert names(target) == [(1, "mine"), (2, "twice"), (3, "twice")]


def test_again_does_nothing(source: FileStore, target: Store) -> None:
    """All is there already, also runs that are alike; a new one is added."""
    list(copy(source, target))
    assert [each.new for each in copy(source, target)] == [False] * 3
    save(source, "fourth")
    assert [each.new for each in copy(source, target)] == [False, False, False, True]
    assert names(target) == [(1, "first"), (2, "twice"), (3, "twice"), (4, "fourth")]


def test_one_that_was_broken_off_goes_on(source: FileStore, target: Store) -> None:
    """What was copied before is not copied twice."""
    copying = copy(source, target)
    next(copying), next(copying)
    copying.close()
    assert names(target) == [(1, "first"), (2, "twice")]
    list(copy(source, target))
    assert names(target) == [(1, "first"), (2, "twice"), (3, "twice")]


def test_a_damaged_run_is_left_out(source: FileStore, target: Store) -> None:
    """And told; the others are copied."""
    source.runs()[1].path.write_text("{")
    result = list(copy(source, target))
    assert [bool(each.damage) for each in result] == [False, True, False]
    assert result[1].damage.startswith(f"{source.runs()[1].path} is damaged")
    assert names(target) == [(1, "first"), (2, "twice")]


def test_a_damaged_run_of_the_target_is_none(source: FileStore, tmp_path: Path) -> None:
    """It is nobody's copy."""
    target = FileStore(tmp_path / "target", PLATFORM)
    list(copy(source, target))
    damaged = target.runs()[0].path
    damaged.write_text(damaged.read_text().replace('"environment"', '"environ'))
    assert [each.new for each in copy(source, target)] == [True, False, False]


def test_a_formatted_file_is_the_same_run(source: FileStore, target: Store) -> None:
    """Somebody's editor has put the lines elsewhere, and the environment before the results."""
    import json

    path = source.runs()[0].path
    document = json.loads(path.read_text())
    results = document.pop("results")
    path.write_text(json.dumps({**document, "results": results}, indent=2))
    list(copy(source, target))
    assert target.runs()[0].read() == source.runs()[0].read()
    assert [each.new for each in copy(source, target)] == [False] * 3


@pytest.mark.parametrize("act", [lambda store: store.runs(), lambda store: store.save(Run(""))])
def test_a_target_that_is_none(source: FileStore, tmp_path: Path, act: Callable[[Store], object]) -> None:
    """The line of the store, which names the mend."""
    (tmp_path / "file").write_text("")
    target = FileStore(tmp_path / "file", PLATFORM)
    with pytest.raises(UsageMistake) as direct:
        act(target)
    with pytest.raises(UsageMistake, match=r"name another folder with --memperf-storage$"):
        list(copy(source, target))
    assert str(direct.value).endswith("name another folder with --memperf-storage")


def test_what_tells_runs_apart_stands_behind_the_results(source: FileStore, target: Store) -> None:
    """It is found there too, and its copy like any other."""
    import json

    path = source.runs()[0].path
    document = json.loads(path.read_text())
    path.write_text(json.dumps({name: document.pop(name) for name in ("format", "results")} | document))
    list(copy(source, target))
    assert target.runs()[0].head.head == source.runs()[0].head.head
    assert [each.new for each in copy(source, target)] == [False] * 3
