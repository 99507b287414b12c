"""A database keeps runs as a folder does: whole, in order, under numbers of their own."""

from __future__ import annotations

import datetime
import json
import re
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from hypothesis import given, settings
from hypothesis import strategies as st
from postgresql_server import Server
from stored import CREATED, DOCUMENTS, PLATFORM, TEXTS, at, result_of, save, text

from pytest_memperf.baseline.file_store import FileStore
from pytest_memperf.baseline.reference import find
from pytest_memperf.baseline.sql.names import digest, storable
from pytest_memperf.baseline.storage import missing, stores_at
from pytest_memperf.model.errors import UsageMistake
from pytest_memperf.model.result import Result
from pytest_memperf.model.run import Commit, Run

ROOT = Path(__file__).parents[3]
MAIN = Commit("a1" * 20, "main")


def change(address: str, statement: str) -> None:
    """Execute a statement behind the store's back."""
    engine = sqlalchemy.create_engine(address.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as connection:
        connection.exec_driver_sql(statement)
    engine.dispose()


class TestSaving:
    """From a session to a row."""

    def test_numbers_go_on_for_each_platform(self, address: str) -> None:
        """They begin at 1; a number of a run that was deleted is not given again."""
        store, other = at(address), at(address, "Linux-other")
        assert [save(store), save(store), save(other)] == [
            f"run 000{number} of {each.platform} of {store.described.partition(' of ')[2]}"
            for number, each in ((1, store), (2, store), (1, other))
        ]
        store.runs()[1].remove()
        save(store)
        assert [run.number for run in store.runs()] == [1, 3]
        assert [each.platform for each in stores_at(address, Path())] == [PLATFORM, "Linux-other"]

    def test_what_is_not_finished_is_not_there(self, address: str) -> None:
        """No number is taken before the end, and nothing is left of what was abandoned."""
        store = at(address)
        rows = store.save(Run(CREATED))
        rows.add(result_of())
        assert list(store.runs()) == []
        rows.abandon()
        assert save(store).startswith("run 0001 ")

    def test_looking_makes_nothing(self, address: str, tmp_path: Path) -> None:
        """There are no runs at first, and no tables or file afterwards."""
        store = at(address)
        assert (list(store.runs()), store.of_test([1], "x").runs, list(stores_at(address, Path()))) == ([], [], [])
        assert not (tmp_path / "runs.db").exists()

    def test_numbers_of_libraries_become_json(self, address: str) -> None:
        """As in a file of results."""
        import numpy as np

        store = at(address)
        save(store, results=[{**result_of(), "figure": np.float64(1.5)}])
        assert store.runs()[0].document()["results"][0]["figure"] == 1.5

    def test_what_is_no_number_is_refused(self, address: str) -> None:
        """JSON has no form of it; the other results are saved."""
        store = at(address)
        rows = store.save(Run(CREATED))
        with pytest.raises(ValueError, match="Out of range float"):
            rows.add({**result_of(), "figure": float("nan")})
        rows.add(result_of())
        rows.finish({"environment": {}})
        assert len(store.runs()[0].read().results) == 1


class TestListing:
    """What a run tells of itself."""

    def test_is_as_its_file_would(self, address: str, tmp_path: Path) -> None:
        """Number, name, time and head are those of the same run in a folder."""
        stores = [at(address), FileStore(tmp_path, PLATFORM)]
        for store in stores:
            save(store, "first", MAIN)
            save(store, None, Commit("b2" * 32, None, dirty=True), created="2026-11-23T04:29:47+00:00")
            save(store)
        one, other = ([(run.number, run.name, run.saved_at, run.head) for run in store.runs()] for store in stores)
        assert one == other
        assert one[1][1] == "0002_b2b2b2b2b2b2_20261123T042947_dirty.json"

    def test_a_time_that_is_none(self, address: str) -> None:
        """Such a run's age is not known, so pruning leaves it."""
        store = at(address)
        save(store, created="yesterday")
        assert store.runs()[0].saved_at == datetime.datetime.max.replace(tzinfo=datetime.timezone.utc)

    @pytest.mark.parametrize("created", [CREATED, "2026-11-22T04:29:47Z", "2026-11-22T05:29:47+01:00"])
    def test_the_time_is_that_of_its_head(self, address: str, created: str) -> None:
        """In whatever zone another program has written it."""
        save(at(address), created=created)
        assert at(address).runs()[0].saved_at.isoformat() == CREATED

    @pytest.mark.parametrize("reference", ["1", "first", "main", "a1a1a1", "0001_*", "latest"])
    def test_is_found_by_all_its_names(self, address: str, tmp_path: Path, reference: str) -> None:
        """As a file is."""
        save(at(address), "first", MAIN)
        found = find(reference, at(address), tmp_path)
        assert [run.name for run in found.runs] == ["first"]
        assert found.described == "run 0001, commit a1a1a1a1a1a1 of main saved as first 2026-11-22 04:29"

    def test_what_is_missing(self, tmp_path: Path) -> None:
        """A file that is not there is told before anything connects; of a server only it can tell."""
        assert missing("sqlite:///runs.db", tmp_path) == "file"
        (tmp_path / "runs.db").touch()
        assert missing("sqlite:///runs.db", tmp_path) is None
        assert missing("postgresql://nobody@127.0.0.1:1/runs", tmp_path) is None


@pytest.mark.fuzz
@given(documents=st.lists(DOCUMENTS, min_size=1, max_size=3))
def test_documents_come_back_as_they_were(documents: list[dict[str, Any]], tmp_path_factory: Any) -> None:
    """Whatever names, numbers and later versions put into them."""
    check_documents(f"sqlite:///{tmp_path_factory.mktemp('any')}/runs.db", documents)


@settings(max_examples=20)
@given(documents=st.lists(DOCUMENTS, min_size=1, max_size=3))
def test_documents_come_back_from_a_server(documents: list[dict[str, Any]], server: Server) -> None:
    """The same of PostgreSQL, which takes no NUL and no half of a character."""
    check_documents(server.address("everything"), documents)


@pytest.fixture(autouse=True)
def one_database(request: pytest.FixtureRequest) -> None:
    """Make the database that all cases of a test share."""
    if "server" in request.fixturenames and "address" not in request.fixturenames:
        request.getfixturevalue("server").execute("DROP DATABASE IF EXISTS everything")
        request.getfixturevalue("server").execute("CREATE DATABASE everything")


def check_documents(address: str, documents: list[dict[str, Any]]) -> None:
    """Save them, and assert that they are what is read."""
    store = at(address)
    before = len(store.runs())
    for document in documents:
        head = {name: document[name] for name in document if name not in ("format", "results", "environment")}
        rows = store.save(Run.from_json(document), head)
        for result in document["results"]:
            rows.add(result)
        rows.finish({"environment": document["environment"]})
    saved = store.runs()[before:]
    assert [text(run.document()) for run in saved] == [text(document) for document in documents]
    assert [run.read().results for run in saved] == [
        [Result.from_json(result) for result in document["results"]] for document in documents
    ]


class TestOfTest:
    """The history of tests."""

    def test_is_that_of_a_folder(self, address: str, tmp_path: Path) -> None:
        """By an id, by a part of one, and by what LIKE would take for a pattern; in the order that is asked for."""
        names = ["a.py::test_x", "a.py::test_xy", "b.py::test_x[50%]", "b.py::test_x[50_]", "b.py::test_ü[/]"]
        stores = [at(address), FileStore(tmp_path, PLATFORM)]
        for store in stores:
            for turn in range(5):
                save(store, f"r{turn}", results=[result_of(name, turn) for name in names[turn % 2 :]])
        for store in stores:  # others have no part in it
            save(at(address, "Linux-other") if store is stores[0] else FileStore(tmp_path, "Linux-other"), "other")
        for test in [*names, "test_x", "%", "_", "[50", "ü", "/", "A.PY", "nothing", ""]:
            for numbers in ([5], [2, 1, 4], [3, 99, 1, 2, 4, 5]):
                one, other = (store.of_test(numbers, test) for store in stores)
                assert [number for number, _ in one.runs] == [number for number in numbers if number <= 5]
                exact = test in {result.test for _, run in other.runs for result in run.results}
                if exact:  # a database gives just that test; series() takes no other one either
                    for _, run in other.runs:
                        run.results[:] = [result for result in run.results if result.test == test]
                assert one == other, (test, numbers)

    def test_a_test_that_the_runs_do_not_have(self, address: str) -> None:
        """Its id is a part of another one's: as in a folder, that one is shown."""
        store = at(address)
        save(store, results=[result_of("test_x")])
        save(store, results=[result_of("test_xy")])
        ((number, run),) = store.of_test([2], "test_x").runs
        assert (number, [result.test for result in run.results]) == (2, ["test_xy"])

    def test_more_than_a_statement_takes(self, tmp_path: Path) -> None:
        """2,000 tests in two runs: none is left out, each in its place."""
        store = at(f"sqlite:///{tmp_path}/runs.db")
        names = [f"test_it[{number}]" for number in range(2000)]
        for _ in range(2):
            save(store, results=map(result_of, names))
        for _, run in store.of_test([1, 2], "test_it").runs:
            assert [result.test for result in run.results] == names

    @given(text=TEXTS, part=st.tuples(st.integers(0, 20), st.integers(0, 20)))
    def test_a_part_of_a_name_is_one_as_it_is_stored(self, text: str, part: tuple[int, int]) -> None:
        """So no name is missed; and names that are stored alike have digests of their own."""
        stored = storable(text)
        assert storable(text[slice(*part)]) in stored
        assert "\0" not in stored
        assert stored.isascii()
        assert digest(text) != digest(text + "\0") != digest(text + "\\x00")


class TestDamage:
    """Rows that are no whole run any more."""

    @pytest.mark.parametrize("column", ["head", "tail"])
    @pytest.mark.parametrize("damaged", ["", "{", "[]", "null", '{"format": "pytest-memperf/1"}', '{"environment": 3}'])
    def test_is_one_line_and_the_others_are_read(self, address: str, tmp_path: Path, column: str, damaged: str) -> None:
        """Its number leads to the line that names the run; other runs are found."""
        store = at(address)
        save(store, "first")
        save(store, "second")
        change(address, f"UPDATE memperf_run SET {column} = '{damaged}' WHERE number = 2")
        if (column, damaged) != ("tail", '{"format": "pytest-memperf/1"}'):
            with pytest.raises(UsageMistake, match=r"^run 0002 of Linux-any of .+ (is damaged|was written by)[^\n]*$"):
                find("2", store, tmp_path).runs[0]
        assert [run.name for run in find("first", store, tmp_path).runs] == ["first"]
        assert store.of_test([1, 2], "test_it").runs[0][0] == 1

    def test_a_result(self, address: str, tmp_path: Path) -> None:
        """The same of one of its results, and in a history it is a remark."""
        store = at(address)
        save(store, "first")
        save(store, "second")
        change(address, "UPDATE memperf_result SET data = '{}' WHERE run_id = 2")
        with pytest.raises(UsageMistake, match=r"^run 0002 .+ is damaged \(KeyError: 'metrics'\): save it again"):
            find("second", store, tmp_path)
        read = store.of_test([1, 2], "test_it")
        assert ([number for number, _ in read.runs], len(read.remarks)) == ([1], 1)

    def test_a_newer_format_is_one_line(self, address: str, tmp_path: Path) -> None:
        """It may hold what this version does not know; the older runs are found, with the line as a remark."""
        store = at(address)
        save(store, "first")
        save(store, "second")
        change(address, "UPDATE memperf_run SET head = replace(head, 'memperf/1', 'memperf/2') WHERE number = 2")
        found = find("latest", store, tmp_path)
        assert [run.name for run in found.runs] == ["first"]
        assert found.remarks == [
            f"run 0002 of {store.described} was written by a newer pytest-memperf (pytest-memperf/2): update it"
        ]
        assert store.of_test([1, 2], "test").remarks == found.remarks

    def test_one_that_was_deleted_meanwhile(self, address: str) -> None:
        """It is gone, which is a line for who wants to read it and nothing to who wants to delete it."""
        store = at(address)
        save(store)
        (run,) = store.runs()
        run.remove()
        run.remove()
        with pytest.raises(UsageMistake, match=r"is gone: somebody has deleted it meanwhile$"):
            run.read()
        assert list(store.runs()) == []


def test_what_is_stored_is_plain_json(address: str) -> None:
    """Others who ask the database find what docs/json.md says, in ASCII."""
    store = at(address)
    save(store, "first", results=[result_of("test_ü", 7)])
    engine = sqlalchemy.create_engine(address.replace("postgresql:", "postgresql+psycopg:"))
    with engine.connect() as connection:
        (data,) = connection.exec_driver_sql("SELECT data FROM memperf_result").one()
        (name,) = connection.exec_driver_sql("SELECT name FROM memperf_test").one()
    engine.dispose()
    assert data.isascii()
    assert json.loads(data) == result_of("test_ü", 7)
    assert name == "test_\\xfc"


def test_the_question_that_the_documentation_asks(server: Server) -> None:
    """As it stands there: the times and values of a metric of a test."""
    (question,) = re.findall(
        r"```sql\n(SELECT .*?)```", Path(ROOT, "docs/sql.md").read_text(encoding="utf-8"), re.DOTALL
    )
    address = server.address(server.new_database())
    for number in (1, 2):
        result = result_of("tests/test_load.py::test_load", number)
        result["metrics"]["peak_rss"] = result["metrics"]["minor_faults"]
        save(at(address), results=[result, result_of("another")])
    engine = sqlalchemy.create_engine(address.replace("postgresql:", "postgresql+psycopg:"))
    with engine.connect() as connection:
        assert connection.exec_driver_sql(question).all() == [(CREATED, 2.0), (CREATED, 3.0)]
    engine.dispose()
