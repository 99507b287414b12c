"""Slab: blocks of any size for any threads."""

from __future__ import annotations

import ctypes
import gc
import mmap
import os
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from cyx.allocators import Corruption, Slab
from cyx.region import Region

MIB = 1 << 20


def resident() -> int:
    """Return the bytes of this process that are resident."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * mmap.PAGESIZE


def fill(address: int, size: int, byte: int) -> None:
    """Write a block."""
    ctypes.memset(address, byte, size)


def holds(address: int, size: int, byte: int) -> bool:
    """Tell whether a block holds nothing else."""
    return ctypes.string_at(address, size) == bytes([byte]) * size


def granted(size: int) -> int:
    """Return what a block of this size takes: steps of 16 bytes, eighths of a power of two, pages."""
    size = max(size, 1)
    if size > 64 << 10:
        return -(-size // 4096) * 4096
    step = 16 if size <= 1024 else 1 << ((size - 1).bit_length() - 4)
    return -(-size // step) * step


sizes = st.one_of(st.integers(0, 1100), st.integers(1000, 70_000), st.integers(60_000, 6 * MIB))
alignments = st.one_of(st.just(16), st.integers(0, 20).map(lambda bit: 1 << bit))


class Against(RuleBasedStateMachine):
    """Any calls, beside a model: a dictionary of what is live."""

    def __init__(self) -> None:
        super().__init__()
        self.slab = self.make()
        self.live: dict[int, tuple[int, int]] = {}
        self.calls = self.asked = self.took = 0

    def make(self) -> Slab:
        """Return what is tried."""
        return Slab()

    @rule(size=sizes, alignment=alignments, byte=st.integers(0, 255))
    def allocate(self, size: int, alignment: int, byte: int) -> None:
        """A block is aligned, lies in no other, and has the room it says."""
        try:
            address = self.slab.malloc(size, alignment)
        except MemoryError:
            assert self.slab.memory is not None
            return
        room = self.slab.size_of(address)
        assert address % alignment == 0
        assert room >= max(size, 1)
        pages = -(-size // 4096) * 4096  # in memory that is given, where no slab has the room any more
        assert alignment > 16 or room == granted(size) or (self.slab.memory is not None and room == pages)
        assert self.slab.owns(address)
        assert self.slab.owns(address + room - 1)
        for other in self.live:
            assert address + room <= other or other + self.slab.size_of(other) <= address
        fill(address, size, byte)
        self.live[address] = size, byte
        self.calls += 1

    @precondition(lambda self: self.live)
    @rule(data=st.data())
    def free(self, data: st.DataObject) -> None:
        """A block holds what was written until it is freed."""
        address = data.draw(st.sampled_from(sorted(self.live)))
        size, byte = self.live.pop(address)
        assert holds(address, size, byte)
        self.slab.free(address)

    @precondition(lambda self: self.live)
    @rule(data=st.data(), size=sizes)
    def reallocate(self, data: st.DataObject, size: int) -> None:
        """What fits of the old block is in the new one."""
        address = data.draw(st.sampled_from(sorted(self.live)))
        before, byte = self.live[address]
        try:
            moved = self.slab.reallocate(address, size)
        except MemoryError:
            assert self.slab.memory is not None
            assert holds(address, before, byte)
            return
        del self.live[address]
        assert holds(moved, min(before, size), byte)
        fill(moved, size, byte)
        self.live[moved] = size, byte

    @rule()
    def trim(self) -> None:
        """Giving back what is free changes no block."""
        self.slab.trim()

    @invariant()
    def is_valid(self) -> None:
        """Statistics say what is live, and its invariants hold."""
        now = self.slab.statistics
        room = sum(self.slab.size_of(address) for address in self.live)
        assert (now.live_blocks, now.live) == (len(self.live), room)
        assert now.peak >= now.live
        assert now.allocations >= self.calls
        assert now.granted >= now.allocated
        assert now.reserved >= now.live
        small = [row for row in now.size_classes if row.live_blocks]
        # Blocks that are aligned beyond a page are of no slab.
        assert all(row.live_blocks <= self.count(row.size) for row in small)
        self.slab.check()

    def count(self, size: int) -> int:
        """Return how many live blocks have this size."""
        return sum(self.slab.size_of(address) == size for address in self.live)

    def teardown(self) -> None:
        """All blocks hold what was written, and nothing is live after all are freed."""
        for address, (size, byte) in self.live.items():
            assert holds(address, size, byte)
            self.slab.free(address)
        assert self.slab.statistics.live_blocks == self.slab.statistics.live == 0
        self.slab.trim()
        assert all(row.free_blocks == 0 for row in self.slab.statistics.size_classes)


class AgainstGiven(Against):
    """As Against, in memory that was given and runs out."""

    def make(self) -> Slab:
        """Return one in memory that begins in the middle of a page."""
        return Slab(memory=memoryview(bytearray(9 * MIB))[100:])


Against.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
AgainstGiven.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestAgainstModel = Against.TestCase
TestAgainstModelInGivenMemory = AgainstGiven.TestCase


class TestBlocks:
    """Sizes, alignments and what is had again."""

    @pytest.mark.parametrize("size", [1, 16, 17, 1024, 1025, 8192, 8193, 65536, 65537, 2 * MIB, 2 * MIB + 1, 70 * MIB])
    def test_limits_between_kinds_of_blocks(self, size: int) -> None:
        """Blocks on both sides of each limit have their size, and can be written from end to end."""
        slab = Slab()
        address = slab.malloc(size)
        fill(address, size, 7)
        assert slab.size_of(address) == granted(size)
        assert slab.statistics.peak == granted(size)
        slab.free(address)
        assert slab.statistics.live == 0

    def test_too_much_is_a_memory_error(self) -> None:
        """What no address space has is refused, and nothing has changed."""
        slab = Slab()
        for size in ((1 << 46) + 1, 1 << 62):
            with pytest.raises(MemoryError):
                slab.malloc(size)
        slab.check()
        assert slab.statistics.live_blocks == 0

    def test_a_large_block_grows_without_a_copy(self) -> None:
        """A mapping is moved by the kernel: growing touches no page of it."""
        slab = Slab()
        address = slab.malloc(200 * MIB)
        fill(address, 8, 3)
        before = resident()
        address = slab.reallocate(address, 900 * MIB)
        assert holds(address, 8, 3)
        assert slab.size_of(address) == slab.statistics.live == 900 * MIB
        assert resident() - before < 10 * MIB
        slab.free(address)
        assert slab.statistics.live == 0

    def test_numpy_temporaries_stay_resident_for_reuse(self) -> None:
        """Blocks of 1.6 MB, again and again, fault a page in only the first time."""
        slab = Slab()
        first = slab.malloc(1_600_000)
        fill(first, 1_600_000, 1)
        slab.free(first)
        before = resident()
        for _ in range(10):
            again = slab.malloc(1_600_000)
            assert again == first
            slab.free(again)
        assert resident() == pytest.approx(before, abs=MIB // 2)

    def test_views_and_arrays_keep_their_block(self) -> None:
        """An array on a view holds the block; it goes back with the array."""
        slab = Slab()
        array = np.frombuffer(slab.allocate(800), dtype="f8")
        array[:] = 1.5
        assert slab.statistics.live == 800
        assert array.sum() == 150
        del array
        assert slab.statistics.live == 0

    def test_several_at_once(self) -> None:
        """More allocators than a thread remembers, in turn, do not mix."""
        slabs = [Slab() for _ in range(9)]
        blocks = [[slab.malloc(40) for slab in slabs] for _ in range(100)]
        for row in blocks:
            for i, address in enumerate(row):
                assert [slab.owns(address) for slab in slabs] == [other == i for other in range(9)]
                slabs[i].free(address)
        assert all(slab.statistics.live == 0 for slab in slabs)


class TestGivingBack:
    """What is free goes back to the system."""

    @pytest.mark.parametrize("size", [512, 1024, 20_000, 300_000, 8 * MIB])
    def test_resident_memory_falls_after_all_is_freed(self, size: int) -> None:
        """Of 256 MiB not more stays than the bounds; after a trim, nearly nothing."""
        slab = Slab()
        before = resident()
        blocks = [slab.malloc(size) for _ in range(256 * MIB // size)]
        for address in blocks:
            fill(address, size, 1)
        most = resident() - before
        for address in blocks:
            slab.free(address)
        freed = resident() - before
        slab.trim()
        trimmed = resident() - before
        assert most >= 256 * MIB - 4 * MIB
        assert freed < (72 if size > 2 * MIB else 100) * MIB
        assert trimmed < 40 * MIB

    def test_no_mapping_is_left(self) -> None:
        """An allocator that goes away takes its mappings along, with live blocks in them and threads that used them."""

        def reserved() -> int:
            return int(Path("/proc/self/statm").read_text().split()[0]) * mmap.PAGESIZE

        def use() -> None:
            slab = Slab()
            thread = threading.Thread(target=lambda: [slab.malloc(size) for size in (10, 5000, 100_000, 3 * MIB)])
            thread.start()
            thread.join()
            slab.free(slab.malloc(5 * MIB))

        use()
        gc.collect()
        before = reserved()
        for _ in range(20):
            use()
        gc.collect()
        assert reserved() - before < 200 * MIB  # one maps 40 MiB and more; malloc has 64 MiB for a new thread


class TestThreads:
    """Blocks that other threads free, and threads that end."""

    def test_blocks_freed_by_another_thread_come_home(self) -> None:
        """One thread allocates and another one frees: memory does not grow with the count."""
        slab = Slab()
        for _ in range(30):
            blocks = [slab.malloc(500) for _ in range(2000)]
            thread = threading.Thread(target=lambda these=blocks: [slab.free(address) for address in these])
            thread.start()
            thread.join()
        now = slab.statistics
        assert (now.live, now.live_blocks, now.allocations) == (0, 0, 60_000)
        assert now.reserved <= 8 * MIB

    def test_a_thread_that_ends_leaves_its_slabs(self) -> None:
        """Blocks of an ended thread stay good; their slabs serve those who live, and are given back when empty."""
        slab = Slab()
        blocks: list[int] = []
        thread = threading.Thread(target=lambda: blocks.extend(slab.malloc(1000) for _ in range(10_000)))
        thread.start()
        thread.join()
        for address in blocks:
            fill(address, 1000, 9)
        reserved = slab.statistics.reserved
        for address in blocks[::2]:
            slab.free(address)
        again = [slab.malloc(1000) for _ in range(5000)]
        assert slab.statistics.reserved == reserved
        assert all(holds(address, 1000, 9) for address in blocks[1::2])
        for address in blocks[1::2] + again:
            slab.free(address)
        slab.trim()
        now = slab.statistics
        assert now.live == 0
        assert all(row.free_blocks == 0 for row in now.size_classes)

    def test_an_allocator_gone_leaves_no_cache_behind(self) -> None:
        """A thread that used one that is gone may end, and use others."""
        go, ready = threading.Event(), threading.Event()
        slabs = [Slab()]

        def use() -> None:
            slabs[0].free(slabs[0].malloc(100))
            ready.set()
            go.wait(30)
            slabs[0].free(slabs[0].malloc(100))

        thread = threading.Thread(target=use)
        thread.start()
        assert ready.wait(30)
        slabs[0] = Slab()
        go.set()
        thread.join()
        assert slabs[0].statistics.allocations == 1

    def test_fork_while_others_allocate(self) -> None:
        """A child can allocate, and free what it got, while other threads of the parent were in the midst of it."""
        slab, done = Slab(), threading.Event()

        def work() -> None:
            while not done.is_set():
                for size in (20, 900, 9000, 100_000):
                    slab.free(slab.malloc(size))

        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        mine = [slab.malloc(100) for _ in range(100)]
        try:
            for _ in range(20):
                child = os.fork()
                if not child:
                    code = 1
                    try:
                        for address in mine:
                            slab.free(address)
                        for size in (20, 900, 9000, 100_000, 3 * MIB) * 20:
                            slab.free(slab.malloc(size))
                        code = 0
                    finally:
                        os._exit(code)
                assert os.waitpid(child, 0)[1] == 0
        finally:
            done.set()
            for thread in threads:
                thread.join()


class TestGivenMemory:
    """Where a slab ends that lives in memory of somebody else."""

    @pytest.mark.parametrize("size", [140_000, 1 << 20, (4 << 20) + 40_000, (9 << 20) + 5])
    def test_what_it_owns(self, size: int) -> None:
        """Nothing before and behind the memory; a block of another allocator is refused."""
        memory = bytearray(size)
        begin = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        slab = Slab(memory=memory)
        address = slab.malloc(100)
        assert slab.owns(address)
        assert not any(slab.owns(begin + at) for at in (-1, size, size + 1, size + MIB, size + 3 * MIB))
        with pytest.raises(ValueError, match="does not belong"):
            slab.free(begin + size + MIB)

    @pytest.mark.parametrize("rest", [0, 20_000, 40_000, 64_000, 70_000])
    def test_a_rest_behind_the_last_chunk(self, rest: int) -> None:
        """Used up and freed again, the slab is valid, however much is left over behind."""
        slab = Slab(memory=bytearray(4 * MIB + rest))
        blocks = []
        with pytest.raises(MemoryError):
            blocks.extend(slab.malloc(1000) for _ in range(10_000))
        while True:
            try:
                blocks.append(slab.malloc(1000))
            except MemoryError:
                break
        slab.check()
        for address in blocks:
            slab.free(address)
        slab.check()

    def test_growing_takes_what_it_needs(self) -> None:
        """A reallocated small block is a small block, wherever the old one happened to lie."""
        slab = Slab()
        for size in range(32, 3000, 32):
            assert slab.size_of(slab.reallocate(slab.malloc(size), 2 * size + 16)) <= 4 * size + 64


class TestFaults:
    """No memory, and memory that was written to."""

    @pytest.mark.parametrize("checked", [False, True])
    def test_out_of_memory_at_each_point(self, checked: bool) -> None:
        """Whichever request to the system fails, it is a MemoryError, no block is lost, and later it goes on."""
        for after in range(12):
            slab = Slab(checked=checked)
            slab.refuse_spans(after)
            live: list[int] = []
            failed = 0
            for size in (10, 5000, 100_000, 3 * MIB, 9 * MIB) * 20:
                try:
                    live.append(slab.malloc(size))
                    fill(live[-1], size, 5)
                except MemoryError:
                    failed += 1
            assert failed
            slab.check()
            before = slab.statistics.live_blocks
            assert before == len(live)
            for address in list(live):
                if slab.size_of(address) > 2 * MIB:
                    with pytest.raises(MemoryError):
                        slab.reallocate(address, 500 * MIB)
                    assert holds(address, 3 * MIB, 5)
            slab.refuse_spans(None)
            live += [slab.malloc(size) for size in (10, 5000, 100_000, 3 * MIB)]
            for address in live:
                slab.free(address)
            slab.check()
            assert slab.statistics.live == 0

    @pytest.mark.parametrize("after", [0, -1, 1.5, "1"])
    def test_refusing_takes_a_count(self, after: object) -> None:
        """Anything but a count or None is a ValueError."""
        if after == 0:
            Slab().refuse_spans(0)
            return
        with pytest.raises(ValueError, match="after="):
            Slab().refuse_spans(after)  # type: ignore[arg-type]

    @pytest.mark.parametrize("size", [16, 48, 1024, 5000])
    @pytest.mark.parametrize("at", range(8))
    def test_an_overwritten_free_list_is_found_and_not_followed(self, size: int, at: int) -> None:
        """Whichever byte of a free block's link is written: no block outside of the slab is handed out, none twice."""
        slab = Slab()
        blocks = [slab.malloc(size) for _ in range(8)]
        kept = set(blocks[:4])
        for address in blocks[4:]:
            slab.free(address)
        link = ctypes.c_ubyte.from_address(blocks[7] + at)
        link.value ^= 0x5A
        with pytest.raises(RuntimeError, match="overwritten: a free block was written to"):
            slab.check()
        after = [slab.malloc(size) for _ in range(500)]
        assert len(set(after) | kept) == 504
        assert all(slab.owns(address) for address in after)
        assert slab.overwritten == 1
        for address in [*after, *kept]:
            fill(address, size, 1)
            slab.free(address)
        assert slab.statistics.live == 0
        with pytest.raises(RuntimeError, match="lost"):
            slab.check()

    def test_checked(self) -> None:
        """Checked mode finds a double free, an overrun, a foreign pointer and a write after free."""
        slab = Slab(checked=True)
        with pytest.raises(Corruption, match="twice"):
            [slab.free(address) for address in [slab.malloc(30)] * 2]
        block = slab.malloc(30, 4096)
        assert block % 4096 == 0
        fill(block, 31, 1)
        with pytest.raises(Corruption, match="beyond"):
            slab.free(block)
        with pytest.raises(Corruption, match="does not belong"):
            slab.free(id(slab))
        block = slab.malloc(300)
        slab.free(block)
        fill(block, 1, 1)
        with pytest.raises(Corruption, match="after it was freed"):
            slab.check()


