"""What all allocators have in common: views that keep their blocks, errors that change nothing, given memory."""

from __future__ import annotations

import contextlib
import gc
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cyx import hugepages
from cyx.allocators import Allocator, Corruption, Frame, Pool
from cyx.region import Region

MIB = 1 << 20
Maker = Callable[..., Allocator]
MAKERS: dict[str, Maker] = {
    "pool": lambda **keywords: Pool(256, **keywords),
    "frame": Frame,
}


@pytest.fixture(params=MAKERS)
def make(request: pytest.FixtureRequest) -> Maker:
    """Return a function that makes an allocator; its blocks have at least 256 bytes."""
    return MAKERS[request.param]


@pytest.fixture(params=["plain", "checked"])
def allocator(request: pytest.FixtureRequest, make: Maker) -> Allocator:
    """Return an allocator, with guards round its blocks or without."""
    return make(checked=request.param == "checked")


def address_of(view: memoryview) -> int:
    """Return where the view begins, as NumPy tells."""
    return int(np.frombuffer(view, np.uint8).ctypes.data)


def mappings() -> int:
    """Return how many mappings this process has."""
    return Path("/proc/self/maps").read_bytes().count(b"\n")


class Own(Pool):
    """With attributes."""

    view: memoryview


class Memory(bytearray):
    """With attributes."""

    pool: Own


class TestViews:
    """What allocate() returns."""

    def test_is_writable_memory_of_the_size(self, allocator: Allocator) -> None:
        """As many bytes as were asked for, to write and to read, in the allocator's memory."""
        view = allocator.allocate(100)
        view[:] = bytes(range(100))

        assert (len(view), view.readonly, view.format, bytes(view)) == (100, False, "B", bytes(range(100)))
        assert allocator.owns(view)
        assert allocator.owns(address_of(view))
        assert not allocator.owns(bytearray(5))

    @pytest.mark.parametrize("alignment", [1, 2, 8, 16])
    def test_alignment(self, allocator: Allocator, alignment: int) -> None:
        """Blocks begin at multiples of what was asked for."""
        for size in (1, 3, 17, 100):
            assert allocator.malloc(size, alignment) % alignment == 0

    def test_goes_back_with_the_last_view(self, allocator: Allocator) -> None:
        """Slices, casts and arrays keep the block, whatever becomes of the first view."""
        view = allocator.allocate(64)
        view[:] = b"7" * 64
        array = np.frombuffer(view[8:16], np.uint8)
        cast = view.cast("I")
        view.release()
        del view
        assert (allocator.views, allocator.statistics.live_blocks) == (1, 1)
        assert (bytes(array), cast[15]) == (b"7" * 8, 0x37373737)
        del array
        assert allocator.views == 1
        del cast
        assert (allocator.views, allocator.statistics.live_blocks) == (0, 0)

    def test_keeps_the_allocator(self, make: Maker) -> None:
        """The memory stays as long as a view, though nobody else has the allocator any more."""
        view = make().allocate(200)
        gc.collect()
        view[:] = b"x" * 200
        assert bytes(view) == b"x" * 200

    @pytest.mark.parametrize("checked", [False, True])
    def test_a_cycle_is_collected(self, checked: bool) -> None:
        """An allocator that holds a view of itself, and lives in memory that holds it, goes with its mapping."""

        for _ in range(20):
            memory = Memory(64 * 1024)
            memory.pool = Own(256, memory=memory, checked=checked)
            memory.pool.view = memory.pool.allocate(10)
            del memory
            own = Own(256, checked=checked)
            own.view = own.allocate(10)
            del own
        gc.collect()
        assert not [each for each in gc.get_objects() if isinstance(each, (Own, Memory))]

    def test_a_cycle_is_collected_from_any_of_its_parts(self) -> None:
        """The collector may begin with what keeps the memory in place: it can clear that, and CPython stays alive."""
        memory = Memory(64 * 1024)
        memory.pool = Own(256, memory=memory)
        memory.pool.view = memory.pool.allocate(10)
        kept = [each for each in gc.get_referents(memory.pool) if isinstance(each, memoryview)]
        assert kept
        del memory
        gc.collect()  # what it comes upon first, here by the list, is what it begins with once it is garbage
        del kept
        gc.collect()
        assert not [each for each in gc.get_objects() if isinstance(each, (Own, Memory))]

    def test_a_block_that_went_back_has_no_bytes(self, allocator: Allocator) -> None:
        """What a view was made of is of no use after free."""
        view = allocator.allocate(10)
        block: Any = view.obj
        allocator.free(view)
        with pytest.raises(BufferError, match="has gone back"):
            memoryview(block)
        with pytest.raises(TypeError, match="allocate"):
            type(block)()

    def test_names(self) -> None:
        """Each says what it is."""
        assert [make().name for make in MAKERS.values()] == list(MAKERS)


