"""One file in four processes: mapped by all of them it is in memory once, copied by each of them four times.

``pss``, the proportional set size, divides each page by the number of processes that have it. See README.md.
"""

from __future__ import annotations

import mmap
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from cyx import patterns

MIB = 1024 * 1024
SIZE = int(os.environ.get("SHARED_MAPPING_MIB", "64")) * MIB
OTHERS = 3  # processes beside this one
# What a process does beside holding the file: buffers of its interpreter, pages that end to be shared meanwhile.
SLACK = SIZE // 50 + 2 * MIB


class Reader:
    """Another process, which has read the file once ``read`` returns."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._expect()
        self._idle = self._pss()

    def read(self) -> int:
        """Have it go through the file; return the sum of the first byte of each page."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return int(self._expect())

    @property
    def grown(self) -> int:
        """The bytes by which its proportional set size has grown since it started."""
        return self._pss() - self._idle

    def _pss(self) -> int:
        return int(psutil.Process(self._process.pid).memory_full_info().pss)

    def _expect(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"the reader ended with {self._process.wait()}"
        return line


@contextmanager
def readers(way: str, path: Path) -> Iterator[list[Reader]]:
    """Start the other processes, and end them."""
    command = [sys.executable, str(Path(__file__).with_name("reader.py")), way, str(path)]
    with ExitStack() as stack:
        processes = [
            stack.enter_context(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
            for _ in range(OTHERS)
        ]  # each ends when its standard input is closed, at the end of the with statement
        yield [Reader(process) for process in processes]


@pytest.mark.memperf(metrics=["pss"])
def test_a_mapping_is_there_once(memperf: Any, mapped_file: Any) -> None:
    """Every process has the whole file in its resident set, and together they have one copy."""
    file = mapped_file(SIZE, cache="warm")
    with readers("map", file.path) as others:
        with memperf.window("before", metrics=["pss"]) as before:
            pass
        with memperf.window("alone", metrics=["pss"], min_retained_rss=SIZE - SLACK) as alone:
            answer = patterns.touch(file, mmap.PAGESIZE).checksum
        assert [each.read() for each in others] == [answer] * OTHERS
        with memperf.window("shared", metrics=["pss"], max_minor_faults=64, max_retained_rss=SLACK) as shared:
            patterns.touch(file, mmap.PAGESIZE)
        in_the_others = sum(each.grown for each in others)

    memperf.record("alone", alone.pss - before.pss, unit="B", min=SIZE - SLACK, max=SIZE + SLACK)
    share = shared.pss - before.pss
    memperf.record("share_of_one", share, unit="B", max=SIZE // (1 + OTHERS) + SLACK)
    memperf.record("all_together", share + in_the_others, unit="B", min=SIZE - SLACK, max=SIZE + 4 * SLACK)


def test_copies_add_up(memperf: Any, mapped_file: Any) -> None:
    """Where each process reads the file into memory of its own, each has a copy."""
    file = mapped_file(SIZE, cache="warm")
    with readers("copy", file.path) as others:
        answers = {each.read() for each in others}
        in_the_others = sum(each.grown for each in others)

    assert answers == {patterns.touch(file, mmap.PAGESIZE).checksum}
    memperf.record("all_together", in_the_others, unit="B", min=OTHERS * (SIZE - SLACK))
