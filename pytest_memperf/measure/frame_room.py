"""Room on CPython's frame stack, so that a measured call does not fault because of where it happens to start."""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import Any, TypeVar

from cyx.probes import Interval, touch_free_slots
from pytest_memperf.measure.conditions import CONDITIONS

__tracebackhide__ = True  # pytest shows what the measured function does
T = TypeVar("T")

INLINE_SLOTS = 900
"""Slots in memory below an inline window: some 60 ordinary calls. A frame of as many always fits a fresh chunk."""
CHILD_SLOTS = 5000
"""Slots of the frame through which a child calls its test: wider than any chunk, so always in one of its own."""
CHILD_ROOM = 2500
"""Slots in memory beyond it."""


def _call_with_room(room: int, function: Callable[..., Any], *arguments: Any) -> Any:
    touch_free_slots(room)
    return function(*arguments)


def _widened(function: Any, slots: int) -> Any:
    """Return a copy of a function that has no closure, with a frame of that many slots."""
    code = function.__code__
    names = (*code.co_varnames, *["slot"] * (slots - code.co_nlocals))  # one name: thousands would fill 400 KiB
    return FunctionType(code.replace(co_varnames=names, co_nlocals=len(names)), function.__globals__)


_in_fresh_chunk = _widened(_call_with_room, INLINE_SLOTS)
_in_wide_chunk = _widened(_call_with_room, CHILD_SLOTS)


def in_chunk_of_its_own(function: Callable[..., T], *arguments: Any) -> T:
    """Call the function through a frame wider than any chunk: it starts at the same place of a chunk every time."""
    return _in_wide_chunk(CHILD_ROOM, function, *arguments)  # type: ignore[no-any-return]


def with_frame_room(function: Callable[..., T], *arguments: Any) -> T:
    """Call the function with ``INLINE_SLOTS`` slots of the frame stack in memory; in a child, see above.

    Within an open interval a chunk of its own would show in that one's peak.
    """
    if CONDITIONS.wide_frames and not Interval.is_nested():
        return in_chunk_of_its_own(function, *arguments)
    if touch_free_slots(INLINE_SLOTS):
        return function(*arguments)
    return _in_fresh_chunk(INLINE_SLOTS, function, *arguments)  # type: ignore[no-any-return]
