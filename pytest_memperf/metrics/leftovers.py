"""What the window leaves behind beside memory: open files, threads and live objects."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping

from cyx.probes import procfs
from cyx.probes.interval import prepare
from pytest_memperf.metrics.probe import Observation, Probe
from pytest_memperf.model.metric import Better, Cost, Metric, Reading, Trust
from pytest_memperf.model.units import COUNT


class Growth(Probe):
    """A count at the end beyond that at the start; subclasses name the metric and count."""

    count: Callable[[], int]

    def __init__(self) -> None:
        self._begin = 0
        self._growth = 0
        self._reason = ""

    @classmethod
    def unavailable(cls) -> Mapping[str, str]:
        """Return the reason where there is nothing to count by."""
        probe = cls()
        probe.start()
        return {metric.name: probe._reason for metric in cls.metrics if probe._reason}

    def start(self) -> None:
        """Count, once the intervals' own descriptors are open."""
        prepare()
        try:
            self._begin = type(self).count()
        except (OSError, LookupError) as error:
            self._reason = f"{self.metrics[0].source} cannot be read ({error}): mount /proc"

    def stop(self) -> None:
        """Count again."""
        if not self._reason:
            try:
                self._growth = type(self).count() - self._begin
            except (OSError, LookupError) as error:
                self._reason = f"{self.metrics[0].source} cannot be read ({error}): mount /proc"

    def read(self, observation: Observation) -> Mapping[str, Reading | str]:
        """Return the growth; negative where the window left less than it found."""
        return {self.metrics[0].name: self._reason or Reading(self._growth)}


def _threads() -> int:
    return procfs.status()["threads"]


class OpenFiles(Growth):
    """Descriptors: files, sockets, pipes and whatever else holds one."""

    count = staticmethod(procfs.open_descriptors)
    metrics = (
        Metric(
            "open_files",
            COUNT,
            Better.LOWER,
            Trust.EXACT,
            Cost.ON_REQUEST,
            help="descriptors open at the end beyond those at the start",
            source="/proc/self/fd",
        ),
    )


class Threads(Growth):
    """Threads of the process, those that Python does not know among them."""

    count = staticmethod(_threads)
    metrics = (
        Metric(
            "threads",
            COUNT,
            Better.LOWER,
            Trust.EXACT,
            Cost.ON_REQUEST,
            help="threads alive at the end beyond those at the start",
            source="Threads of /proc/self/status",
        ),
    )


class LiveObjects(Growth):
    """Blocks of CPython's allocator: the only count that sees every object, at no cost to the window.

    A number, a string or a plain object is one block; a list, a dict, a set or an object with attributes two or three.
    ``gc.get_objects`` knows containers only, leaves out those it has untracked, and takes milliseconds.
    """

    count = staticmethod(sys.getallocatedblocks)
    metrics = (
        Metric(
            "live_objects",
            COUNT,
            Better.LOWER,
            Trust.BOUNDED,
            Cost.ON_REQUEST,
            help="memory blocks of Python objects alive at the end beyond those at the start",
            source="sys.getallocatedblocks",
        ),
    )

    UNCERTAINTY = 16
    """Blocks that the interpreter's caches (free lists, interned names, frames) take or give back in any window."""

    def read(self, observation: Observation) -> Mapping[str, Reading | str]:
        """Return the growth, uncertain by the interpreter's caches."""
        own = 1  # the number that start has read
        return {"live_objects": Reading(self._growth - own, self.UNCERTAINTY)}
