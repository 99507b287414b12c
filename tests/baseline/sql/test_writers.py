"""Many jobs save at once, and some are killed: every run that was told is there, whole, under its number."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import sqlalchemy
from stored import at

from pytest_memperf.baseline.sql.address import database_at

KILLS = int(os.environ.get("MEMPERF_STORE_KILLS", "10"))
"""Of writers, at random moments."""
WRITERS = 4
RESULTS = 100

WRITER = """
import os, sys
from pathlib import Path
from pytest_memperf.baseline.storage import store_at
from pytest_memperf.model.result import Result
from pytest_memperf.model.run import Commit, Run

address, label, runs = sys.argv[1:]
store = store_at(address, Path(), "Linux-any")
for turn in range(int(runs)):
    rows = store.save(Run("2026-11-22T04:29:47+00:00", Commit("a" * 40), name=f"{label}-{turn}"))
    for number in range(100):
        # Half of the tests are new in every run.
        rows.add(Result(f"test_it[{number if number % 2 else f'{label}-{turn}-{number}'}]", "call").as_json())
    rows.finish({"environment": {}})
    os.write(1, f"{label}-{turn}\\n".encode())
"""


def start_writer(address: str, label: str, runs: int, output: Path) -> subprocess.Popen[bytes]:
    """Start a process that saves so many runs, and notes in the output each that is finished."""
    with output.open("ab") as opened:
        return subprocess.Popen(
            [sys.executable, "-c", WRITER, address, label, str(runs)], stdout=opened, stdin=subprocess.DEVNULL
        )


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
    writers = [start_writer(address, f"w{number}", 10, tmp_path / "output") for number in range(8)]
    assert [writer.wait(120) for writer in writers] == [0] * 8
    assert check_runs(address) == {f"w{writer}-{turn}" for writer in range(8) for turn in range(10)}


def test_killed_writers_leave_whole_runs_alone(address: str, tmp_path: Path) -> None:
    """4 processes are killed at random moments and started again: no run is torn, lost, or shares a number."""
    seed = random.randrange(2**32)
    chance, killed = random.Random(seed), 0
    outputs = [tmp_path / f"output{number}" for number in range(WRITERS)]

    def begin(number: int) -> subprocess.Popen[bytes]:
        return start_writer(address, f"w{number}-{killed}", 10**6, outputs[number])

    writers = [begin(number) for number in range(WRITERS)]
    try:
        while killed < KILLS:
            number = chance.randrange(WRITERS)
            before = outputs[number].stat().st_size
            while outputs[number].stat().st_size == before:  # it is saving, and no longer starting
                assert writers[number].poll() is None, seed
                time.sleep(0.001)
            time.sleep(chance.uniform(0, 0.05))
            writers[number].kill()
            assert writers[number].wait() == -signal.SIGKILL, seed
            killed += 1
            writers[number] = begin(number)
    finally:
        for writer in writers:
            writer.kill()
            writer.wait()
    kept = check_runs(address)
    told = {line for output in outputs for line in output.read_text().splitlines()}
    assert told <= kept, seed
    # A run may be there of which its writer was killed before it could say so: one for each kill at most.
    assert len(kept - told) <= KILLS + WRITERS, seed
    if address.startswith("sqlite"):
        at(address).runs()[0].remove()  # whoever writes next clears away what is left beside the file
        assert [path.name for path in tmp_path.glob("runs.db*")] == ["runs.db"]


def test_one_that_stands_still_does_not_stop_the_others_for_ever(address: str, tmp_path: Path) -> None:
    """A saver that was stopped in its transaction is waited for, then named in one line; afterwards all goes on."""
    writers = [start_writer(address, "w0", 1, tmp_path / "output")]
    assert writers[0].wait(60) == 0
    patient = f"{address}?timeout=0.2" if "sqlite" in address else f"{address}&options=-c%20lock_timeout%3D200"
    with database_at(address, Path()).writing() as connection:
        connection.execute(sqlalchemy.text("UPDATE memperf_platform SET last = last"))
        job = start_writer(patient, "w1", 1, tmp_path / "output")
        assert job.wait(60) == 1
        reader = at(patient)
        assert [run.number for run in reader.runs()] == [1]
        connection.rollback()
    assert start_writer(patient, "w2", 1, tmp_path / "output").wait(60) == 0
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
