"""The results of some tests in some runs, found by the key alone, however many there are of others."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, select

from pytest_memperf.baseline.sql.batches import batches
from pytest_memperf.baseline.sql.names import digest, storable
from pytest_memperf.baseline.sql.schema import RESULT, TEST


def results_of(connection: Connection, runs: Sequence[int], test: str) -> Mapping[int, Sequence[str]]:
    """Return the results of the test of this id as JSON, by the run's row.

    Where none of the runs has that test: the results of tests whose ids may have this text in them.
    """
    for meant in (TEST.c.digest == digest(test), TEST.c.name.contains(storable(test), autoescape=True)):
        # By a query of its own: the planner of a database without statistics would look at all names for each run.
        tests = connection.execute(select(TEST.c.id).where(meant)).scalars().all()
        found: dict[int, list[tuple[int, str]]] = defaultdict(list)
        for some_runs in batches(runs):
            for some_tests in batches(tests):
                wanted = RESULT.c.test_id.in_(some_tests) & RESULT.c.run_id.in_(some_runs)
                query = select(RESULT.c.run_id, RESULT.c.place, RESULT.c.data).where(wanted)
                for run, place, data in connection.execute(query):
                    found[run].append((place, data))
        if found:
            return {run: [data for _, data in sorted(results)] for run, results in found.items()}
    return {}
