"""Many jobs save at once, and some are killed: every run that was told is there, whole, under its number."""

from __future__ import annotations

import os
import random
from functools import partial
from pathlib import Path

import pytest
import sqlalchemy
from stored import at
from writers import WRITERS, Start, kill_writers, start_writer

from pytest_memperf.baseline.sql.address import database_at

KILLS = int(os.environ.get("MEMPERF_STORE_KILLS", "10"))
"""Of writers, at random moments."""
RESULTS = 100


def start(address: str) -> Start:
    """Return what starts writers of runs of as many results."""
    return partial(start_writer, address, RESULTS)


def check_runs(address: str) -> set[str]:
    """Assert that the numbers are 1 to the last and every run is whole, with no row of any other; return the names."""
    saved = at(address).runs()
    assert [run.number for run in saved] == list(range(1, len(saved) + 1))
    for run in saved:
        name = run.head.name
        tests = [result.test for result in run.read().results]
        assert tests == [f"test_it[{n if n % 2 else f'{name}-{n}'}]" for n in range(RESULTS)]
    with database_at(address, Path()).reading() as connection:
        assert connection is not None
        rows = connection.execute(sqlalchemy.text("SELECT count(*) FROM memperf_result")).scalar_one()
        runs = connection.execute(sqlalchemy.text("SELECT count(*) FROM memperf_run")).scalar_one()
        tests = connection.execute(sqlalchemy.text("SELECT count(*) FROM memperf_test")).scalar_one()
    assert (runs, rows) == (len(saved), len(saved) * RESULTS)
    assert tests == len(saved) * RESULTS // 2 + (RESULTS // 2 if saved else 0)
    return {str(run.head.name) for run in saved}


def test_many_processes_save_at_once(address: str, tmp_path: Path) -> None:
    """8 processes with 10 runs each into an empty database: 80 numbers, none twice, none left out."""
    writers = [start(address)(f"w{number}", 10, tmp_path / "output") for number in range(8)]
    assert [writer.wait(120) for writer in writers] == [0] * 8
    assert check_runs(address) == {f"w{writer}-{turn}" for writer in range(8) for turn in range(10)}


def test_killed_writers_leave_whole_runs_alone(address: str, tmp_path: Path) -> None:
    """4 processes are killed at random moments and started again: no run is torn, lost, or shares a number."""
    seed = random.randrange(2**32)
    told = kill_writers(KILLS, random.Random(seed), 0.05, start(address), tmp_path, lambda: None)
    kept = check_runs(address)
    assert told <= kept, seed
    # A run may be there of which its writer was killed before it could say so: one for each kill at most.
    assert len(kept - told) <= KILLS + WRITERS, seed
    if address.startswith("sqlite"):
        at(address).runs()[0].remove()  # whoever writes next clears away what is left beside the file
        assert [path.name for path in tmp_path.glob("runs.db*")] == ["runs.db"]


def test_one_that_stands_still_does_not_stop_the_others_for_ever(address: str, tmp_path: Path) -> None:
    """A saver that was stopped in its transaction is waited for, then named in one line; afterwards all goes on."""
    writers = [start(address)("w0", 1, tmp_path / "output")]
    assert writers[0].wait(60) == 0
    patient = f"{address}?timeout=0.2" if "sqlite" in address else f"{address}&options=-c%20lock_timeout%3D200"
    with database_at(address, Path()).writing() as connection:
        connection.execute(sqlalchemy.text("UPDATE memperf_platform SET last = last"))
        job = start(patient)("w1", 1, tmp_path / "output")
        assert job.wait(60) == 1
        reader = at(patient)
        assert [run.number for run in reader.runs()] == [1]
        connection.rollback()
    assert start(patient)("w2", 1, tmp_path / "output").wait(60) == 0
    assert check_runs(address) == {"w0-0", "w2-0"}


@pytest.mark.parametrize("what", ["save", "remove"])
def test_what_is_locked_is_one_line(address: str, tmp_path: Path, what: str) -> None:
    """With what to do about it."""
    from stored import save

    from pytest_memperf.model.errors import UsageMistake

    save(at(address))
    sqlite = address.startswith("sqlite")
    patient = f"{address}?timeout=0.2" if sqlite else f"{address}&options=-c%20lock_timeout%3D200"
    (run,) = at(patient).runs()
    with database_at(address, Path()).writing() as connection:
        connection.execute(sqlalchemy.text("UPDATE memperf_run SET number = number"))
        connection.execute(sqlalchemy.text("UPDATE memperf_platform SET last = last"))
        with pytest.raises(UsageMistake) as mistake:
            save(at(patient)) if what == "save" else run.remove()
        connection.rollback()
    (line,) = str(mistake.value).splitlines()
    assert f"{at(address).described.partition(' of ')[2]} cannot be written (" in line
    assert line.endswith(
        "(database is locked): somebody else is writing, try again later, or wait longer by ?timeout=SECONDS"
        if sqlite
        else "somebody else keeps it locked, try again later"
    )
