"""The pointer chase: one cycle through all nodes, followed step by step."""

from __future__ import annotations

import mmap
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cyx import patterns

Memory = np.ndarray[Any, np.dtype[np.uint8]]


def follow(memory: Memory, begin: int, steps: int) -> int:
    """Return the offset that so many steps lead to, in plain Python."""
    at = begin
    for _ in range(steps):
        at = int.from_bytes(memory[at : at + 8].tobytes(), "little") - memory.ctypes.data
    return at


def cycle_from(memory: Memory, begin: int) -> list[int]:
    """Return the offsets of the pointers from this one on, until they come back to it."""
    offsets = [begin]
    while (after := follow(memory, offsets[-1], 1)) != begin:
        offsets.append(after)
        assert len(offsets) <= memory.size
    return offsets


@st.composite
def layouts(draw: st.DrawFn) -> tuple[int, int, int, int]:
    """Draw a node size, a place in it, a number of nodes, and bytes that do not fill another one."""
    node = draw(st.integers(8, 200))
    return node, draw(st.integers(0, node - 8)), draw(st.integers(1, 300)), draw(st.integers(0, node - 1))


@given(layouts(), st.integers(0, 2**64 - 1), st.integers(1, 4))
@settings(deadline=None)
def test_one_cycle_leads_through_all_nodes(layout: tuple[int, int, int, int], seed: int, threads: int) -> None:
    """Each node is reached once, by pointers at the place that was asked for; the rest of the memory stays."""
    node, place, nodes, rest = layout
    memory = np.full(nodes * node + rest, 0xAA, np.uint8)
    cycle = patterns.Cycle(memory, node, place, seed, threads=threads)
    cycle.verify()

    assert (cycle.nodes, cycle.node, cycle.place) == (nodes, node, place)
    assert sorted(cycle_from(memory, place)) == [i * node + place for i in range(nodes)]
    between = np.ones(memory.size, bool)
    for i in range(nodes):
        between[i * node + place : i * node + place + 8] = False
    assert np.all(memory[between] == 0xAA)


