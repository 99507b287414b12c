"""Blocks one after the other, and scopes, beside a model of them."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from cyx.allocators import Frame

HEADER = 8
MIB = 1 << 20


class TestBlocks:
    """What a frame gives."""

    def test_one_after_the_other(self) -> None:
        """Each begins where the one before ends: 8 bytes for the size, and what the alignment leaves over."""
        frame = Frame()
        first, second, third = frame.malloc(24, 8), frame.malloc(3, 1), frame.malloc(8, 64)
        assert second - first == 24 + HEADER
        assert third == (second + 3 + HEADER + 63) // 64 * 64
        assert [frame.size_of(each) for each in (first, second, third)] == [24, 3, 8]

    @pytest.mark.parametrize("alignment", [1 << power for power in range(21)])
    @pytest.mark.parametrize("checked", [False, True])
    def test_alignment(self, alignment: int, checked: bool) -> None:
        """Any power of two up to 1 MiB."""
        frame = Frame(checked=checked)
        for size in (1, 100, 4096, 3 * MIB):
            assert frame.malloc(size, alignment) % alignment == 0
        frame.check()

    def test_the_last_block_makes_room(self) -> None:
        """It is given again, and grows where it is; one before it does neither."""
        frame = Frame()
        first, second = frame.malloc(64), frame.malloc(64)
        frame.free(second)
        assert frame.malloc(64) == second
        assert frame.reallocate(second, 100_000) == second
        assert frame.reallocate(second, 10) == second
        assert frame.reallocate(first, 100) > second
        assert frame.statistics.live_blocks == 2

    def test_reset_costs_nothing_to_the_next_one(self) -> None:
        """The same addresses serve again, and nothing more is mapped."""
        frame = Frame()
        before = [frame.malloc(100_000) for _ in range(100)]
        reserved = frame.statistics.reserved
        for _ in range(3):
            frame.reset()
            assert frame.statistics.live == 0
            assert [frame.malloc(100_000) for _ in range(100)] == before
        assert frame.statistics.reserved == reserved

    def test_reset_with_a_view(self) -> None:
        """A view or an array refuses it, and all is as it was."""
        frame = Frame()
        array = np.frombuffer(frame.allocate(80), np.float64)
        array[:] = 1.5
        with pytest.raises(BufferError, match="views of 1 blocks of this frame"):
            frame.reset()
        assert array.sum() == 15
        del array
        frame.reset()

    @pytest.mark.parametrize("size", [1, 1000, 2 * MIB])
    def test_the_largest_free_block(self, size: int) -> None:
        """As much as the statistics say is had without more memory, and a byte more is not."""
        frame = Frame()
        frame.malloc(size)
        frame.malloc(3 * MIB)
        frame.reset()
        frame.malloc(5)
        before = frame.statistics
        with frame.scope():
            frame.malloc(before.largest_free, 1)
            assert frame.statistics.reserved == before.reserved
        frame.malloc(before.largest_free + 1, 1)
        assert frame.statistics.reserved > before.reserved


class TestScopes:
    """Parts of a frame's life."""

    def test_take_back_what_was_allocated_in_them(self) -> None:
        """The next block comes where the scope's first one was; what is outside stays."""
        frame = Frame()
        outside = frame.allocate(10)
        outside[:] = b"outside..."
        with frame.scope() as same:
            assert same is frame
            first = frame.malloc(100)
            with frame.scope():
                frame.malloc(5 * MIB)
            assert frame.statistics.live_blocks == 2
        assert (frame.statistics.live_blocks, bytes(outside)) == (1, b"outside...")
        assert frame.malloc(100) == first

    def test_a_view_that_is_alive(self) -> None:
        """BufferError at the end; its blocks stay until the scope round it ends."""
        frame = Frame()
        with frame.scope():
            with pytest.raises(BufferError, match="views of 1 blocks"), frame.scope():
                view = frame.allocate(10)
            view[:] = b"0123456789"
            frame.malloc(100)
            assert bytes(view) == b"0123456789"
            with frame.scope():
                frame.malloc(7)
            del view
        assert frame.statistics.live_blocks == frame.statistics.live == 0

    def test_an_exception_goes_before(self) -> None:
        """What leaves the scope is the exception, also where a view is alive."""
        frame = Frame()
        views = []
        with pytest.raises(KeyError, match="mine"), frame.scope():  # noqa: PT012
            views.append(frame.allocate(10))
            raise KeyError("mine")
        with pytest.raises(BufferError):
            frame.reset()
        views.clear()
        frame.reset()

    def test_views_from_outside_do_not_matter(self) -> None:
        """A scope ends while views of other scopes are alive, and one that was freed in it makes no room."""
        frame = Frame()
        outside = frame.allocate(16)
        last = frame.malloc(16)
        with frame.scope():
            inside = frame.malloc(16)
            frame.free(last)
            assert frame.malloc(16) > inside
            assert frame.statistics.live_blocks == 3
        assert frame.statistics.live_blocks == 1
        frame.free(outside)

    def test_64_deep(self) -> None:
        """And not one more."""
        frame = Frame()
        scopes = [frame.scope() for _ in range(65)]
        for scope in scopes[:64]:
            scope.__enter__()
            frame.malloc(1000)
        with pytest.raises(ValueError, match="64 is the most"):
            scopes[64].__enter__()
        for scope in reversed(scopes[:64]):
            scope.__exit__(None, None, None)
        assert frame.statistics.live == 0

    def test_wrong_order(self) -> None:
        """The end of the outer one ends the inner one, which then says so, also where another one is open by now."""
        frame = Frame()
        outer, inner = frame.scope(), frame.scope()
        outer.__enter__()
        with pytest.raises(ValueError, match="open already"):
            outer.__enter__()
        inner.__enter__()
        outer.__exit__(None, None, None)
        with frame.scope(), frame.scope():
            address = frame.malloc(10)
            with pytest.raises(ValueError, match="ended already"):
                inner.__exit__(None, None, None)
            assert frame.statistics.live_blocks == 1
            frame.free(address)
        with pytest.raises(ValueError, match="ended already"), frame.scope():
            frame.reset()
        with pytest.raises(TypeError):
            type(outer)(None)  # type: ignore[arg-type]

    @pytest.mark.parametrize("checked", [False, True])
    def test_before_there_is_memory(self, checked: bool) -> None:
        """A scope of an empty frame ends in an empty frame."""
        frame = Frame(checked=checked)
        with frame.scope():
            frame.malloc(10)
            frame.malloc(10 * MIB)
        assert frame.statistics.live == frame.statistics.live_blocks == 0
        frame.check()


