"""A ring of packets, beside a queue as its model, between threads, processes, and in C under the sanitizers."""

from __future__ import annotations

import ctypes
import itertools
import mmap
import os
import threading
import time
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from c_programs import make, run
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from cyx.allocators import Ring
from cyx.region import Region

ONE_OR_MANY = [(p, c) for p in ("one", "many") for c in ("one", "many")]


def units(size: int) -> int:
    """Return how many pieces of 64 bytes a packet takes."""
    return max(1, -(-size // 64))


class TestPackets:
    """What goes in comes out."""

    @pytest.mark.parametrize(
        "packet", [b"", b"a", bytes(63), bytes(64), bytes(65), bytearray(b"xy"), memoryview(b"abc")]
    )
    def test_any_buffer(self, packet: Any) -> None:
        """Of any size, nothing included, and any sort of buffer."""
        ring = Ring(4096)
        assert ring.push(packet)
        assert ring.pop() == bytes(packet)
        assert ring.pop() is None
        ring.check()

    @pytest.mark.parametrize("capacity", [64, 128, 1024, 65536])
    @pytest.mark.parametrize("before", [0, 1, 3])
    def test_the_whole_capacity(self, capacity: int, before: int) -> None:
        """n - 1 and n bytes fit into an empty ring, wherever its head is, and nothing beside; n + 1 is an error."""
        ring = Ring(capacity)
        assert ring.capacity == ring.largest == capacity
        for _ in range(before):
            assert ring.push(b"x")
            assert ring.pop() == b"x"
        for size in (capacity - 1, capacity, capacity):
            packet = os.urandom(size)
            assert ring.push(packet)
            assert ring.push(b"") is False
            assert ring.pop() == packet
            ring.check()
        with pytest.raises(ValueError, match=f"a packet of {capacity + 1} bytes: at most {capacity}"):
            ring.push(bytes(capacity + 1))
        with pytest.raises(ValueError, match="at most"):
            ring.reserve(capacity + 1)

    def test_back_pressure(self) -> None:
        """A full ring says False and loses nothing; one packet popped makes room for one."""
        ring = Ring(1024)
        assert ring.push_many([bytes([n]) for n in range(100)]) == 16
        assert not ring.push(b"more")
        assert ring.pop() == b"\0"
        assert ring.push(b"more")
        assert not ring.push(b"more")
        assert ring.pop_many(100) == [bytes([n]) for n in range(1, 16)] + [b"more"]
        assert ring.pop_many(1) == []
        assert ring.pop_many(0) == []

    @pytest.mark.parametrize("wrong", [{"capacity": 0}, {"capacity": -1}, {"capacity": 1.5},
                                       {"capacity": 64, "producers": "two"}, {"capacity": 64, "consumers": 1},
                                       {"capacity": 1024, "memory": bytearray(1000)}])  # fmt: skip
    def test_wrong_arguments(self, wrong: dict[str, Any]) -> None:
        """The error names what is wrong."""
        with pytest.raises(ValueError, match=list(wrong)[-1] + "=|size="):
            Ring(**wrong)

    def test_no_memory(self) -> None:
        """What no machine has is refused when the ring is made."""
        with pytest.raises(ValueError, match="8 GiB"):
            Ring((1 << 33) + 1)


class TestInPlace:
    """Packets written and read where they lie."""

    def test_reserve_and_commit(self) -> None:
        """What is reserved is a packet when it is committed, as long as that says, and its view is gone then."""
        ring = Ring(4096)
        view = ring.reserve(100)
        assert view is not None
        assert len(view) == 100
        assert ring.pop() is None
        view[:5] = b"hello"
        ring.commit(view, 5)
        with pytest.raises(ValueError, match="released"):
            view[0]
        assert ring.views == 0
        assert ring.pop() == b"hello"

    def test_what_is_not_committed_is_no_packet(self) -> None:
        """It holds up those behind it as long as it is there, and makes room when it goes."""
        ring = Ring(256)
        view = ring.reserve(100)
        assert ring.push(b"behind")
        assert ring.pop() is None
        del view
        assert ring.pop() == b"behind"
        assert ring.push(bytes(256))
        ring.check()

    def test_take(self) -> None:
        """A packet taken lies in the ring until its view is freed or goes, and takes its room."""
        ring = Ring(256)
        ring.push(b"first" * 20)
        ring.push(b"second" * 20)
        first, second = ring.take(), ring.take()
        assert first is not None
        assert second is not None
        assert ring.owns(first)
        assert not ring.push(b"")
        ring.free(second)
        assert not ring.push(b"")  # it waits for the one before it
        assert bytes(first) == b"first" * 20
        del first
        assert ring.push(bytes(256))
        assert ring.views == 0

    def test_arrays(self) -> None:
        """A block that an array still uses is not committed, and goes with the array; packets are read as arrays."""
        ring = Ring(4096)
        view = ring.reserve(80)
        assert view is not None
        array = np.frombuffer(view, dtype=np.int64)
        with pytest.raises(BufferError):
            ring.commit(view)
        array[:] = range(10)
        assert ring.pop() is None
        assert ring.push(array.tobytes())
        del array, view
        assert ring.views == 0
        taken = ring.take()
        assert taken is not None
        assert list(np.frombuffer(taken, dtype=np.int64)) == list(range(10))

    def test_wrong_views(self) -> None:
        """Only what was reserved here is committed, once, and not more of it than there is."""
        ring, other = Ring(4096), Ring(4096)
        for wrong in (b"x", memoryview(b"x"), other.reserve(1)):
            with pytest.raises(ValueError, match="of this ring"):
                ring.commit(wrong)  # type: ignore[arg-type]
        ring.push(b"abc")
        taken = ring.take()
        assert taken is not None
        with pytest.raises(ValueError, match="taken"):
            ring.commit(taken)
        view = ring.reserve(10)
        assert view is not None
        with pytest.raises(ValueError, match="at most the 10"):
            ring.commit(view, 11)
        ring.commit(view, 0)


class TestAsAnAllocator:
    """The one interface."""

    def test_blocks(self) -> None:
        """Blocks in a row; what is freed makes room when all before it is freed; no room is a MemoryError."""
        ring = Ring(1024)
        addresses = [ring.malloc(100) for _ in range(8)]
        assert [later - first for first, later in itertools.pairwise(addresses)] == [128] * 7
        with pytest.raises(MemoryError):
            ring.malloc(1)
        ring.check()
        for address in addresses[1:]:
            ring.free(address)
        with pytest.raises(MemoryError):
            ring.malloc(1)
        ring.free(addresses[0])
        ring.free(addresses[0])  # nothing begins there any more
        ring.malloc(1024)
        ring.check()

    @pytest.mark.parametrize("alignment", [1, 64, 128, 4096])
    def test_alignment(self, alignment: int) -> None:
        """Blocks at multiples of what was asked for, between others, and round the end."""
        ring = Ring(1 << 16)
        for size in (1, 100, 5000, 3, 20_000) * 40:
            address = ring.malloc(size, alignment)
            assert address % alignment == 0
            ring.free(address)
            assert ring.push(b"x")
            ring.check()
            assert ring.pop() == b"x"

    def test_reallocate(self) -> None:
        """In place within its 64 bytes, else at the tail, with its contents."""
        ring = Ring(1024)
        address = ring.malloc(10)
        ctypes.memset(address, 7, 10)
        assert ring.reallocate(address, 64) == address
        moved = ring.reallocate(address, 65)
        assert moved != address
        assert ctypes.string_at(moved, 10) == bytes([7]) * 10
        with pytest.raises(MemoryError):
            ring.reallocate(moved, 1024)
        assert ctypes.string_at(moved, 10) == bytes([7]) * 10

    def test_a_packet_that_nobody_took_is_not_freed(self) -> None:
        """Its address is not the caller's any more: free lets it alone."""
        ring = Ring(1024)
        ring.push(b"abc")
        ring.free(ctypes.addressof(ctypes.c_char.from_buffer(ring.take())) + 64)  # type: ignore[arg-type]
        address = ring.malloc(3)
        ring.free(address)
        ring.push(b"def")
        ring.free(address + 64)
        assert ring.pop() == b"def"

    def test_statistics_and_reset(self) -> None:
        """Bytes asked for and taken, exact while nobody else uses it; reset takes all back unless a view is alive."""
        ring = Ring(1024)
        ring.push(b"a" * 100)
        ring.push(b"b")
        view = ring.reserve(65)
        now = ring.statistics
        assert (now.live_blocks, now.live, now.allocations, now.allocated, now.granted) == (3, 320, 3, 166, 320)
        assert (now.reserved, now.free, now.largest_free, now.peak) == (1024, 704, 704, 320)
        assert now.internal_fragmentation == pytest.approx(1 - 166 / 320)
        with pytest.raises(BufferError):
            ring.reset()
        del view
        ring.reset()
        now = ring.statistics
        assert (now.live_blocks, now.live, now.free, now.allocations) == (0, 0, 1024, 3)
        assert ring.pop() is None
        assert ring.push(b"c" * 1024)
        assert ring.pop() == b"c" * 1024
        ring.check()


def test_in_given_memory() -> None:
    """All of it lies there, from the first multiple of 128 on, and nothing beside it is written."""
    memory = bytearray(b"\xa5" * 4096)
    ring = Ring(1024, memory=memoryview(memory)[100:2100])
    for n in range(100):
        assert ring.push(bytes([n]) * 100)
        assert ring.pop() == bytes([n]) * 100
    ring.check()
    assert memory[:100] == b"\xa5" * 100
    assert memory[2100:] == b"\xa5" * 1996


def test_forks_share_a_ring_in_shared_memory() -> None:
    """A child pushes, its parent pops: 10,000 packets, each once, whole and in order."""
    ring = Ring(4096, memory=mmap.mmap(-1, 16384))
    child = os.fork()
    end = time.monotonic() + 60
    if not child:
        status = 1
        try:
            for n in range(10_000):
                while not ring.push(n.to_bytes(4, "little") * (n % 100)):
                    assert time.monotonic() < end
                    time.sleep(0)
            status = 0
        finally:
            os._exit(status)
    for n in range(10_000):
        while (packet := ring.pop()) is None:
            assert time.monotonic() < end
            time.sleep(0)
        assert packet == n.to_bytes(4, "little") * (n % 100)
    assert os.waitpid(child, 0)[1] == 0


def test_in_a_region() -> None:
    """Huge pages or a node of one's choice: a region is memory as any other."""
    ring = Ring(1 << 20, memory=Region(4 << 20, kind="thp"))
    assert ring.push(b"abc" * 1000)
    assert ring.pop() == b"abc" * 1000


@pytest.mark.parametrize(("producers", "consumers"), [(4, 4), (1, 1), (1, 7), (7, 1)])
def test_threads(producers: int, consumers: int) -> None:
    """Each packet is popped once and whole, and each consumer has those of one producer in its order."""
    packets = 3000
    ring = Ring(2048, producers="many" if producers > 1 else "one", consumers="many" if consumers > 1 else "one")
    popped: list[list[tuple[int, int]]] = [[] for _ in range(consumers)]
    wrong: list[bytes] = []
    done = threading.Event()

    def produce(producer: int) -> None:
        for number in range(packets):
            while not ring.push(b"%d %d " % (producer, number) + bytes([number % 251]) * (number % 300)):
                time.sleep(0)

    def consume(mine: list[tuple[int, int]]) -> None:
        while True:
            last = done.is_set()
            packet = ring.pop()
            if packet is None:
                if last:
                    return
                time.sleep(0)
                continue
            producer, number, body = packet.split(b" ", 2)
            if body != bytes([int(number) % 251]) * (int(number) % 300):
                wrong.append(packet)
            mine.append((int(producer), int(number)))

    makers = [threading.Thread(target=produce, args=(n,)) for n in range(producers)]
    takers = [threading.Thread(target=consume, args=(mine,)) for mine in popped]
    for thread in makers + takers:
        thread.start()
    for thread in makers:
        thread.join()
    done.set()
    for thread in takers:
        thread.join()
    assert not wrong
    assert sorted(itertools.chain.from_iterable(popped)) == [(p, n) for p in range(producers) for n in range(packets)]
    for mine in popped:
        for producer in range(producers):
            numbers = [n for p, n in mine if p == producer]
            assert numbers == sorted(numbers)
    ring.check()
    assert ring.statistics.live_blocks == 0


class Model(RuleBasedStateMachine):
    """A queue of packets, of which some are reserved or taken, beside a ring of 16 pieces."""

    @initialize(how=st.sampled_from(ONE_OR_MANY))
    def begin(self, how: tuple[str, str]) -> None:
        """Make the ring."""
        self.ring = Ring(1024, producers=how[0], consumers=how[1])  # type: ignore[arg-type]
        self.queue: deque[list[Any]] = deque()  # from the oldest that takes room: [state, bytes or view]
        self.allocations = self.asked = 0

    def put(self, state: str, what: object, size: int) -> None:
        """Note a block."""
        self.queue.append([state, what, size])
        self.allocations += 1
        self.asked += size

    def gone(self) -> None:
        """Forget what makes room."""
        while self.queue and self.queue[0][0] == "gone":
            self.queue.popleft()

    def used(self) -> int:
        """Return the pieces of all that was not given back, without padding."""
        return sum(units(size) for _, _, size in self.queue)

    @rule(packet=st.binary(max_size=1100) | st.binary(max_size=70))
    def push(self, packet: bytes) -> None:
        """What fits beside the others fits, unless padding is in its way; into an empty ring it fits."""
        if len(packet) > 1024:
            with pytest.raises(ValueError, match="at most 1024"):
                self.ring.push(packet)
            return
        room = self.ring.statistics.largest_free
        pushed = self.ring.push(packet)
        assert pushed == (units(len(packet)) * 64 <= room)
        if pushed:
            self.put("published", packet, len(packet))
        else:
            assert self.queue

    @rule(size=st.integers(0, 300))
    def reserve(self, size: int) -> None:
        """A view, or None where push would say False."""
        room = self.ring.statistics.largest_free
        view = self.ring.reserve(size)
        assert (view is not None) == (units(size) * 64 <= room)
        if view is not None:
            view[:] = bytes([self.allocations % 256]) * size
            self.put("reserved", view, size)

    @precondition(lambda self: any(entry[0] == "reserved" for entry in self.queue))
    @rule(data=st.data(), commit=st.booleans())
    def commit_or_let_go(self, data: st.DataObject, commit: bool) -> None:
        """A packet of what the view held, or none."""
        entry = data.draw(st.sampled_from(range(len(self.queue))).map(lambda n: self.queue[n]))
        if entry[0] != "reserved":
            return
        if commit:
            packet = bytes(entry[1])
            self.ring.commit(entry[1])
            entry[:2] = "published", packet
        else:
            self.ring.free(entry[1])
            entry[:2] = "gone", None
        self.gone()

    def oldest(self) -> list[Any] | None:
        """Return the packet that a consumer has next, if it is published."""
        for entry in self.queue:
            if entry[0] not in ("taken", "gone"):
                return entry if entry[0] == "published" else None
        return None

    @rule(keep=st.booleans())
    def consume(self, keep: bool) -> None:
        """The oldest packet, unless an older block is neither packet nor freed."""
        entry = self.oldest()
        got = self.ring.take() if keep else self.ring.pop()
        if entry is None:
            assert got is None
            return
        assert got == entry[1]
        entry[:2] = ("taken", (got, entry[1])) if keep else ("gone", None)
        del got
        self.gone()

    @precondition(lambda self: any(entry[0] == "taken" for entry in self.queue))
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        """A packet stays as it was until it is freed, in any order."""
        entry = data.draw(st.sampled_from(range(len(self.queue))).map(lambda n: self.queue[n]))
        if entry[0] == "taken":
            view, packet = entry[1]
            assert view == packet
            self.ring.free(view)
            entry[:2] = "gone", None
            self.gone()

    @invariant()
    def all_is_as_the_model_says(self) -> None:
        """Statistics are exact while nobody else uses it."""
        if not hasattr(self, "ring"):
            return
        self.ring.check()
        now = self.ring.statistics
        live = [entry for entry in self.queue if entry[0] != "gone"]
        assert now.live_blocks == len(live)
        assert now.live == sum(units(size) for _, _, size in live) * 64
        assert (now.allocations, now.allocated) == (self.allocations, self.asked)
        assert now.free <= 1024 - self.used() * 64
        if not self.queue:
            assert now.free == 1024
        for state, what, _ in self.queue:
            if state == "taken":
                assert what[0] == what[1]


TestModel = Model.TestCase
TestModel.settings = settings(max_examples=80, stateful_step_count=50, deadline=None)


@pytest.mark.parametrize("sanitizer", [None, "thread", "address,undefined"])
@pytest.mark.parametrize(("producers", "consumers"), [(4, 4), (1, 1), (4, 1), (1, 4)])
def test_program_in_c(tmp_path: Path, sanitizer: str | None, producers: int, consumers: int) -> None:
    """Random packets, some given up, through rings that are nearly always full: each once, whole, and in order."""
    program = make("ring_stress", tmp_path, sanitizer)
    for capacity in (128, 4096):
        run(program, 100_000 if sanitizer is None else 10_000, producers, consumers, capacity)
