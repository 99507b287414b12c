"""Room on the frame stack: a call faults for what it does, not for where it starts."""

from __future__ import annotations

import sys

import pytest

from cyx.probes import Interval
from pytest_memperf.measure.frame_room import in_chunk_of_its_own, with_frame_room


def at_depth(depth: int, function, *arguments):  # type: ignore[no-untyped-def]
    """Call the function this many frames further down."""
    return at_depth(depth - 1, function, *arguments) if depth else function(*arguments)


def nothing() -> None:
    """Do nothing."""


def faults_of_nothing() -> int:
    """Return the faults of one empty call."""
    interval = Interval()
    interval.call(nothing)
    return interval.minor_faults


@pytest.mark.parametrize("room", [with_frame_room, in_chunk_of_its_own])
def test_result_and_arguments(room) -> None:  # type: ignore[no-untyped-def]
    """The function gets its arguments, and its result comes back."""
    assert room(divmod, 7, 2) == (3, 1)


@pytest.mark.parametrize("room", [with_frame_room, in_chunk_of_its_own])
def test_exception(room) -> None:  # type: ignore[no-untyped-def]
    """An exception travels on unchanged."""
    with pytest.raises(ZeroDivisionError):
        room(divmod, 1, 0)


@pytest.mark.parametrize("room", [with_frame_room, in_chunk_of_its_own])
def test_no_fault_at_any_depth(room) -> None:  # type: ignore[no-untyped-def]
    """With room, an empty call takes no fault at any of 600 depths."""
    faulting = [depth for depth in range(600) if at_depth(depth, room, faults_of_nothing)]
    # The kernel may take a page of code back meanwhile; a frame that has no room faults every time.
    assert [depth for depth in faulting if at_depth(depth, room, faults_of_nothing)] == []


@pytest.mark.skipif(sys.version_info < (3, 11), reason="CPython 3.10 keeps its frames on the heap: use 3.11 or newer")
def test_without_room_some_depth_faults() -> None:
    """Without room, a call that enters a new chunk takes a fault: what the module is for."""
    assert max(at_depth(depth, faults_of_nothing) for depth in range(600)) > 0


@pytest.mark.parametrize("bound", [True, False])
def test_first_calls_do_not_fault(bound: bool) -> None:
    """Not one of 2,000 functions or methods takes a fault in its first call, wherever its frame is kept."""
    classes: dict[str, type] = {}
    exec("\n".join(f"class Class{number}:\n  def method(self): pass" for number in range(2000)), {}, classes)
    instances = [each() for each in classes.values()]
    intervals = [Interval() for _ in instances]
    for interval, instance in zip(intervals, instances, strict=True):
        if bound:
            with_frame_room(interval.call, instance.method)
        else:
            with_frame_room(interval.call, type(instance).method, (instance,))

    assert {interval.minor_faults for interval in intervals} == {0}