def at_a_boundary(size: int) -> memoryview:
    """Return memory that begins where it always does, so that the same calls find room each time."""
    memory = bytearray(b"\xee" * (size + 8192))
    begin = -ctypes.addressof(ctypes.c_char.from_buffer(memory)) % 8192
    return memoryview(memory)[begin : begin + size]


class Frames(RuleBasedStateMachine):
    """A frame beside what it should hold: for each scope, its blocks."""

    @initialize(room=st.none() | st.integers(1, 1 << 18), checked=st.booleans())
    def begin(self, room: int | None, checked: bool) -> None:
        """Make it."""
        self.given = room is not None
        self.checked = checked
        self.frame = Frame(memory=at_a_boundary(room) if room else None, checked=checked)
        self.scopes: list[tuple[Any, dict[int, bytes]]] = [(None, {})]
        self.views: list[tuple[memoryview, bytes, int]] = []
        self.allocations = self.asked = self.peak = self.count = 0

    def content(self, size: int) -> bytes:
        """Return bytes that no other block has."""
        self.count += 1
        return (self.count.to_bytes(4, "little") * (size // 4 + 1))[:size]

    def all_blocks(self) -> dict[int, bytes]:
        """Return the blocks of all scopes."""
        return {address: content for _, blocks in self.scopes for address, content in blocks.items()}

    def any_of(self, data: st.DataObject) -> int:
        """Return the address of a live block, chosen by its age: addresses change from run to run."""
        blocks = list(self.all_blocks())
        return blocks[data.draw(st.integers(0, len(blocks) - 1))]

    @rule(size=st.integers(0, 300) | st.integers(0, 1 << 17), power=st.integers(0, 13), view=st.booleans())
    def allocate(self, size: int, power: int, view: bool) -> None:
        """Take a block, as a view or as an address."""
        content = self.content(size)
        try:
            if view:
                block = self.frame.allocate(size, 1 << power)
                block[:] = content
                self.views.append((block, content, len(self.scopes)))
            else:
                address = self.frame.malloc(size, 1 << power)
                assert address % (1 << power) == 0
                ctypes.memmove(address, content, size)
                self.scopes[-1][1][address] = content
        except MemoryError:
            assert self.given
            return
        self.allocations += 1
        self.asked += size

    @precondition(lambda self: self.all_blocks())
    @rule(data=st.data())
    def free(self, data: st.DataObject) -> None:
        """Give a block of any scope back by its address."""
        address = self.any_of(data)
        for _, blocks in self.scopes:
            blocks.pop(address, None)
        self.frame.free(address)

    @precondition(lambda self: self.views)
    @rule(drop=st.booleans())
    def free_view(self, drop: bool) -> None:
        """Give a block back by its view, or by letting go of it."""
        view, content, _ = self.views.pop(len(self.views) // 2)
        assert bytes(view) == content
        if not drop:
            self.frame.free(view)

    @precondition(lambda self: self.all_blocks())
    @rule(data=st.data(), size=st.integers(0, 400))
    def reallocate(self, data: st.DataObject, size: int) -> None:
        """Ask for another size of a block of any scope: where it moves, it is one of the innermost."""
        address = self.any_of(data)
        (blocks,) = [blocks for _, blocks in self.scopes if address in blocks]
        kept = blocks[address][:size]
        try:
            moved = self.frame.reallocate(address, size)
        except MemoryError:
            assert self.given
            return
        assert ctypes.string_at(moved, len(kept)) == kept
        del blocks[address]
        (blocks if moved == address else self.scopes[-1][1])[moved] = kept

    @precondition(lambda self: len(self.scopes) < 6)
    @rule()
    def open_scope(self) -> None:
        """Begin a scope."""
        scope = self.frame.scope()
        scope.__enter__()
        self.scopes.append((scope, {}))

    @precondition(lambda self: len(self.scopes) > 1)
    @rule()
    def end_scope(self) -> None:
        """End the innermost scope, which a view of it refuses."""
        self.views = [each for each in self.views if each[2] < len(self.scopes)]
        scope, _ = self.scopes.pop()
        scope.__exit__(None, None, None)

    @precondition(lambda self: not self.views)
    @rule()
    def reset(self) -> None:
        """Take everything back."""
        self.frame.reset()
        self.scopes = [(None, {})]

    @invariant()
    def as_expected(self) -> None:
        """No two blocks overlap, all hold their bytes, and the figures are exact."""
        if not hasattr(self, "frame"):
            return
        self.frame.check()
        blocks = self.all_blocks()
        for view, content, _ in self.views:
            assert bytes(view) == content
            if content:
                blocks[ctypes.addressof(ctypes.c_char.from_buffer(view))] = content
        end = 0
        for address, content in sorted(blocks.items()):
            assert address >= end
            assert ctypes.string_at(address, len(content)) == content
            end = address + max(len(content), 1)
        now = self.frame.statistics
        assert now.live_blocks == sum(len(each) for _, each in self.scopes) + len(self.views)
        assert self.frame.views == len(self.views)
        assert now.live + now.free == now.reserved
        assert now.live >= sum(map(len, blocks.values()))
        self.peak = max(self.peak, now.live)
        assert now.peak >= self.peak
        assert now.allocations >= self.allocations
        assert now.granted >= now.allocated >= self.asked


Frames.TestCase.settings = settings(stateful_step_count=60)
TestFrames = pytest.mark.fuzz(Frames.TestCase)
