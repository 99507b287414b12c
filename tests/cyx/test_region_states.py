"""Regions under whatever calls, in whatever order: contents as expected, documented exceptions, nothing left behind."""

from __future__ import annotations

import contextlib
import mmap
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from cyx.region import ADVICE, KINDS, PROTECTIONS, Region

pytestmark = pytest.mark.fuzz

PAGE = mmap.PAGESIZE
MOST = 12 * PAGE
KEEPS_CONTENTS = sorted(
    set(ADVICE) - {"dontneed", "dontneed_locked", "free", "remove", "guard_install", "guard_remove", "wipeonfork"}
)
LOSES_CONTENTS = ["dontneed", "dontneed_locked", "remove"]


class Regions(RuleBasedStateMachine):
    """A region beside the bytes that it should hold."""

    @initialize(kind=st.sampled_from(["anonymous", "memfd", "thp"]), size=st.integers(1, MOST), shared=st.booleans())
    def begin(self, kind: str, size: int, shared: bool) -> None:
        """Make it."""
        self.region = Region(size, kind=kind, shared=shared)
        self.expected = bytearray(size)
        self.views: list[memoryview] = []

    def is_open(self) -> bool:
        """Tell whether the region can be used."""
        return hasattr(self, "region") and not self.region.closed

    @precondition(is_open)
    @rule()
    def look(self) -> None:
        """Take a view, unless the region is protected."""
        with contextlib.suppress(BufferError):
            self.views.append(memoryview(self.region))

    @rule()
    def look_away(self) -> None:
        """Let the last view go."""
        if getattr(self, "views", None):
            self.views.pop().release()

    @precondition(is_open)
    @rule(place=st.integers(0, MOST), value=st.integers(1, 255))
    def write(self, place: int, value: int) -> None:
        """Write a byte through a view."""
        if self.views and not self.views[-1].readonly and place < len(self.expected):
            self.views[-1][place] = value
            self.expected[place] = value

    @precondition(is_open)
    @rule(advice=st.sampled_from(KEEPS_CONTENTS), offset=st.integers(-1, 14), length=st.none() | st.integers(-1, MOST))
    def advise(self, advice: str, offset: int, length: int | None) -> None:
        """Give advice, which the kernel may refuse."""
        with contextlib.suppress(OSError, ValueError):
            self.region.advise(advice, offset * PAGE, length)

    @precondition(is_open)
    @rule(advice=st.sampled_from(LOSES_CONTENTS))
    def drop(self, advice: str) -> None:
        """Drop what is there; shared memory keeps it, unless it is removed."""
        try:
            self.region.advise(advice)
        except OSError:
            return
        if advice == "remove" or not self.region.shared:
            self.expected[:] = bytes(len(self.expected))

    @precondition(is_open)
    @rule(rights=st.sampled_from(sorted(PROTECTIONS)))
    def protect(self, rights: str) -> None:
        """Change the rights; refused exactly while something looks."""
        try:
            self.region.protect(rights)
        except BufferError:
            assert self.views
        else:
            assert not self.views

    @precondition(is_open)
    @rule(size=st.integers(0, MOST))
    def resize(self, size: int) -> None:
        """Change the size; refused exactly while something looks, or where it is none."""
        former = self.region.mapped
        try:
            self.region.resize(size)
        except BufferError:
            assert self.views
        except ValueError:
            assert size == 0 or (self.region.shared and self.region.kind != "memfd")
        except OSError:  # guarded, locked beyond the limit or grown where the kernel grows nothing
            assert self.region.mapped == former
        else:
            assert not self.views
            kept = self.expected[:size]
            if size > len(kept):  # what lay beyond the end within the last page was never written
                kept += bytes(size - len(kept))
            self.expected = kept

    @precondition(is_open)
    @rule(act=st.sampled_from(["lock", "unlock", "sync", "populate", "collapse", "usage", "map"]))
    def act(self, act: str) -> None:
        """Do what changes no contents."""
        with contextlib.suppress(OSError):
            getattr(self.region, act)()

    @precondition(is_open)
    @rule()
    def close(self) -> None:
        """Close it; refused exactly while something looks."""
        try:
            self.region.close()
        except BufferError:
            assert self.views
        else:
            assert not self.views

    @precondition(is_open)
    @rule()
    def discard(self) -> None:
        """Give the memory back under whoever looks: they find zeros."""
        self.region.discard()
        assert all(not any(view) for view in self.views)

    @precondition(is_open)
    @rule()
    def contents(self) -> None:
        """Compare."""
        with contextlib.suppress(BufferError), memoryview(self.region) as view:
            assert view == self.expected

    def teardown(self) -> None:
        """Let everything go."""
        for view in getattr(self, "views", []):
            view.release()
        if hasattr(self, "region"):
            self.region.close()


Regions.TestCase.settings = settings(stateful_step_count=40)
TestRegions = Regions.TestCase

ANYTHING = st.none() | st.integers() | st.text(max_size=5) | st.floats() | st.binary(max_size=3)
SIZES = st.sampled_from([0, 1, PAGE - 1, PAGE, PAGE + 1, 2**31, 2**40, 2**47, 2**62, 2**62 + 1, 2**64, -1])


@pytest.mark.usefixtures("no_garbage")
@given(
    size=SIZES | st.integers(1, MOST) | ANYTHING,
    keywords=st.fixed_dictionaries(
        {},
        optional={
            "kind": st.sampled_from(KINDS) | ANYTHING,
            "fd": st.integers(-2, 5) | ANYTHING,
            "offset": st.sampled_from([0, 1, PAGE, 2**63, -PAGE]) | ANYTHING,
            "shared": st.booleans(),
            "writable": st.booleans(),
            "page_size": st.sampled_from([2 << 20, 1 << 30, PAGE, 0]) | ANYTHING,
        },
    ),
)
def test_any_arguments(size: Any, keywords: dict[str, Any]) -> None:
    """A region, or one of two exceptions: nothing crashes, nothing stays open."""
    before = len(os.listdir("/proc/self/fd"))
    with contextlib.suppress(ValueError, OSError):
        Region(size, **keywords).close()
    assert len(os.listdir("/proc/self/fd")) <= before


@given(
    kind=st.sampled_from(["anonymous", "memfd", "thp", "file"]),
    shared=st.booleans(),
    method=st.sampled_from(
        ["advise", "protect", "resize", "populate", "sync", "lock", "unlock", "collapse", "forget", "readahead", "drop"]
    ),
    arguments=st.lists(st.sampled_from([*ADVICE, *PROTECTIONS, PAGE, 2 * PAGE]) | SIZES | ANYTHING, max_size=3),
)
def test_any_act(tmp_path: Path, kind: str, shared: bool, method: str, arguments: list[Any]) -> None:
    """Whatever an act is given, it is done or refused, and the region can be closed."""
    file = tmp_path / "file"
    file.write_bytes(bytes(3 * PAGE))
    with open(file, "r+b") as opened:
        which = {"fd": opened.fileno()} if kind == "file" else {}
        with Region(3 * PAGE, kind=kind, shared=shared, **which) as region:
            with contextlib.suppress(TypeError, ValueError, OverflowError, OSError):
                getattr(region, method)(*arguments)
            with contextlib.suppress(BufferError), memoryview(region) as view:  # none of guarded pages
                assert len(view) == len(region)
                assert view[0] == 0
