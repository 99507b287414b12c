"""How long the test waited for a processor that others had."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from pytest_memperf.metrics.probe import Observation, Probe
from pytest_memperf.model.metric import Better, Cost, Metric, Reading, Trust
from pytest_memperf.model.units import SECONDS

RUN_DELAY = "run_delay"


class RunDelay(Probe):
    """Time in which the thread of the window was ready to run and did not: elapsed time that is not the test's own."""

    root: str | os.PathLike[str] = Path("/proc/thread-self")
    metrics = (
        Metric(
            RUN_DELAY,
            SECONDS,
            Better.LOWER,
            Trust.NOISY,
            Cost.ON_REQUEST,
            help="time that the window's thread waited for a processor",
            source="/proc/thread-self/schedstat",
            level=True,
        ),
    )

    def __init__(self) -> None:
        self._begin = 0
        self._end = 0

    @classmethod
    def unavailable(cls) -> Mapping[str, str]:
        """Return the reason where the kernel does not tell."""
        try:
            cls()._delay()
        except OSError as error:
            return {RUN_DELAY: f"{error.filename} cannot be read ({error.strerror}): take a kernel with SCHED_INFO"}
        return {}

    def _delay(self) -> int:
        """Return the nanoseconds so far: the second field (Documentation/scheduler/sched-stats.rst)."""
        return int(Path(self.root, "schedstat").read_bytes().split()[1])

    def start(self) -> None:
        """Read the clock."""
        self._begin = self._delay()

    def stop(self) -> None:
        """Read it again."""
        self._end = self._delay()

    def read(self, observation: Observation) -> Mapping[str, Reading | str]:
        """Return the time between start and stop."""
        return {RUN_DELAY: Reading((self._end - self._begin) / 1e9)}
