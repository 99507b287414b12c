"""Fill a database and time it: ``python tests/benchmarks/store/speed.py sqlite|postgresql [RESULTS]``.

Runs of 10,000 results are saved until there are so many (2,000,000; some minutes, 4 GB in the temporary folder),
then the history of tests is asked for. It prints how long a run took to save, the first to the last, and medians:

- history of one test over the last 50 runs, by its id, by a part of it, and for the whole command;
- the list of runs, from which ``--memperf-compare=NAME`` picks, and one run read whole.
"""

from __future__ import annotations

import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[2] / "baseline" / "sql"))

from postgresql_server import started

from pytest_memperf.baseline.file_store import platform
from pytest_memperf.baseline.series import series
from pytest_memperf.baseline.sql.address import database_at
from pytest_memperf.baseline.sql.of_tests import results_of
from pytest_memperf.baseline.sql.store import SqlStore
from pytest_memperf.environment import collect
from pytest_memperf.metrics import BUILT_IN
from pytest_memperf.model.metric import Measured
from pytest_memperf.model.result import Result
from pytest_memperf.model.run import Commit, Run

TESTS = 10_000
LAST = 50
REPETITIONS = 101
CHEAP = ("minor_faults", "major_faults", "retained_rss", "peak_rss", "peak_rss_total", "wall_time", "cpu_time")
METRICS = [metric for probe in BUILT_IN for metric in probe.metrics if metric.name in CHEAP]


def test_id(number: int) -> str:
    """Return the id of a test."""
    return f"tests/perf/test_module_{number // 100:03}.py::TestLoading::test_case[{number:05}]"


def results(chance: random.Random) -> Iterator[dict[str, Any]]:
    """Yield the results of a run, as the usual metrics of a session are."""
    for number in range(TESTS):
        metrics = {}
        for metric in METRICS:
            value = chance.random() / 1000 if metric.unit.name == "s" else chance.randrange(2**22)
            metrics[metric.name] = Measured(metric, (value,), 4096)
        yield Result(test_id(number), "call", "process", "glibc", metrics=metrics).as_json()


def save(store: SqlStore, number: int) -> float:
    """Save a run and return the seconds that it took, without those for making it up."""
    chance = random.Random(number)
    made = list(results(chance))
    run = Run("2026-11-22T04:29:47+00:00", Commit(f"{number:040x}", "main"), collect({}))
    start = time.perf_counter()
    rows = store.save(run)
    for result in made:
        rows.add(result)
    rows.finish({"environment": run.environment.as_json()})
    return time.perf_counter() - start


def median_of(action: Callable[[int], object], repetitions: int = REPETITIONS) -> str:
    """Return the median of the seconds that something takes, and the longest, in words."""
    times = []
    for turn in range(repetitions):
        start = time.perf_counter()
        assert action(turn)
        times.append(time.perf_counter() - start)
    return f"median {statistics.median(times) * 1000:,.1f} ms, at most {max(times) * 1000:,.1f} ms"


def ask(store: SqlStore, address: str) -> None:
    """Print how long what is asked takes."""
    chance = random.Random(0)

    def history(name: str) -> bool:
        found = list(series(store.of_test(numbers, name).runs, name))
        return len(found) == len(METRICS) and len(found[0].points) == min(LAST, len(store_runs))

    store_runs = store.runs()
    numbers = [run.number for run in store_runs[-LAST:]]
    print("history of a test:          ", median_of(lambda _: history(test_id(chance.randrange(TESTS)))))
    print("  by a part of its id:      ", median_of(lambda _: history(f"[{chance.randrange(TESTS):05}]")))
    command = [sys.executable, "-c", "import sys; from pytest_memperf.cli import main; sys.exit(main())"]
    command += ["history", test_id(77), f"--storage={address}"]
    with store._database.reading() as connection:
        rows = [run._id for run in store_runs[-LAST:]]
        alone = median_of(lambda _: results_of(connection, rows, test_id(chance.randrange(TESTS))))
    print("  without the connection:   ", alone)
    print("  the whole command:        ", median_of(lambda _: subprocess.check_output(command), 5))
    print("list of the runs:           ", median_of(lambda _: [run.head for run in store.runs()]))
    print("a run of 10,000 results read:", median_of(lambda _: store.runs()[-1].read().results, 5))


@contextmanager
def database(engine: str) -> Iterator[str]:
    """Make an empty database and yield its address."""
    if engine == "sqlite":
        with tempfile.TemporaryDirectory(prefix="memperf-sqlite-") as folder:
            yield f"sqlite:///{folder}/runs.db"
    else:
        with started("fsync=on") as server:
            yield server.address(server.new_database())


def main(engine: str, number: int) -> None:
    """Fill one and time it."""
    with database(engine) as address:
        store = SqlStore(database_at(address, Path.cwd()), platform())
        times = [save(store, run) for run in range(1, max(number // TESTS, 1) + 1)]
        print(f"{engine}: {len(times) * TESTS:,} results in {len(times)} runs")
        print(
            f"a run of {TESTS:,} results saved: median {statistics.median(times):.2f} s, at most {max(times):.2f} s, "
            f"the last {times[-1]:.2f} s"
        )
        ask(store, address)


if __name__ == "__main__":
    if sys.argv[1:2] not in (["sqlite"], ["postgresql"]):
        sys.exit(__doc__)
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 2_000_000)
