"""How the machine disturbed the window: memory reclaimed or swapped, huge pages refused, the processor taken away."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from pytest_memperf.metrics.probe import Observation, Probe
from pytest_memperf.model.metric import Better, Cost, Metric, Reading, Trust
from pytest_memperf.model.units import COUNT

_EVENTS = {
    "thp_fault_fallback": "huge pages were refused",
    "allocstall_normal": "allocations waited for reclaim",
    "allocstall_movable": "allocations of movable memory waited for reclaim",
    "pgsteal_direct": "pages were reclaimed by those who needed memory",
    "pswpin": "pages were swapped in",
    "pswpout": "pages were swapped out",
}
"""Counters of /proc/vmstat, and what their growth means."""
_COUNTS = re.compile(rf"\n({'|'.join(_EVENTS)}) (\d+)".encode())
"""A line of one of them: it begins with a character, not with ``^``, and is found in half the time."""
_WORDS = {**_EVENTS, "steal": "ticks of the processor went to other machines"}
_NOTE = "interference: "
_STEAL = 8
"""The column of ``cpu`` in /proc/stat with the ticks that the hypervisor gave to others (proc_stat(5))."""


def machine_events(root: str | os.PathLike[str] = "/proc") -> dict[str, int]:
    """Return how often each event has happened since the machine started. OSError where /proc hides it."""
    counts = {name.decode(): int(count) for name, count in _COUNTS.findall(b"\n" + Path(root, "vmstat").read_bytes())}
    ticks = Path(root, "stat").read_bytes().partition(b"\n")[0].split()
    steal = int(ticks[_STEAL]) if len(ticks) > _STEAL else 0
    return {name: counts.get(name, 0) for name in _EVENTS} | {"steal": steal}


def growth(begin: Mapping[str, int], end: Mapping[str, int]) -> dict[str, int]:
    """Return the events that happened in between, with their number."""
    return {name: end[name] - begin[name] for name in end if end[name] > begin.get(name, end[name])}


def notes_on(events: Mapping[str, int]) -> tuple[str, ...]:
    """Return what happened, one sentence for each kind of event."""
    return tuple([f"{_beginning(name)}{count})" for name, count in events.items()])


def spoiling(notes: Iterable[str]) -> list[str]:
    """Return those of such notes that name what moves counts and bytes; a processor taken away only costs time."""
    moving = tuple(map(_beginning, _EVENTS))
    return [note.removeprefix(_NOTE) for note in notes if note.startswith(moving)]


def stolen_seconds(notes: Iterable[str]) -> float:
    """Return how long other machines had the processor, by such notes."""
    beginning = _beginning("steal")
    ticks = (int(note.removeprefix(beginning).removesuffix(")")) for note in notes if note.startswith(beginning))
    return sum(ticks) / os.sysconf("SC_CLK_TCK")


def _beginning(name: str) -> str:
    """Return what the note on an event begins with, up to its number."""
    return f"{_NOTE}{_WORDS[name]} ("


class Interference(Probe):
    """Events of the whole machine in the window that move memory counts; the result's notes name them."""

    accompanies = True
    root: str | os.PathLike[str] = Path("/proc")
    metrics = (
        Metric(
            "interference",
            COUNT,
            Better.LOWER,
            Trust.BOUNDED,
            Cost.ON_REQUEST,
            help="events by which the machine may have spoilt the sample",
            source="/proc/vmstat, steal of /proc/stat",
            level=True,
        ),
    )

    def __init__(self) -> None:
        self._begin: dict[str, int] = {}
        self._end: dict[str, int] = {}
        self._reason = ""

    @classmethod
    def unavailable(cls) -> Mapping[str, str]:
        """Return the reason where the machine's counters are hidden."""
        probe = cls()
        probe.start()
        return {"interference": probe._reason} if probe._reason else {}

    def _counts(self) -> dict[str, int]:
        try:
            return machine_events(self.root)
        except OSError as error:
            self._reason = f"{error.filename} cannot be read ({error.strerror}): mount /proc"
            return {}

    def start(self) -> None:
        """Read the counters."""
        self._begin = self._counts()

    def stop(self) -> None:
        """Read the counters again."""
        self._end = self._counts()

    @property
    def notes(self) -> tuple[str, ...]:
        """What happened, one sentence for each kind of event."""
        return notes_on(growth(self._begin, self._end))

    def read(self, observation: Observation) -> Mapping[str, Reading | str]:
        """Return the number of events: those of other processes are among them."""
        if self._reason:
            return {"interference": self._reason}
        return {"interference": Reading(sum(self._end[name] - self._begin[name] for name in self._end))}
