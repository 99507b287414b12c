"""Blocks of one size, beside a model of them."""

from __future__ import annotations

import ctypes
import itertools
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from cyx.allocators import Pool, SizeClass


class TestSizes:
    """What a pool gives."""

    @pytest.mark.parametrize(("block", "alignment", "stride"), [
        (1, 1, 8), (8, 8, 8), (9, 8, 16), (24, 8, 24), (24, 16, 32), (64, 64, 64), (65, 64, 128), (100, 4096, 4096),
    ])  # fmt: skip
    def test_from_one_block_to_the_next(self, block: int, alignment: int, stride: int) -> None:
        """The size, rounded up to the alignment, and at least a pointer; blocks of a fresh pool follow each other."""
        pool = Pool(block, alignment=alignment)
        addresses = [pool.malloc(block) for _ in range(5)]
        assert pool.block == pool.largest == pool.size_of(addresses[0]) == stride
        assert [later - first for first, later in itertools.pairwise(addresses)] == [stride] * 4
        assert all(address % alignment == 0 for address in addresses)

    def test_limits(self) -> None:
        """A byte more than a block is too much, a byte less is a block too."""
        pool = Pool(64)
        for size in (0, 1, 63, 64):
            pool.malloc(size)
        with pytest.raises(MemoryError, match="blocks have at most 64"):
            pool.malloc(65)
        assert pool.statistics.live_blocks == 4

    def test_a_finer_alignment_than_the_usual(self) -> None:
        """A pool at multiples of 8 is asked for nothing else, unless somebody does."""
        pool = Pool(8, alignment=8)
        pool.allocate(8)
        with pytest.raises(ValueError, match="alignment=16: this pool has 8 at most"):
            pool.allocate(8, 16)

    @pytest.mark.parametrize("checked", [False, True])
    @pytest.mark.parametrize("alignment", [8, 16, 64, 1 << 20])
    def test_checked_gives_the_same(self, checked: bool, alignment: int) -> None:
        """With guards, too, the size and the alignment that the pool was made for, and nothing beyond."""
        pool = Pool(100, alignment=alignment, checked=checked)
        for _ in range(3):
            assert pool.malloc(100, alignment) % alignment == 0
        pool.malloc(pool.largest, alignment)
        with pytest.raises(MemoryError):
            pool.malloc(pool.largest + 1)
        pool.check()

    @pytest.mark.parametrize("block", [0, -1, (1 << 40) + 1, 1.5, "8", None])
    def test_sizes_that_cannot_be(self, block: Any) -> None:
        """One line that names the argument."""
        with pytest.raises(ValueError, match=r"^block="):
            Pool(block)

    @pytest.mark.parametrize("alignment", [0, 3, 1 << 21, "8"])
    def test_alignments_that_cannot_be(self, alignment: Any) -> None:
        """One line that names the argument."""
        with pytest.raises(ValueError, match=r"^alignment="):
            Pool(8, alignment=alignment)

    def test_the_last_freed_comes_first(self) -> None:
        """It is the one that is in the cache."""
        pool = Pool(64)
        first, second = pool.malloc(64), pool.malloc(64)
        pool.free(first)
        pool.free(second)
        assert (pool.malloc(64), pool.malloc(64)) == (second, first)

    def test_reset_gives_all_back(self) -> None:
        """All blocks are free, in the order of their addresses, over all spans."""
        pool = Pool(4096)
        addresses = {pool.malloc(1) for _ in range(1000)}
        reserved = pool.statistics.reserved
        pool.reset()
        again = [pool.malloc(1) for _ in range(1000)]
        assert set(again) == addresses
        assert pool.statistics.reserved == reserved
        pool.check()

    def test_there_are_no_scopes(self) -> None:
        """A block of a pool goes back alone, or with all."""
        assert not hasattr(Pool(8), "scope")


def test_a_wrong_address_is_found_by_check() -> None:
    """Without checked mode, ``check`` tells that something was freed which is no block."""
    pool = Pool(64)
    address = pool.malloc(64)
    pool.check()
    pool.free(address + 8)
    with pytest.raises(RuntimeError, match="begins inside of another"):
        pool.check()


def at_a_page(size: int) -> memoryview:
    """Return memory that begins where it always does, so that the same calls find room each time."""
    memory = bytearray(b"\xee" * (size + 4096))
    begin = -ctypes.addressof(ctypes.c_char.from_buffer(memory)) % 4096
    return memoryview(memory)[begin : begin + size]