class TestEndsOfGivenMemory:
    """A slab in a region."""

    @pytest.mark.parametrize("kind", ["anonymous", "memfd"])
    def test_all_blocks_lie_in_it(self, kind: str) -> None:
        """Blocks of all kinds lie in the region; when it is full that is a MemoryError; all of it serves again."""
        region = Region(32 * MIB, kind=kind)
        slab = Slab(memory=region)
        begin = np.frombuffer(region, dtype="u1").ctypes.data
        counts = []
        for _ in range(3):
            live: list[int] = []
            with pytest.raises(MemoryError):
                live.extend(map(slab.malloc, (10, 5000, 100_000, 3 * MIB) * 10_000))
            assert all(begin <= address and address + slab.size_of(address) <= begin + 32 * MIB for address in live)
            counts.append(len(live))
            for address in live:
                slab.free(address)
            slab.check()
            assert slab.statistics.live == 0
        assert min(counts) >= 20

    @pytest.mark.parametrize("size", [128 << 10, 140_000, 4 * MIB, 8 * MIB + 4096, 40 * MIB])
    def test_its_largest_block_can_be_had(self, size: int) -> None:
        """Of memory of any size, a block of ``largest`` bytes can be had, and no larger one."""
        region = Region(size, kind="anonymous") if size % 4096 == 0 else bytearray(size)
        slab = Slab(memory=region)
        address = slab.malloc(slab.largest)
        fill(address, slab.largest, 1)
        with pytest.raises(MemoryError):
            slab.malloc(slab.largest)
        slab.free(address)
        with pytest.raises(MemoryError, match="at most"):
            slab.malloc(slab.largest + 1)

    @pytest.mark.parametrize("memory", [bytearray(1000), bytearray((128 << 10) - 1)])
    def test_too_little_is_an_error(self, memory: bytearray) -> None:
        """Less than two slices cannot hold the tables and a slab."""
        with pytest.raises(ValueError, match="128 KiB"):
            Slab(memory=memory)