class TestFree:
    """Taking blocks back by hand."""

    def test_makes_the_view_useless(self, allocator: Allocator) -> None:
        """The view is released, and the block counts no more."""
        view = allocator.allocate(10)
        allocator.free(view)
        assert allocator.statistics.live_blocks == allocator.views == 0
        with pytest.raises(ValueError, match="released"):
            len(view)
        with pytest.raises(ValueError, match="released, or its block freed"):
            allocator.free(view)

    @pytest.mark.parametrize(
        "use",
        [
            lambda view: view[2:],
            lambda view: view.cast("H"),
            memoryview,
            lambda view: memoryview(view.obj),
            lambda view: np.frombuffer(view, np.uint8),
            lambda view: np.frombuffer(view[4:], np.uint8)[::2],
        ],
        ids=["slice", "cast", "view", "block", "array", "strided array"],
    )
    @pytest.mark.parametrize(
        "act", [Allocator.free, lambda own, view: own.reallocate(view, 200)], ids=["free", "reallocate"]
    )
    def test_refuses_while_used(
        self, allocator: Allocator, use: Callable[[memoryview], Any], act: Callable[[Allocator, Any], Any]
    ) -> None:
        """Anything else that looks at the block keeps it, and the view that was to go stays as it was."""
        view = allocator.allocate(100)
        view[:] = b"k" * 100
        other = use(view)
        before = allocator.statistics
        with pytest.raises(BufferError, match="last one of them"):
            act(allocator, view)
        assert (bytes(view), allocator.statistics, allocator.views) == (b"k" * 100, before, 1)
        del other
        act(allocator, view)

    def test_a_part_of_a_view_is_as_good(self, allocator: Allocator) -> None:
        """A slice that is alone stands for its block."""
        part = allocator.allocate(100)[10:20]
        allocator.free(part)
        assert allocator.statistics.live_blocks == 0

    def test_addresses(self, allocator: Allocator) -> None:
        """What malloc returned is live until free, without a view."""
        address = allocator.malloc(10)
        assert (allocator.statistics.live_blocks, allocator.views) == (1, 0)
        assert allocator.size_of(address) >= 10
        allocator.free(address)
        assert allocator.statistics.live_blocks == 0

    @pytest.mark.parametrize("wrong", [None, "x", 1.5, b"xyz", 0, -1, 1 << 64])
    def test_what_is_no_block(self, allocator: Allocator, wrong: Any) -> None:
        """A ValueError; nothing changes."""
        with pytest.raises(ValueError, match=r"no address|is needed|does not belong"):
            allocator.free(wrong)
        with pytest.raises(ValueError, match=r"no address|is needed|does not belong"):
            allocator.reallocate(wrong, 5)
        assert allocator.statistics.allocations == 0

    def test_blocks_of_others(self, make: Maker) -> None:
        """A view or an address of another allocator is refused."""
        mine, other = make(), make()
        view = other.allocate(10)
        for act in (mine.free, lambda block: mine.reallocate(block, 5)):
            with pytest.raises(ValueError, match="not one from allocate"):
                act(view)
            with pytest.raises(ValueError, match="does not belong to this"):
                act(address_of(view))
            with pytest.raises(ValueError, match="not one from allocate"):
                act(memoryview(bytearray(5)))
        assert other.views == 1