class Pools(RuleBasedStateMachine):
    """A pool beside what it should hold."""

    @initialize(
        block=st.integers(1, 300), alignment=st.sampled_from([1, 8, 16, 64, 256]),
        room=st.none() | st.integers(1, 20_000), checked=st.booleans(),
    )  # fmt: skip
    def begin(self, block: int, alignment: int, room: int | None, checked: bool) -> None:
        """Make it."""
        memory = at_a_page(room) if room else None
        self.checked = checked
        self.block, self.alignment, self.given = block, alignment, memory is not None
        self.pool = Pool(block, alignment=alignment, memory=memory, checked=checked)
        self.live: dict[int, bytes] = {}
        self.views: list[tuple[memoryview, bytes]] = []
        self.allocations = self.asked = self.peak = self.count = 0

    def content(self, size: int) -> bytes:
        """Return bytes that no other block has."""
        self.count += 1
        return (self.count.to_bytes(4, "little") * (size // 4 + 1))[:size]

    @rule(share=st.floats(0, 1), view=st.booleans())
    def allocate(self, share: float, view: bool) -> None:
        """Take a block, as a view or as an address."""
        size = int(share * self.block)
        content = self.content(size)
        try:
            if view:
                block = self.pool.allocate(size)
                block[:] = content
                self.views.append((block, content))
            else:
                address = self.pool.malloc(size)
                assert address % self.alignment == 0
                ctypes.memmove(address, content, size)
                self.live[address] = content
        except MemoryError:
            assert self.given
            return
        self.allocations += 1
        self.asked += size
        self.peak = max(self.peak, len(self.live) + len(self.views))

    def any_of(self, data: st.DataObject) -> int:
        """Return the address of a live block, chosen by its age: addresses change from run to run."""
        return list(self.live)[data.draw(st.integers(0, len(self.live) - 1))]

    @precondition(lambda self: self.live)
    @rule(data=st.data())
    def free(self, data: st.DataObject) -> None:
        """Give a block back by its address."""
        address = self.any_of(data)
        content = self.live.pop(address)
        assert ctypes.string_at(address, len(content)) == content
        self.pool.free(address)

    @precondition(lambda self: self.views)
    @rule(drop=st.booleans())
    def free_view(self, drop: bool) -> None:
        """Give a block back by its view, or by letting go of it."""
        view, content = self.views.pop(len(self.views) // 2)
        assert bytes(view) == content
        if not drop:
            self.pool.free(view)

    @precondition(lambda self: self.live)
    @rule(data=st.data(), share=st.floats(0, 1.2))
    def reallocate(self, data: st.DataObject, share: float) -> None:
        """Ask for another size of a block."""
        address = self.any_of(data)
        size = int(share * self.block)
        kept = self.live[address][:size]
        try:
            moved = self.pool.reallocate(address, size)
        except MemoryError:
            assert self.given or size > self.block
        else:
            assert self.checked or moved == address
            assert ctypes.string_at(moved, len(kept)) == kept
            self.live.pop(address)
            self.live[moved] = kept
            if self.checked:  # always to another block
                self.allocations += 1
                self.asked += size
                self.peak = max(self.peak, len(self.live) + len(self.views) + 1)

    @precondition(lambda self: not self.views)
    @rule()
    def reset(self) -> None:
        """Take everything back."""
        self.pool.reset()
        self.live.clear()

    @invariant()
    def as_expected(self) -> None:
        """No two blocks overlap, all hold their bytes, and the figures are exact."""
        if not hasattr(self, "pool"):
            return
        self.pool.check()
        places = sorted(
            [*self.live, *(ctypes.addressof(ctypes.c_char.from_buffer(v)) for v, _ in self.views if len(v))]
        )
        assert all(later - first >= self.block for first, later in itertools.pairwise(places))
        for address, content in self.live.items():
            assert ctypes.string_at(address, len(content)) == content
        now = self.pool.statistics
        live = len(self.live) + len(self.views)
        assert (now.live_blocks, now.live, self.pool.views) == (live, live * self.pool.block, len(self.views))
        assert (now.allocations, now.granted) == (self.allocations, self.allocations * self.pool.block)
        assert now.size_classes == (SizeClass(self.pool.block, live, now.free // self.pool.block),)
        assert now.live + now.free <= now.reserved
        if not self.checked:  # guards count, and freed blocks wait before they serve again
            assert now.allocated == self.asked
            assert now.peak == self.peak * self.pool.block
            assert now.internal_fragmentation == pytest.approx(1 - self.asked / now.granted if now.granted else 0)
        assert now.external_fragmentation == pytest.approx(1 - self.pool.block / now.free if now.free else 0)


Pools.TestCase.settings = settings(stateful_step_count=60)
TestPools = pytest.mark.fuzz(Pools.TestCase)
