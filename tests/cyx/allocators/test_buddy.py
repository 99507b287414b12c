"""Powers of two, beside a model of them; what must hold under every corruption; and C programs under the sanitizers."""

from __future__ import annotations

import ctypes
import random
import threading
from pathlib import Path
from typing import Any

import pytest
from c_programs import make, run
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from cyx.allocators import Buddy, Corruption
from cyx.region import Region

MIB = 1 << 20
PLANTINGS = 10_000


def room_of(size: int, alignment: int = 16) -> int:
    """Return the power of two that a block of this size takes."""
    return max(32, 1 << (max(size, 1) - 1).bit_length(), alignment if alignment > 16 else 0)


class TestBlocks:
    """Which blocks there are, and where."""

    @pytest.mark.parametrize("size", [0, 1, 31, 32, 33, 63, 64, 65, 1000, 4095, 4096, 4097, MIB - 1, MIB, MIB + 1])
    def test_a_block_is_the_next_power_of_two_and_lies_at_a_multiple_of_it(self, size: int) -> None:
        """At n - 1, n and n + 1 of a power: 2^k bytes at a multiple of 2^k, up to 1 MiB, and no byte for a header."""
        buddy = Buddy()
        addresses = [buddy.malloc(size) for _ in range(3)]
        assert buddy.statistics.live == 3 * room_of(size)
        for address in addresses:
            assert buddy.size_of(address) == room_of(size)
            assert address % min(room_of(size), MIB) == 0

    @pytest.mark.parametrize("alignment", [1, 16, 64, 4096, MIB])
    def test_alignment(self, alignment: int) -> None:
        """A small block takes as much as its alignment; it keeps that through reallocate, both ways and moved."""
        buddy = Buddy()
        address = buddy.malloc(10, alignment)
        for size in (10, 100, 20, 2 * MIB, 10, 5000, 3 * MIB, 1):
            address = buddy.reallocate(address, size)
            assert address % alignment == 0
            assert buddy.size_of(address) >= size
            buddy.malloc(8)  # what lies behind is not always free
        buddy.check()

    def test_the_whole_memory_is_one_block(self) -> None:
        """A size is had in one piece, a byte more is not; what a smaller one leaves is, and not a byte more."""
        buddy = Buddy(size=MIB)
        assert buddy.largest == MIB
        whole = buddy.malloc(MIB)
        with pytest.raises(MemoryError, match="no memory for 1 bytes"):
            buddy.malloc(1)
        buddy.free(whole)
        with pytest.raises(MemoryError, match="its blocks have at most 1048576"):
            buddy.malloc(MIB + 1)
        halves = [buddy.malloc(MIB // 2 - 1) for _ in range(2)]
        with pytest.raises(MemoryError):
            buddy.malloc(1)
        for half in halves:
            buddy.free(half)
        buddy.free(buddy.malloc(MIB))
        buddy.check()

    def test_all_smallest_blocks_join_again(self) -> None:
        """32,768 blocks of 32 bytes fill 1 MiB without a gap; freed in any order they are one block."""
        buddy = Buddy(size=MIB)
        addresses = [buddy.malloc(32) for _ in range(MIB // 32)]
        assert sorted(addresses) == list(range(min(addresses), min(addresses) + MIB, 32))
        assert buddy.statistics.free == 0
        random.Random(1).shuffle(addresses)
        for address in addresses:
            buddy.free(address)
        now = buddy.statistics
        assert (now.free, now.largest_free, now.live, now.peak) == (MIB, MIB, 0, MIB)
        assert now.external_fragmentation == 0
        buddy.check()

    def test_it_grows(self) -> None:
        """Without a size it takes what it needs, also for a block larger than all before."""
        buddy = Buddy()
        blocks = [buddy.allocate(size) for size in (1, 3 * MIB, 100, 64 * MIB, 1 << 14)]
        for number, block in enumerate(blocks):
            block[0] = block[-1] = number
        assert [(block[0], block[-1]) for block in blocks] == [(n, n) for n in range(5)]
        assert buddy.statistics.reserved >= 68 * MIB
        buddy.check()

    @pytest.mark.parametrize("wrong", [{"size": 0}, {"size": -1}, {"size": "1"}, {"memory": bytearray(63)}])
    def test_wrong_sizes(self, wrong: dict[str, Any]) -> None:
        """The error names what is wrong."""
        with pytest.raises(ValueError, match=next(iter(wrong))):
            Buddy(**wrong)

    def test_size_or_memory(self) -> None:
        """Memory has its size."""
        with pytest.raises(TypeError, match="size or memory"):
            Buddy(size=64, memory=bytearray(64))

    def test_no_memory(self) -> None:
        """More than an address space has is a MemoryError, of the allocator and of its blocks, and it goes on."""
        with pytest.raises(MemoryError):
            Buddy(size=1 << 50)
        buddy = Buddy()
        with pytest.raises(MemoryError):
            buddy.malloc(1 << 47)
        kept = buddy.malloc(100)
        with pytest.raises(MemoryError):
            buddy.reallocate(kept, 1 << 47)
        assert buddy.size_of(kept) == 128
        buddy.check()


class TestReallocate:
    """In place where that can be."""

    def test_within_the_block(self) -> None:
        """As long as the power of two is the same, nothing moves and nothing is counted."""
        buddy = Buddy()
        address = buddy.malloc(65)
        before = buddy.statistics
        assert [buddy.reallocate(address, size) for size in (128, 66, 100)] == [address] * 3
        assert buddy.statistics == before

    def test_into_free_buddies(self) -> None:
        """A block grows where it is as long as what lies behind it is free, and its contents stay."""
        buddy = Buddy(size=MIB)
        address = buddy.malloc(32)
        ctypes.memset(address, 7, 32)
        for order in range(6, 21):
            assert buddy.reallocate(address, 1 << order) == address
            assert buddy.size_of(address) == 1 << order
        assert buddy.statistics.live == MIB
        assert ctypes.string_at(address, 32) == bytes([7]) * 32
        buddy.check()

    def test_smaller(self) -> None:
        """The rest of a block that is made smaller is free at once, for blocks of any size."""
        buddy = Buddy(size=MIB)
        address = buddy.malloc(MIB)
        assert buddy.reallocate(address, 32) == address
        assert buddy.statistics.free == MIB - 32
        buddy.malloc(MIB // 2)
        buddy.check()

    def test_moved(self) -> None:
        """Where the buddy is live the block moves with its contents, and where there is no room it stays as it was."""
        buddy = Buddy(size=4096)
        first, second = buddy.malloc(32), buddy.malloc(32)
        ctypes.memset(first, 1, 32)
        ctypes.memset(second, 2, 32)
        moved = buddy.reallocate(min(first, second), 2048)
        assert moved not in (first, second)
        assert len(set(ctypes.string_at(moved, 32))) == 1
        with pytest.raises(MemoryError):
            buddy.reallocate(max(first, second), 2048)
        assert set(ctypes.string_at(max(first, second), 32)) <= {1, 2}
        buddy.check()


class TestGivenMemory:
    """Memory of others: wherever it begins and whatever its size is."""

    @pytest.mark.parametrize("begin", [0, 1, 31, 33])
    @pytest.mark.parametrize("size", [96, 1000, 4096, 100_001])
    def test_askew(self, begin: int, size: int) -> None:
        """All of it but for less than 32 bytes at each end is had, and not a byte beside it is written."""
        memory = bytearray(b"\xa5" * (begin + size + 64))
        buddy = Buddy(memory=memoryview(memory)[begin : begin + size])
        free = buddy.statistics.free
        assert size - 62 <= free <= size
        count = 0
        while True:
            try:
                address = buddy.malloc(32)
            except MemoryError:
                break
            ctypes.memset(address, 0, 32)
            count += 1
        assert count * 32 == free
        buddy.check()
        assert memory[:begin] == b"\xa5" * begin
        assert memory[begin + size :] == b"\xa5" * 64

    @pytest.mark.parametrize("kind", [{}, {"kind": "thp"}])
    def test_in_a_region(self, kind: dict[str, Any]) -> None:
        """Blocks lie in the region, and the region outlives the name that it had."""
        region = Region(4 * MIB, **kind)
        begin = ctypes.addressof(ctypes.c_char.from_buffer(memoryview(region)))
        buddy = Buddy(memory=region)
        del region
        address = buddy.malloc(5000)
        assert begin <= address < begin + 4 * MIB
        ctypes.memset(address, 1, 5000)
        assert buddy.owns(address)
        assert not buddy.owns(begin - 1)
        buddy.check()


def test_statistics() -> None:
    """Sizes by order, both fragmentations as their definitions say, and reset takes all back but for what was."""
    buddy = Buddy(size=4096)
    addresses = [buddy.malloc(size) for size in (1000, 100, 20)]
    now = buddy.statistics
    assert (now.live_blocks, now.live, now.allocated, now.granted) == (3, 1184, 1120, 1184)
    assert now.internal_fragmentation == pytest.approx(64 / 1184)
    assert now.free == 4096 - 1184
    assert now.largest_free == 2048
    assert now.external_fragmentation == pytest.approx(1 - 2048 / 2912)
    assert {row.size: row.live_blocks for row in now.size_classes if row.live_blocks} == {1024: 1, 128: 1, 32: 1}
    assert sum(row.size * row.free_blocks for row in now.size_classes) == now.free
    buddy.reset()
    now = buddy.statistics
    assert (now.live_blocks, now.live, now.free, now.largest_free, now.peak) == (0, 0, 4096, 4096, 1184)
    assert not any(row.live_blocks for row in now.size_classes)
    assert buddy.malloc(4096) <= min(addresses)
    buddy.check()


def test_a_wrong_address_changes_nothing() -> None:
    """Without checked mode, too: freed twice, an address inside of a block and one of a free block are let alone."""
    buddy = Buddy(size=4096)
    address = buddy.malloc(256)
    for wrong in (address + 32, address + 8, buddy.malloc(32) + 32):
        buddy.free(wrong)
    live = buddy.statistics.live
    buddy.free(address)
    buddy.free(address)
    assert buddy.statistics.live == live - 256
    buddy.check()


@pytest.mark.parametrize("kind", ["double free", "overrun", "foreign pointer", "interior pointer", "write after free"])
def test_checked_mode_finds_every_planting(kind: str) -> None:
    """Corruptions of each kind, in blocks of any size among others: each is found, and named."""
    wrong = {"double free": "freed twice", "overrun": "beyond its end", "foreign pointer": "does not belong",
             "interior pointer": "not the beginning", "write after free": "after it was freed"}[kind]  # fmt: skip
    chance = random.Random(kind)
    buddy = Buddy(checked=True)
    others = [buddy.malloc(chance.randrange(1, 3000)) for _ in range(200)]
    foreign = ctypes.create_string_buffer(64)
    for _ in range(PLANTINGS):
        place = chance.randrange(len(others))
        buddy.free(others[place])
        others[place] = buddy.malloc(chance.randrange(1, 3000))
        size = chance.choice([1, 15, 16, 31, 32, 33, 64, 1000, 4096, 70_000])
        address = buddy.malloc(size)
        if kind in ("double free", "write after free"):
            buddy.free(address)
        if kind == "overrun":
            ctypes.memset(address + size + chance.randrange(16), 0, 1)
        elif kind == "write after free":
            ctypes.memset(address + chance.randrange(size), 1, 1)
        at = {
            "foreign pointer": ctypes.addressof(foreign) + chance.randrange(48),
            "interior pointer": address + 1 + chance.randrange(size),
        }.get(kind, address)
        with pytest.raises(Corruption, match=wrong):
            buddy.check() if kind == "write after free" else buddy.free(at)
        if kind == "write after free":
            ctypes.memset(address, 0xDB, size)  # found once, and mended so that the next one counts alone
        elif kind in ("foreign pointer", "interior pointer"):
            buddy.free(address)
    assert buddy.corruptions == PLANTINGS


def test_eight_threads() -> None:
    """Threads allocate, write, free and reallocate at once: each block holds what its thread wrote."""
    buddy = Buddy()
    wrong: list[object] = []

    def work(number: int) -> None:
        chance = random.Random(number)
        mine: list[tuple[int, int]] = []
        for _ in range(3000):
            if mine and chance.random() < 0.5:
                address, size = mine.pop(chance.randrange(len(mine)))
                if ctypes.string_at(address, size) != bytes([number]) * size:
                    wrong.append((number, address))
                buddy.free(address)
            else:
                size = chance.randrange(1, 2000)
                address = buddy.malloc(size)
                ctypes.memset(address, number, size)
                mine.append((address, size))
        for address, _ in mine:
            buddy.free(address)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    now = buddy.statistics
    assert (now.live, now.live_blocks) == (0, 0)
    assert now.free == now.reserved
    buddy.check()


class Model(RuleBasedStateMachine):
    """A dictionary of blocks beside a buddy allocator of 64 KiB."""

    ROOM = 1 << 16

    @initialize(given=st.booleans())
    def begin(self, given: bool) -> None:
        """Live in a mapping of its own, or in given memory that is aligned as that is."""
        self.buddy = Buddy(memory=Buddy(size=MIB).allocate(self.ROOM)) if given else Buddy(size=self.ROOM)
        self.blocks: dict[int, bytes] = {}
        self.rooms: dict[int, int] = {}
        self.chance = random.Random(0)

    def put(self, address: int, size: int, room: int) -> None:
        """Fill the block."""
        self.blocks[address] = bytes([self.chance.randrange(256)]) * size
        self.rooms[address] = room
        ctypes.memmove(address, self.blocks[address], size)

    @rule(size=st.integers(0, 70_000) | st.integers(0, 200), alignment=st.sampled_from([1, 16, 64, 1024]))
    def allocate(self, size: int, alignment: int) -> None:
        """A block is had if some free power of two is large enough."""
        room = room_of(size, alignment)
        before = self.buddy.statistics
        try:
            address = self.buddy.malloc(size, alignment)
        except MemoryError:
            assert before.largest_free < room
            return
        assert before.largest_free >= room
        assert address % room == 0
        assert address not in self.blocks
        self.put(address, size, room)

    @precondition(lambda self: self.blocks)
    @rule(data=st.data())
    def free(self, data: st.DataObject) -> None:
        """It holds what was written until then."""
        address = data.draw(st.integers(0, len(self.blocks) - 1).map(lambda n: list(self.blocks)[n]))
        assert ctypes.string_at(address, len(self.blocks[address])) == self.blocks.pop(address)
        del self.rooms[address]
        self.buddy.free(address)

    @precondition(lambda self: self.blocks)
    @rule(data=st.data(), size=st.integers(1, 70_000) | st.integers(1, 200))
    def reallocate(self, data: st.DataObject, size: int) -> None:
        """What fits is kept; where there is no memory all of it."""
        address = data.draw(st.integers(0, len(self.blocks) - 1).map(lambda n: list(self.blocks)[n]))
        kept = self.blocks[address][:size]
        try:
            moved = self.buddy.reallocate(address, size)
        except MemoryError:
            return
        assert ctypes.string_at(moved, len(kept)) == kept
        del self.blocks[address], self.rooms[address]
        self.put(moved, size, self.buddy.size_of(moved))
        assert self.rooms[moved] >= room_of(size)

    @rule()
    def reset(self) -> None:
        """Nothing is live."""
        self.buddy.reset()
        self.blocks.clear()
        self.rooms.clear()

    @invariant()
    def all_is_as_the_model_says(self) -> None:
        """Blocks do not overlap, hold what was written, and are what the statistics say."""
        if not hasattr(self, "buddy"):
            return
        self.buddy.check()
        last = 0
        for address in sorted(self.blocks):
            assert address >= last
            last = address + self.rooms[address]
            assert ctypes.string_at(address, len(self.blocks[address])) == self.blocks[address]
        now = self.buddy.statistics
        assert now.live_blocks == len(self.blocks)
        assert now.live == sum(self.rooms.values())
        assert now.free == self.ROOM - now.live
        live: dict[int, int] = {}
        for room in self.rooms.values():
            live[room] = live.get(room, 0) + 1
        assert {row.size: row.live_blocks for row in now.size_classes if row.live_blocks} == live


TestModel = Model.TestCase
TestModel.settings = settings(max_examples=60, stateful_step_count=50, deadline=None)


@pytest.mark.parametrize("sanitizer", [None, "thread", "address,undefined"])
def test_program_in_c(tmp_path: Path, sanitizer: str | None) -> None:
    """Compiled alone, without warnings, with each piece of memory refused once and four threads: nothing is wrong."""
    program = make("buddy_stress", tmp_path, sanitizer)
    assert "by each of 4 threads" in run(program, 400_000 if sanitizer is None else 40_000, 4)