class TestReallocate:
    """Other sizes of the same block."""

    @pytest.mark.parametrize("size", [0, 1, 99, 100, 101, 250])
    def test_keeps_what_fits(self, allocator: Allocator, size: int) -> None:
        """The new block begins with the bytes of the old one, which is no longer."""
        view = allocator.allocate(100)
        view[:] = bytes(range(100))
        behind = allocator.allocate(16)
        new = allocator.reallocate(view, size)

        assert len(new) == size
        assert bytes(new[:100]) == bytes(range(100))[:size]
        assert allocator.statistics.live_blocks == allocator.views == 2
        with pytest.raises(ValueError, match="released"):
            len(view)
        new[:] = b"n" * size
        assert len(behind) == 16

    def test_addresses(self, allocator: Allocator) -> None:
        """An address for an address, and the block counts as one."""
        address = allocator.reallocate(allocator.malloc(10), 200)
        assert allocator.statistics.live_blocks == 1
        allocator.free(address)

    def test_without_memory(self, allocator: Allocator) -> None:
        """MemoryError, and the old view is what it was."""
        view = allocator.allocate(100)
        view[:] = b"o" * 100
        with pytest.raises(MemoryError):
            allocator.reallocate(view, 1 << 60)
        assert bytes(view) == b"o" * 100
        assert allocator.views == allocator.statistics.live_blocks == 1


class TestErrors:
    """Arguments that cannot be."""

    @pytest.mark.parametrize("size", [-1, 1.5, "5", None, (1 << 62) + 1])
    def test_sizes(self, allocator: Allocator, size: Any) -> None:
        """One line that names the argument."""
        with pytest.raises(ValueError, match=r"^size="):
            allocator.allocate(size)
        with pytest.raises(ValueError, match=r"^size="):
            allocator.malloc(size)

    @pytest.mark.parametrize("alignment", [0, -8, 3, 24, 1.5, "16", 1 << 21])
    def test_alignments(self, allocator: Allocator, alignment: Any) -> None:
        """One line that names the argument."""
        with pytest.raises(ValueError, match=r"^alignment="):
            allocator.allocate(8, alignment)

    def test_integers_of_numpy(self, allocator: Allocator) -> None:
        """They are sizes too."""
        assert len(allocator.allocate(np.int32(5), np.uint8(8))) == 5  # type: ignore[arg-type]

    @pytest.mark.parametrize("size", [1 << 62, 1 << 50])
    def test_more_than_there_is(self, allocator: Allocator, size: int) -> None:
        """MemoryError with the size; the next call is served."""
        with pytest.raises(MemoryError, match=f"no memory for {size} bytes"):
            allocator.allocate(size)
        allocator.check()
        allocator.allocate(100)

    def test_the_base_is_none_itself(self) -> None:
        """Allocator has no memory to give, and neither have classes made of it alone."""

        class Own(Allocator):
            """Without an allocator."""

        class Based(Frame):
            """With one."""

        for kind in (Allocator, Own):
            with pytest.raises(TypeError, match="derive from"):
                kind()
        assert Based().allocate(5).nbytes == 5

    def test_limits_that_cannot_be(self, allocator: Allocator) -> None:
        """A number of times, or None."""
        for times in (-1, 1.5, "1"):
            with pytest.raises(ValueError, match=r"^times="):
                allocator.limit_growth(times)  # type: ignore[arg-type]