@given(st.integers(1, 100), st.integers(0, 250), st.integers(1, 16), st.integers(1, 3))
@settings(deadline=None)
def test_chains_are_followed(nodes: int, steps: int, chains: int, threads: int) -> None:
    """Chains begin at even distances along the cycle; the checksum is the sum of the offsets where they end."""
    memory = np.zeros(nodes * 16, np.uint8)
    cycle = patterns.Cycle(memory, 16, 8, seed=3)
    (begin,) = {cycle.chase(0).checksum}
    transfer = cycle.chase(steps, chains, threads=threads)

    count = chains * threads
    begins = [follow(memory, begin, nodes * i // count) for i in range(count)]
    assert transfer.checksum == sum(follow(memory, at, steps) for at in begins)
    assert (transfer.accesses, transfer.bytes) == (steps * count, 8 * steps * count)


def test_the_order_is_that_of_the_seed() -> None:
    """One seed, one order, wherever the memory lies; another seed, another one."""
    memories = [np.zeros(64 * 1000, np.uint8) for _ in range(3)]
    for memory, seed in zip(memories, (1, 1, 2), strict=True):
        patterns.Cycle(memory, seed=seed)
    orders = [cycle_from(memory, 0) for memory in memories]

    assert orders[0] == orders[1] != orders[2]


def test_the_order_is_random() -> None:
    """Steps are as long as those between random nodes, and no distance comes often: nothing to foresee."""
    memory = np.zeros(8 * 4096, np.uint8)
    patterns.Cycle(memory, 8, seed=5)
    order = np.array(cycle_from(memory, 0)) // 8
    distances = np.diff(order)

    assert 0.9 < np.mean(np.abs(distances)) / (4096 / 3) < 1.1
    assert np.bincount(distances + 4096).max() <= 12
    assert abs(np.corrcoef(distances[:-1], distances[1:])[0, 1] + 0.5) < 0.1  # as for independent nodes


def test_an_extent() -> None:
    """The nodes lie where offset and length say."""
    memory = np.zeros(1000, np.uint8)
    cycle = patterns.Cycle(memory, 16, offset=100, length=160)
    cycle.verify()

    assert cycle.nodes == 10
    assert sorted(cycle_from(memory, 100)) == list(range(100, 260, 16))
    assert not memory[:100].any()
    assert not memory[260:].any()
    assert 0 <= cycle.chase(7).checksum < 160


class TestDamage:
    """Whoever changes the memory gets an exception."""

    @pytest.mark.parametrize("pointer", [0, 16, 2**63, 2**64 - 1], ids=hex)
    def test_a_pointer_that_leads_elsewhere(self, pointer: int) -> None:
        """Where there is no memory, or no address at all."""
        memory = np.zeros(64 * 64, np.uint64)
        cycle = patterns.Cycle(memory, 64)
        memory[8 * 5] = pointer
        with pytest.raises(OSError, match=r"memory: a pointer in it leads to 0x\w+, which is elsewhere"):
            cycle.chase(10_000, 4, threads=2)
        with pytest.raises(ValueError, match=r"^memory no longer holds one cycle"):
            cycle.verify()

    def test_a_pointer_to_other_memory(self) -> None:
        """Where it can be read, the chase ends with it, and says so."""
        memory, other = np.zeros(64, np.uint64), np.zeros(1, np.uint64)
        other[0] = other.ctypes.data
        cycle = patterns.Cycle(memory, 64)
        memory[8 * 5] = other.ctypes.data
        with pytest.raises(OSError, match="Bad address"):
            cycle.chase(100)

    def test_a_cycle_that_is_too_short(self) -> None:
        """Pointers that skip nodes, or never come back to the first."""
        memory = np.zeros(64, np.uint64)
        cycle = patterns.Cycle(memory, 64)
        begin = cycle.chase(0).checksum // 8
        for target in (begin, cycle.chase(3).checksum // 8):
            before = memory[begin]
            memory[begin] = memory.ctypes.data + 8 * target
            with pytest.raises(ValueError, match=r"^memory no longer holds one cycle"):
                cycle.verify()
            memory[begin] = before
        cycle.verify()

    def test_memory_that_moved(self) -> None:
        """A bytearray that grew is not where its pointers lead."""
        memory = bytearray(64)
        cycle = patterns.Cycle(memory)
        while True:
            memory.extend(bytes(1 << 20))
            if len(memory) > 1 << 24:
                break
        with pytest.raises(ValueError, match=r"^memory has moved"):
            cycle.chase(1)

    def test_memory_that_is_gone(self) -> None:
        """The cycle does not keep its memory: what is closed is closed."""
        memory = mmap.mmap(-1, 4096)
        cycle = patterns.Cycle(memory)
        memory.close()
        with pytest.raises(ValueError, match=r"^memory"):
            cycle.chase(1)


class TestMistakes:
    """A wrong argument is a ValueError that begins with its name."""

    @pytest.mark.parametrize("value", [7, 0, -1, 8.0, None, 65], ids=repr)
    def test_node(self, value: Any) -> None:
        """A node holds a pointer, and memory a node."""
        with pytest.raises(ValueError, match=r"^node="):
            patterns.Cycle(bytearray(64), value)

    @pytest.mark.parametrize("value", [-1, 9, 16, None], ids=repr)
    def test_place(self, value: Any) -> None:
        """The pointer is in its node."""
        with pytest.raises(ValueError, match=r"^place="):
            patterns.Cycle(bytearray(64), 16, value)

    def test_steps_chains_and_threads(self) -> None:
        """Chains are 1 to 16."""
        cycle = patterns.Cycle(bytearray(64))
        for value in (-1, 1.0, None):
            with pytest.raises(ValueError, match=r"^steps="):
                cycle.chase(value)  # type: ignore[arg-type]
        for chains in (0, 17, -1):
            with pytest.raises(ValueError, match=r"^chains="):
                cycle.chase(1, chains)
        with pytest.raises(ValueError, match=r"^threads="):
            cycle.chase(1, threads=0)

    def test_memory(self) -> None:
        """It must be writable memory."""
        with pytest.raises(ValueError, match=r"^memory: its memory cannot be written"):
            patterns.Cycle(bytes(64))
        with pytest.raises(TypeError, match=r"^memory is of type int"):
            patterns.Cycle(3)
