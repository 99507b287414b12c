"""Where faults and peaks come from: a run of its own under line events, with the counters read between them.

The events themselves cost faults now and then, on both sides of a comparison alike: what counts is the difference. A
line that calls into C has what that takes, and one that calls a function what it takes itself after that returned, for
which no new line begins. From Python 3.12 events come from sys.monitoring (PEP 669), before from sys.settrace.
"""

from __future__ import annotations

import linecache
import os
import re
import resource
import sys
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from types import CodeType, FrameType
from typing import Any, TypeAlias

import cyx
from cyx.probes import procfs

_HEAD = re.compile(r"[0-9a-f]+-[0-9a-f]+ \S+ \S+ \S+ \d+ *(.*)$")
_TOOL = "pytest-memperf"
_OURS = os.path.join(os.path.realpath(os.path.dirname(cyx.__file__)), "")
LARGEST = 200
"""Lines that are kept."""
SMALLEST_STEP = 256 << 10
STEP = 0.05
"""Of the growth so far: by so much more, and bytes, has to be resident for another look at the mappings."""


@dataclass(slots=True)
class Attribution:
    """What a run's minor faults and its growth of resident memory are made of."""

    faults: dict[tuple[str, int], int] = field(default_factory=dict)
    """By file and line, of the thread that ran."""
    growth: dict[str, int] = field(default_factory=dict)
    """Bytes by mapping: a file's name, ``[heap]`` and its like, or ``anonymous``; from the start to the end."""
    peak: dict[tuple[str, int], int] = field(default_factory=dict)
    """Bytes by which the peak of resident memory rose, by file and line; empty where /proc keeps none."""
    growth_at_peak: dict[str, int] = field(default_factory=dict)
    """As ``growth``, from the start to the line after which most was resident, or one with nearly as much."""

    def as_json(self, shown: Callable[[str], str | None]) -> dict[str, Any]:
        """Return the largest parts as plain data, each line with its text.

        Args:
            shown: returns what to call a file; None for one whose lines are nobody's business.
        """
        return {
            "faults": _rows(self.faults, shown),
            "growth": dict(self.growth),
            "peak": _rows(self.peak, shown),
            "growth_at_peak": dict(self.growth_at_peak),
        }


def _rows(counts: Mapping[tuple[str, int], int], shown: Callable[[str], str | None]) -> list[list[Any]]:
    """Return file, line, text and count, the largest first."""
    lines = sorted(counts.items(), key=lambda each: -each[1])
    named = [[shown(file), line, linecache.getline(file, line).strip(), count] for (file, line), count in lines]
    return [each for each in named if each[0] is not None][:LARGEST]


@contextmanager
def attributed() -> Iterator[Attribution]:
    """Follow this thread line by line; the attribution is whole when the block is left."""
    found = Attribution()
    before = resident_by_mapping()
    counter = _Counter()
    counter.begin()
    try:
        with _monitoring(counter) if sys.version_info >= (3, 12) else _tracing(counter):
            yield found
    finally:
        counter.finish()
        found.faults, found.growth = _by_line(counter.faults), _growth(before, resident_by_mapping())
        found.peak, found.growth_at_peak = _by_line(counter.peaks), _growth(before, counter.at_peak or before)


def _growth(before: Mapping[str, int], after: Mapping[str, int]) -> dict[str, int]:
    # Of our own modules a run may be the first to use a part.
    growth = {name: after.get(name, 0) - before.get(name, 0) for name in {*before, *after} - {_TOOL}}
    return {name: size for name, size in growth.items() if size}


Place: TypeAlias = "tuple[CodeType, int] | None"


