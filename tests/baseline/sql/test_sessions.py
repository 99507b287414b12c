"""A session keeps its run in a database and compares with one there, and shows no password on the way."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import sqlalchemy
from postgresql_server import Server

from pytest_memperf.baseline.file_store import platform
from pytest_memperf.baseline.storage import store_at

TESTS = """
import pytest

@pytest.mark.memperf(isolation="process")
def test_one(memperf):
    memperf(bytearray, int(open("size").read()))
"""


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    """A test that takes as much memory as a file says."""
    pytester.makepyfile(test_it=TESTS)
    (pytester.path / "size").write_text("10_000_000")
    return pytester


def test_a_regression_against_a_run_in_a_database(project: pytest.Pytester, address: str) -> None:
    """Exit code 1, and the same lines as with a folder; the run that became worse is not kept."""
    storage = f"--memperf-storage={address}"
    result = project.runpytest_subprocess(storage, "--memperf-save=base")
    assert result.ret == 0
    described = store_at(address, Path(), platform()).described
    result.stdout.fnmatch_lines([f"memperf: saved as run 0001 of {described}"])
    (project.path / "size").write_text("20_000_000")
    result = project.runpytest_subprocess(storage, "--memperf-save", "--memperf-compare=base")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["base: run 0001, saved as base *", "test_it.py::test_one *peak_rss *worse, fails*"])
    assert [run.number for run in store_at(address, Path(), platform()).runs()] == [1]
    assert not (project.path / ".memperf").exists()


def test_the_ini_key(project: pytest.Pytester) -> None:
    """A relative file begins where the ini file is, whatever folder the session is started in."""
    project.makeini("[pytest]\nmemperf_storage = sqlite:///runs.db\nmemperf_autosave = true\n")
    (project.path / "below").mkdir()
    assert project.runpytest_subprocess().ret == 0
    os.chdir(project.path / "below")
    (project.path / "below" / "size").write_text("1000")
    assert project.runpytest_subprocess("..").ret == 0
    assert [run.number for run in store_at("sqlite:///runs.db", project.path, platform()).runs()] == [1, 2]


def test_workers_of_xdist_save_one_run(
    project: pytest.Pytester, address: str, every_plugin: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The controller saves; what the workers measured is in it."""
    project.makepyfile(
        test_it="import pytest\n@pytest.mark.memperf\n@pytest.mark.parametrize('n', range(20))\ndef test_it(n): pass"
    )
    result = project.runpytest_subprocess(f"--memperf-storage={address}", "--memperf-save", "-n2")
    assert result.ret == 0
    (run,) = store_at(address, Path(), platform()).runs()
    assert len(run.read().results) == 20


def test_no_password_is_seen(project: pytest.Pytester, server: Server) -> None:
    """Not in what a session says, however much that is, nor in what it keeps, nor when the server is lost."""
    database = server.new_database()
    server.execute(f"CREATE USER {database} PASSWORD 's3cr3t'", database)
    server.execute(f"GRANT ALL ON SCHEMA public TO {database}", database)
    address = server.address(database, database, "s3cr3t")
    project.makeini(f"[pytest]\nmemperf_storage = {address}\n")
    results = [
        project.runpytest_subprocess("-vv", "--memperf-save=base", "--memperf-json=out.json"),
        project.runpytest_subprocess("-vv", "--memperf-compare=base", "--memperf-isolation=process"),
        project.runpytest_subprocess("-vv", "--memperf-compare=nothing"),
    ]
    assert [result.ret for result in results] == [0, 0, 0]
    engine = sqlalchemy.create_engine(address.replace("postgresql:", "postgresql+psycopg:"))
    with engine.connect() as connection:
        rows = (
            connection.exec_driver_sql("SELECT head || tail || data FROM memperf_run, memperf_result").scalars().all()
        )
    engine.dispose()
    server.execute(f"ALTER USER {database} PASSWORD 'an0ther'", database)
    results.append(project.runpytest_subprocess("-vv", "--memperf-save"))
    assert results[-1].ret == pytest.ExitCode.USAGE_ERROR
    said = "\n".join(f"{result.stdout}\n{result.stderr}" for result in results)
    assert "password authentication failed" in said
    kept = [path.read_text() for path in project.path.rglob("*") if path.suffix == ".json"]
    assert json.loads(kept[0])["results"]
    assert "s3cr3t" not in "\n".join([said, *kept, *rows])


def test_a_server_that_is_lost_meanwhile(project: pytest.Pytester, server: Server) -> None:
    """The tests have passed, but the session is no success: one line says what was not kept."""
    database = server.new_database()
    address = server.address(database)
    project.makeconftest(
        f"""
        import psycopg

        def pytest_runtest_teardown():
            with psycopg.connect({server.address("postgres")!r}, autocommit=True) as connection:
                connection.execute("DROP DATABASE IF EXISTS {database}")
        """
    )
    result = project.runpytest_subprocess(f"--memperf-storage={address}", "--memperf-save")
    result.assert_outcomes(passed=1)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    (line,) = [line for line in result.errlines if line]
    assert line.startswith("ERROR: --memperf-save: postgresql://memperf@")
    assert line.endswith("does not exist): make it with createdb, or name another one")


@pytest.mark.parametrize("storage", ["sqlite:///runs.db", "postgresql://me:secret@127.0.0.1:1/runs"])
def test_what_is_not_installed(project: pytest.Pytester, storage: str) -> None:
    """One line that names the extra, before any test; a session that keeps nothing does not ask for it."""
    module = "sqlalchemy" if "sqlite" in storage else "psycopg"
    project.makeconftest(f"import sys\nsys.modules[{module!r}] = None\n")
    project.makeini(f"[pytest]\nmemperf_storage = {storage}\n")
    assert project.runpytest_subprocess().ret == 0
    result = project.runpytest_subprocess("--memperf-save")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    (line,) = [line for line in result.errlines if line]
    assert line.startswith(f"ERROR: a storage in {storage.partition(':')[0]}:// needs {module} (")
    assert line.endswith("): pip install pytest-memperf[sql]")
    assert "passed" not in str(result.stdout)
