"""Whatever a caller gives, a kernel ends in a Transfer or in one of the documented exceptions, and never in a crash."""

from __future__ import annotations

import contextlib
import mmap
import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cyx import patterns
from cyx.patterns import Transfer

pytestmark = pytest.mark.fuzz

DOCUMENTED = (TypeError, ValueError, OSError, MemoryError)

numbers: st.SearchStrategy[Any] = st.one_of(
    st.integers(0, 70),
    st.integers(-3, 300),
    st.sampled_from([2**31, 2**32, 2**62, 2**63 - 1, 2**63, 2**64 - 1, 2**64, -(2**63), mmap.PAGESIZE]),
    st.floats(),
    st.sampled_from([None, True, False, "8", b"8", [], np.int64(8), np.uint8(3), np.float64(2)]),
)
# A few sizes, so that operands agree often; at odd addresses, overlapping, read-only, of other types, or no memory.
shared = memoryview(bytearray(600))
memories = st.one_of(
    st.builds(lambda size: bytearray(8 * size), st.sampled_from([0, 1, 8, 9])),
    st.builds(lambda size: os.urandom(8 * size), st.sampled_from([0, 1, 8, 9])),
    st.builds(lambda begin, size: shared[begin : begin + 8 * size], st.integers(0, 80), st.sampled_from([1, 8, 9])),
    st.builds(lambda size: np.arange(size) % 8, st.sampled_from([0, 1, 8, 9])),
    st.builds(lambda size: np.zeros(size, np.float64), st.sampled_from([1, 8, 9])),
    st.builds(lambda size: mmap.mmap(-1, size), st.sampled_from([64, 72, 5000])),
    st.builds(lambda size: mmap.mmap(-1, size, prot=0), st.sampled_from([64, 72])),
    st.builds(lambda: np.zeros((8, 8))[:, 1]),
    st.builds(lambda size: np.zeros(size, object), st.sampled_from([0, 1, 8, 9])),
    st.builds(lambda size: bytearray(size), st.integers(0, 70)),
    st.sampled_from([None, 3, -1, 10**6, "text", True, object(), [1, 2], np.zeros(3, "M8[s]"), np.array(5)]),
)
common = st.fixed_dictionaries(
    {},
    optional={
        "offset": st.one_of(st.integers(0, 16), numbers),
        "length": st.one_of(st.none(), st.integers(0, 64), numbers),
        "threads": st.one_of(st.integers(1, 3), st.sampled_from([0, -1, 1025, 2**64, None, "2"])),
        "first_touch": st.sampled_from([True, False, None, 1]),
        "passes": st.one_of(st.integers(1, 3), st.sampled_from([0, -1, 2**64, None])),
    },
)
small = st.one_of(st.integers(0, 100), st.sampled_from([-1, 2**64, None, 1.5]))  # of what takes time
draws = st.fixed_dictionaries(
    {},
    optional={
        "unit": numbers,
        "repeat": st.sampled_from([True, False, None]),
        "distribution": st.sampled_from(["uniform", "zipf", "normal", None]),
        "skew": st.one_of(st.floats(0.01, 5), numbers),
    },
)


@pytest.fixture(scope="module")
def file() -> Iterator[int]:
    """Return a descriptor to read from."""
    descriptor = os.memfd_create("content")
    os.write(descriptor, bytes(5000))
    yield descriptor
    os.close(descriptor)


KERNELS: dict[str, tuple[Callable[..., Transfer], list[Any]]] = {
    "scan": (patterns.scan, [memories]),
    "write": (patterns.write, [memories, numbers]),
    "fill": (patterns.fill, [memories, numbers, numbers]),
    "copy": (patterns.copy, [memories, memories]),
    "scale": (patterns.scale, [memories, memories, numbers]),
    "add": (patterns.add, [memories, memories, memories]),
    "triad": (patterns.triad, [memories, memories, memories, numbers]),
    "write_nontemporal": (patterns.write_nontemporal, [memories, numbers]),
    "copy_nontemporal": (patterns.copy_nontemporal, [memories, memories]),
    "touch": (patterns.touch, [memories, numbers]),
    "touch_write": (patterns.touch_write, [memories, numbers, numbers]),
    "gather": (patterns.gather, [memories, memories, memories]),
    "scatter": (patterns.scatter, [memories, memories, memories]),
    "count": (patterns.count, [memories, numbers]),
    "find_lines": (patterns.find_lines, [memories, numbers]),
    "checksum": (patterns.checksum, [memories]),
    "read_blocks": (patterns.read_blocks, [memories, small, numbers]),
}


@pytest.mark.parametrize("name", KERNELS)
@given(data=st.data())
def test_kernels(name: str, data: st.DataObject, file: int) -> None:
    """Any operands, arguments and extents."""
    kernel, strategies = KERNELS[name]
    arguments = [data.draw(strategy) for strategy in strategies]
    if name in ("scan", "touch", "read_blocks") and data.draw(st.booleans()):
        arguments[0] = file
    rest = data.draw(common)
    with contextlib.suppress(*DOCUMENTED):
        transfer = kernel(*arguments, **rest)
        assert transfer.elapsed_ns >= 0


@given(memories, small, numbers, common, draws)
def test_touch_random(memory: Any, count: Any, seed: Any, rest: dict[str, Any], how: dict[str, Any]) -> None:
    """Any distribution."""
    with contextlib.suppress(*DOCUMENTED):
        transfer = patterns.touch_random(memory, count, seed, **rest, **how)
        assert transfer.accesses == count * rest.get("passes", 1)


@given(memories, numbers, numbers, numbers, common, small, numbers, st.lists(numbers, max_size=3))
def test_cycles(
    memory: Any, node: Any, place: Any, seed: Any, rest: dict[str, Any], steps: Any, chains: Any, spoilt: list[Any]
) -> None:
    """Any nodes, and memory that is written to before the pointers are followed."""
    rest.pop("passes", None)
    with contextlib.suppress(*DOCUMENTED):
        cycle = patterns.Cycle(memory, node, place, seed, **rest)
        for number in spoilt:
            if isinstance(number, int) and 0 <= number < 2**64:
                patterns.write(memory, number, length=8)
        cycle.chase(steps, chains)
        cycle.verify()