class _Counter:
    """Adds the faults since the last event, and what the peak has risen by, to the line that was begun there."""

    def __init__(self) -> None:
        self.faults: defaultdict[Place, int] = defaultdict(int)
        self.peaks: defaultdict[Place, int] = defaultdict(int)
        self.at_peak: Mapping[str, int] = {}
        self._thread = threading.get_ident()
        self._place: Place = None
        self._peak: int | None = None
        self._start = self._most = 0
        self._seen = 0

    def begin(self) -> None:
        """Begin with the peak of this moment."""
        with suppress(OSError):
            procfs.reset_peak()
            self._peak = procfs.high_water_mark()
            self._start = self._most = procfs.statm()[0]
        self._seen = _faults()

    def line(self, code: CodeType, number: int) -> None:
        """Take the event: the line begins."""
        if threading.get_ident() == self._thread:
            self._add()
            self._place = code, number

    def frame(self, frame: FrameType | None) -> None:
        """Take the event: the frame goes on, in the midst of a line; None where nothing calls the one that ended."""
        if frame is not None:
            self.line(frame.f_code, frame.f_lineno)

    def finish(self) -> None:
        """Take the end of the last line."""
        self._add()

    def _add(self) -> None:
        now = _faults()
        if now == self._seen:
            return
        self.faults[self._place] += now - self._seen
        if self._peak is not None:  # which without a fault does not rise
            peak = procfs.high_water_mark()
            if peak > self._peak:
                self.peaks[self._place] += peak - self._peak
                self._peak = peak
                self._look(procfs.statm()[0])
        self._seen = _faults()

    def _look(self, resident: int) -> None:
        """Keep what is resident now, where that is more than when it was kept last: by steps, for it takes a while."""
        if resident - self._most >= max(SMALLEST_STEP, STEP * (self._most - self._start)):
            self._most = resident
            self.at_peak = resident_by_mapping()


def _by_line(counts: Mapping[Place, int]) -> dict[tuple[str, int], int]:
    """Return the lines that had any, by file and number."""
    return {(place[0].co_filename, place[1]): count for place, count in counts.items() if place and count}


def _faults() -> int:
    return resource.getrusage(resource.RUSAGE_THREAD).ru_minflt


@contextmanager
def _monitoring(counter: _Counter) -> Iterator[None]:
    monitoring: Any = sys.monitoring  # type: ignore[attr-defined,unused-ignore]
    events = monitoring.events

    def resumed(*_: object) -> None:
        counter.frame(sys._getframe(1))

    def left(*_: object) -> None:
        counter.frame(sys._getframe(1).f_back)

    callbacks = {
        events.LINE: counter.line,
        events.PY_RESUME: resumed,
        events.PY_RETURN: left,
        events.PY_YIELD: left,
        events.PY_UNWIND: left,
    }
    tool = next(number for number in range(6) if monitoring.get_tool(number) is None)
    monitoring.use_tool_id(tool, _TOOL)
    for event, callback in callbacks.items():
        monitoring.register_callback(tool, event, callback)
    monitoring.set_events(tool, sum(callbacks))
    try:
        yield
    finally:
        monitoring.set_events(tool, 0)
        for event in callbacks:
            monitoring.register_callback(tool, event, None)
        monitoring.free_tool_id(tool)


@contextmanager
def _tracing(counter: _Counter) -> Iterator[None]:
    def trace(frame: FrameType, event: str, _: Any) -> Callable[..., Any]:
        if event == "return":
            counter.frame(frame.f_back)
        elif event != "exception":
            counter.frame(frame)
        return trace

    former = sys.gettrace()
    frame, running = sys._getframe().f_back, []
    while frame is not None:  # those that run already are asked one by one
        running.append((frame, frame.f_trace))
        frame.f_trace = trace
        frame = frame.f_back
    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(former)
        for frame, its_former in running:
            frame.f_trace = its_former


def _mapping_named(path: str) -> str:
    """Return what a mapping is called, all of our modules by one name."""
    if path.startswith(_OURS):
        return _TOOL
    return os.path.basename(path) if path.startswith("/") else path or "anonymous"


def resident_by_mapping() -> Mapping[str, int]:
    """Return the bytes of this process that are resident, by what is mapped; see proc_pid_smaps(5)."""
    found: defaultdict[str, int] = defaultdict(int)
    name = ""
    try:
        with open("/proc/self/smaps", encoding="utf-8", errors="replace") as smaps:
            for line in smaps:
                head = _HEAD.match(line)
                if head:
                    name = _mapping_named(head[1])
                elif line.startswith("Rss:"):
                    found[name] += int(line.split()[1]) * 1024
    except OSError:
        return {}
    return found
