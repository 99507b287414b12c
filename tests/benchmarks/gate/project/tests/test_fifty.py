"""Fifty tests: thirty that repeat, twenty that do not."""

from __future__ import annotations

import fifty
import pytest

pytestmark = pytest.mark.memperf

STEADY = {
    "touch": (fifty.touch, 500),
    "touch_many": (fifty.touch, 5_000),
    "hold": (fifty.hold, 4_000_000),
    "json_objects": (fifty.json_objects, 8_000),
    "json_dumps": (fifty.json_dumps, 20_000),
    "dictionary": (fifty.dictionary, 50_000),
    "integers": (fifty.integers, 200_000),
    "floats": (fifty.floats, 200_000),
    "strings": (fifty.strings, 50_000),
    "joined": (fifty.joined, 30_000),
    "tuples": (fifty.tuples, 50_000),
    "sets": (fifty.sets, 5_000),
    "sorted_copy": (fifty.sorted_copy, 100_000),
    "heap": (fifty.heap, 20_000),
    "counted": (fifty.counted, 60_000),
    "grouped": (fifty.grouped, 80_000),
    "ordered": (fifty.ordered, 40_000),
    "queue": (fifty.queue, 80_000),
    "table": (fifty.table, 10_000),
    "pickled": (fifty.pickled, 20_000),
    "compressed": (fifty.compressed, 2_000_000),
    "encoded": (fifty.encoded, 3_000_000),
    "matched": (fifty.matched, 20_000),
    "replaced": (fifty.replaced, 2_000_000),
    "split": (fifty.split, 300_000),
    "formatted": (fifty.formatted, 10_000),
    "bisected": (fifty.bisected, 15_000),
    "objects": (fifty.objects, 40_000),
    "closures": (fifty.closures, 30_000),
    "generator": (fifty.generator, 300_000),
}
CHANGING = {
    **{f"random_dictionary_{n}": (fifty.random_dictionary, n * 10_000) for n in (1, 2, 3, 4)},
    **{f"random_bytes_{n}": (fifty.random_bytes, n * 1_000_000) for n in (1, 2, 3, 4)},
    **{f"threads_{n}": (fifty.threads, n, 1_000) for n in (2, 3, 4, 5)},
    **{f"waiting_{n}": (fifty.waiting, n / 100) for n in (1, 2, 3, 4)},
    **{f"until_{n}": (fifty.until, n / 100) for n in (1, 2, 3)},
    "spin": (fifty.spin, 400_000),
}


@pytest.mark.parametrize("work", STEADY.values(), ids=STEADY.keys())
def test_steady(work):
    """The same work gives the same counts."""
    function, *arguments = work
    function(*arguments)


@pytest.mark.parametrize("work", CHANGING.values(), ids=CHANGING.keys())
def test_changing(work):
    """Chance, time or threads have a part in it."""
    function, *arguments = work
    function(*arguments)