@pytest.fixture
def memory_of(pool: Callable[[int, int], None]) -> Iterator[Callable[[str], Any]]:
    """Return a function that makes 4 MiB of memory of a kind."""
    with contextlib.ExitStack() as at_the_end:

        def make(kind: str) -> Any:
            if kind == "bytearray":
                return bytearray(b"\xa5" * 4 * MIB)
            if kind == "array":
                return np.full(MIB // 2, 1.5)
            if kind == "hugetlb":
                pool(2, hugepages.default_size())
            region = Region(2 * hugepages.default_size() if kind == "hugetlb" else 4 * MIB, kind=kind)
            at_the_end.callback(region.discard)
            return region

        yield make


KINDS = ["anonymous", "memfd", "thp", "hugetlb", "bytearray", "array"]


class TestGivenMemory:
    """Allocators that live in memory of somebody else."""

    @pytest.mark.parametrize("checked", [False, True])
    @pytest.mark.parametrize("kind", KINDS)
    def test_lives_in_it(self, make: Maker, memory_of: Callable[[str], Any], kind: str, checked: bool) -> None:
        """Each block lies in it, all of it serves, and then there is no more."""
        memory = memory_of(kind)
        own = make(memory=memory, checked=checked)
        begin = np.frombuffer(memory, np.uint8).ctypes.data
        size = memoryview(memory).nbytes
        addresses = []
        with contextlib.suppress(MemoryError):
            while True:
                addresses.append(own.malloc(256))
        assert all(begin <= address and address + 256 <= begin + size for address in addresses)
        assert size * (0.7 if checked else 0.9) < len(addresses) * 256
        assert own.memory is memory
        assert own.statistics.reserved == size
        with pytest.raises(MemoryError, match=f"in the {size} it was given"):
            own.malloc(256)
        own.check()
        own.reset()
        own.free(own.malloc(256))
        own.check()

    def test_memory_that_is_used_stays(self, make: Maker) -> None:
        """A region cannot be closed, nor a bytearray resized, before the allocator and its views are gone."""
        for memory, act in ((Region(MIB), Region.close), (bytearray(MIB), bytearray.clear)):
            own = make(memory=memory)
            view = own.allocate(10)
            for _ in range(2):
                with pytest.raises(BufferError):
                    act(memory)  # type: ignore[operator]
                own = None  # type: ignore[assignment]
            del view
            act(memory)  # type: ignore[operator]

    @pytest.mark.parametrize("shift", range(0, 64, 7))
    def test_odd_places(self, make: Maker, shift: int) -> None:
        """Memory that begins and ends anywhere gives aligned blocks that lie in it."""
        memory = memoryview(bytearray(2048))[shift : 2048 - shift // 3]
        own = make(memory=memory)
        begin = address_of(memory)
        for _ in range(3):
            address = own.malloc(256)
            assert address % 16 == 0
            assert begin <= address <= begin + len(memory) - 256
        own.check()
        own.reset()
        own.check()

    @pytest.mark.parametrize(
        ("memory", "error", "message"),
        [
            (b"abc", ValueError, "writable"),
            (bytearray(), ValueError, "at least a byte"),
            (np.zeros((8, 8))[:, ::2], ValueError, "contiguous"),
            (np.array([None, 1]), ValueError, "Python objects"),
            (5, TypeError, "Region"),
            ("text", TypeError, "Region"),
        ],
        ids=["bytes", "empty", "strided", "objects", "int", "str"],
    )
    def test_what_cannot_be_lived_in(self, make: Maker, memory: Any, error: type[Exception], message: str) -> None:
        """One line that says what is needed."""
        with pytest.raises(error, match=f"^memory: .*{message}"):
            make(memory=memory)

    def test_too_little(self, make: Maker) -> None:
        """A byte holds no block: MemoryError, and a valid state."""
        own = make(memory=bytearray(1))
        with pytest.raises(MemoryError, match="in the 1 it was given"):
            own.allocate(1)
        own.check()
        own.reset()


class TestWithoutMemory:
    """The system gives no more, from whatever moment on."""

    @pytest.mark.parametrize("checked", [False, True])
    @pytest.mark.parametrize("make", [lambda **keywords: Pool(64 * 1024, **keywords), Frame], ids=MAKERS)
    @pytest.mark.parametrize("times", range(10))
    def test_at_each_point(self, make: Maker, times: int, checked: bool) -> None:
        """MemoryError, all blocks are what they were, and it goes on when there is memory again."""
        allocator = make(checked=checked)
        allocator.limit_growth(times)
        blocks: list[memoryview] = []
        with pytest.raises(MemoryError):  # noqa: PT012
            for i in range(1 << 16):
                blocks.append(allocator.allocate(64 * 1024))
                blocks[-1][:2] = i.to_bytes(2, "little")
        allocator.check()
        assert len(blocks) == allocator.statistics.live_blocks == allocator.views
        assert all(bytes(block[:2]) == i.to_bytes(2, "little") for i, block in enumerate(blocks))
        allocator.limit_growth(None)
        allocator.allocate(256)
        blocks.clear()
        allocator.reset()
        allocator.check()

    def test_an_address_space_that_is_full(self, allocator: Allocator) -> None:
        """The same where the kernel refuses: RLIMIT_AS in a fork."""
        import resource

        child = os.fork()
        if child == 0:
            status = 1
            with contextlib.suppress(BaseException):
                used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGESIZE")
                resource.setrlimit(resource.RLIMIT_AS, (used + 64 * MIB, resource.RLIM_INFINITY))
                count = 0
                try:
                    while count < 10**7:
                        allocator.malloc(256)
                        count += 1
                except MemoryError:
                    allocator.check()
                    full = allocator.statistics.reserved > 30 * MIB
                    status = 0 if full and allocator.statistics.live_blocks == count else 2
            os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


class TestThreads:
    """The calls from several threads."""

    def test_eight(self, allocator: Allocator) -> None:
        """Each finds its bytes as it left them, and the figures add up."""
        rounds, failures = 400, []

        def work(number: int) -> None:
            mine: list[memoryview] = []
            for i in range(rounds):
                view = allocator.allocate(1 + (i * 7 + number) % 200)
                view[:] = bytes([number]) * len(view)
                mine.append(view)
                if i % 3 == 0:
                    old = mine.pop(i * 31 % len(mine))
                    if bytes(old) != bytes([number]) * len(old):
                        failures.append(number)
                    allocator.free(old)
            failures.extend(number for view in mine if bytes(view) != bytes([number]) * len(view))

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failures
        assert allocator.statistics.allocations == 8 * rounds
        assert allocator.statistics.live_blocks == allocator.views == 0
        allocator.check()

    def test_forks_while_others_allocate(self, allocator: Allocator) -> None:
        """The child can use it, whatever other threads did at that moment."""
        done = threading.Event()

        def work() -> None:
            while not done.is_set():
                allocator.free(allocator.malloc(100))

        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(20):
                child = os.fork()
                if child == 0:
                    status = 1
                    try:
                        allocator.free(allocator.malloc(100))
                        allocator.check()
                        status = 0
                    finally:
                        os._exit(status)
                assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        finally:
            done.set()
            for thread in threads:
                thread.join()
        allocator.check()


@pytest.mark.usefixtures("no_garbage")
class TestLeftovers:
    """What is there afterwards."""

    def test_nothing(self, make: Maker) -> None:
        """1,000 of them, with views that outlive them, leave no mapping."""
        before = mappings()
        for i in range(1000):
            own = make(checked=i % 2 == 0)
            view = own.allocate(100)
            own.malloc(50)
            del own
            view[0] = 1
            del view
        gc.collect()
        assert mappings() - before < 10

    def test_nothing_of_many_spans(self, make: Maker) -> None:
        """Nor does one that has grown."""
        before = mappings()
        own = make()
        for _ in range(100_000):
            own.malloc(250)
        assert own.statistics.reserved > 25_000_000
        del own
        assert mappings() - before < 10


def test_corruption_says_what_and_where() -> None:
    """Its text and its attributes name the block and the mistake."""
    own = Pool(64, checked=True)
    address = own.malloc(64)
    own.free(address)
    with pytest.raises(Corruption, match=f"^the block at {address:#x} was freed twice$") as found:
        own.free(address)
    assert (found.value.address, found.value.wrong) == (address, "was freed twice")
