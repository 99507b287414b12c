"""Room on CPython's frame stack, so that a measured call does not fault because of where it happens to start."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from cyx.probes import touch_free_slots

T = TypeVar("T")

INLINE_SLOTS = 900
"""Slots in memory below an inline window: some 60 ordinary calls. A frame of as many always fits a fresh chunk."""
CHILD_SLOTS = 5000
"""Slots of the frame through which a child calls its test: wider than any chunk, so always in one of its own."""
CHILD_ROOM = 2500
"""Slots in memory beyond it."""


def _frame_of(slots: int, room: int) -> Callable[..., Any]:
    """Return a function whose frame takes that many slots; it touches the room beyond and calls its first argument."""

    def call_with_room(function: Callable[..., Any], *arguments: Any) -> Any:
        touch_free_slots(room)
        return function(*arguments)

    code = call_with_room.__code__
    names = (*code.co_varnames, *(f"slot{number}" for number in range(slots - len(code.co_varnames))))
    call_with_room.__code__ = code.replace(co_varnames=names, co_nlocals=len(names))
    return call_with_room


_in_fresh_chunk = _frame_of(INLINE_SLOTS, INLINE_SLOTS)
in_chunk_of_its_own = _frame_of(CHILD_SLOTS, CHILD_ROOM)


def with_frame_room(function: Callable[..., T], *arguments: Any) -> T:
    """Call the function with ``INLINE_SLOTS`` slots of the frame stack in memory."""
    if touch_free_slots(INLINE_SLOTS):
        return function(*arguments)
    return _in_fresh_chunk(function, *arguments)  # type: ignore[no-any-return]
