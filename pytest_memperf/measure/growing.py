"""Where what a call leaks comes from: the lines that allocated it, and the types of objects that grow in number."""

from __future__ import annotations

import gc
import itertools
import linecache
import os
import sys
import tracemalloc
from collections import Counter
from collections.abc import Callable

import cyx
from pytest_memperf.model.units import format_size

LARGEST = 5
"""Lines and types that are told."""
FEW = 4
"""Blocks or objects that come and go."""
MOST_CALLS = 1_000
WARM_UP = 0.5
"""The share of the calls before those that are followed: what is made once comes then."""
_OURS = tuple(
    os.path.join(os.path.realpath(os.path.dirname(file)), "") for file in (cyx.__file__, os.path.dirname(__file__))
)


def growing(call: Callable[[], object], calls: int) -> list[str]:
    """Return the lines and the types of which the calls left more, as text, in a fork that ends afterwards.

    Args:
        call: what is repeated.
        calls: how often it was when the leak was found.
    """
    followed = max(1, min(calls, MOST_CALLS))
    _repeat(call, int(followed * WARM_UP))
    first = _types()
    before_types = _types()  # in which the first ones are counted, as these are in the next
    _repeat(call, followed)
    more = _types()
    for name in more:
        more[name] += first[name] - 2 * before_types[name]
    tracemalloc.start()
    _repeat(call, int(followed * WARM_UP))
    before = tracemalloc.take_snapshot()
    _repeat(call, followed)
    after = tracemalloc.take_snapshot()
    tracemalloc.stop()
    lines = [
        f"{at.filename}:{at.lineno}: {change.count_diff:,} blocks, {format_size(change.size_diff)}: "
        f"{linecache.getline(at.filename, at.lineno).strip()}"
        for change in sorted(after.compare_to(before, "lineno"), key=lambda each: -each.size_diff)
        for at in [change.traceback[0]]
        if change.count_diff > FEW or change.size_diff > sys.getsizeof([]) * followed
        if not at.filename.startswith((*_OURS, tracemalloc.__file__))
    ]
    objects = [f"{count:,} {name}" for name, count in more.most_common(LARGEST) if count > FEW]
    told = [f"lines whose memory grew, in {followed:,} calls more:", *(f"  {line}" for line in lines[:LARGEST])]
    if not lines:
        told = ["no line of Python allocated what grew: it is C's"]
    return [*told, f"objects that grew in number: {', '.join(objects) or 'none'}"]


def _repeat(call: Callable[[], object], times: int) -> None:
    for _ in itertools.repeat(None, times):
        call()
    if gc.isenabled():
        gc.collect()


def _types() -> Counter[str]:
    """Return the number of objects of each type: those that gc knows, and what these refer to."""
    known = gc.get_objects()
    others = {id(each): each for each in gc.get_referents(*known) if not gc.is_tracked(each)}
    return Counter(type(each).__qualname__ for each in itertools.chain(known, others.values()))
