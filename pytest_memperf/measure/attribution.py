"""Where faults come from: a run of its own under line events, with the thread's counter read between them.

The events themselves cost faults now and then, on both sides of a comparison alike: what counts is the difference. A
line that calls into C has what that takes. From Python 3.12 events come from sys.monitoring (PEP 669), before from
sys.settrace.
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
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import CodeType, FrameType
from typing import Any

_HEAD = re.compile(r"[0-9a-f]+-[0-9a-f]+ \S+ \S+ \S+ \d+ *(.*)$")
_TOOL = "pytest-memperf"
LARGEST = 200
"""Lines that are kept."""


@dataclass(slots=True)
class Attribution:
    """What a run's minor faults and its growth of resident memory are made of."""

    faults: dict[tuple[str, int], int] = field(default_factory=dict)
    """By file and line, of the thread that ran."""
    growth: dict[str, int] = field(default_factory=dict)
    """Bytes by mapping: a file's name, ``[heap]`` and its like, or ``anonymous``; from the start to the end."""

    def as_json(self, shown: Callable[[str], str | None]) -> dict[str, Any]:
        """Return the largest parts as plain data, each line with its text.

        Args:
            shown: returns what to call a file; None for one whose lines are nobody's business.
        """
        lines = sorted(self.faults.items(), key=lambda each: -each[1])
        named = [(shown(file), line, linecache.getline(file, line).strip(), count) for (file, line), count in lines]
        return {"faults": [[*each] for each in named if each[0] is not None][:LARGEST], "growth": dict(self.growth)}


@contextmanager
def attributed() -> Iterator[Attribution]:
    """Follow this thread line by line; the attribution is whole when the block is left."""
    found = Attribution()
    before = resident_by_mapping()
    counter = _Counter()
    try:
        with _monitoring(counter) if sys.version_info >= (3, 12) else _tracing(counter):
            yield found
    finally:
        counter.finish()
        found.faults, found.growth = counter.by_line(), _growth(before, resident_by_mapping())


def _growth(before: Mapping[str, int], after: Mapping[str, int]) -> dict[str, int]:
    growth = {name: after.get(name, 0) - before.get(name, 0) for name in {*before, *after}}
    return {name: size for name, size in growth.items() if size}


class _Counter:
    """Adds the faults since the last event to the line that was begun there."""

    def __init__(self) -> None:
        self.counts: defaultdict[tuple[CodeType, int] | None, int] = defaultdict(int)
        self._thread = threading.get_ident()
        self._place: tuple[CodeType, int] | None = None
        self._seen = _faults()

    def line(self, code: CodeType, number: int) -> None:
        """Take the event: the line begins."""
        if threading.get_ident() == self._thread:
            now = _faults()
            if now != self._seen:
                self.counts[self._place] += now - self._seen
            self._place = code, number
            self._seen = _faults()

    def finish(self) -> None:
        """Take the end of the last line."""
        self.counts[self._place] += _faults() - self._seen

    def by_line(self) -> dict[tuple[str, int], int]:
        """Return the lines that had any, by file and number."""
        return {(place[0].co_filename, place[1]): count for place, count in self.counts.items() if place and count}


def _faults() -> int:
    return resource.getrusage(resource.RUSAGE_THREAD).ru_minflt


@contextmanager
def _monitoring(counter: _Counter) -> Iterator[None]:
    monitoring: Any = sys.monitoring  # type: ignore[attr-defined,unused-ignore]
    tool = next(number for number in range(6) if monitoring.get_tool(number) is None)
    monitoring.use_tool_id(tool, _TOOL)
    monitoring.register_callback(tool, monitoring.events.LINE, counter.line)
    monitoring.set_events(tool, monitoring.events.LINE)
    try:
        yield
    finally:
        monitoring.set_events(tool, 0)
        monitoring.free_tool_id(tool)


@contextmanager
def _tracing(counter: _Counter) -> Iterator[None]:
    def trace(frame: FrameType, event: str, _: Any) -> Callable[..., Any]:
        if event == "line":
            counter.line(frame.f_code, frame.f_lineno)
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


def resident_by_mapping() -> Mapping[str, int]:
    """Return the bytes of this process that are resident, by what is mapped; see proc_pid_smaps(5)."""
    found: defaultdict[str, int] = defaultdict(int)
    name = ""
    try:
        with open("/proc/self/smaps", encoding="utf-8", errors="replace") as smaps:
            for line in smaps:
                head = _HEAD.match(line)
                if head:
                    name = os.path.basename(head[1]) if head[1].startswith("/") else head[1] or "anonymous"
                elif line.startswith("Rss:"):
                    found[name] += int(line.split()[1]) * 1024
    except OSError:
        return {}
    return found
