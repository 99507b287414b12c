"""Checked mode: wrong uses of blocks, planted ten thousand times each, and each found when it can first be seen."""

from __future__ import annotations

import ctypes
import random
from collections.abc import Callable

import pytest

from cyx.allocators import Allocator, Corruption, Frame, Pool

PLANTED = 10_000
SIZE = 200
Planting = Callable[[Allocator, random.Random], int]


def poke(address: int, wrong: random.Random) -> int:
    """Make another byte of the one at the address."""
    byte = ctypes.c_ubyte.from_address(address)
    byte.value ^= wrong.randint(1, 255)
    return address


def live(own: Allocator, wrong: random.Random) -> tuple[int, int]:
    """Return a block of some size and alignment, and that size; it was written from end to end."""
    size = wrong.randint(1, SIZE)
    address = own.malloc(size, 1 << wrong.randint(0, 6))
    ctypes.memset(address, wrong.randint(0, 255), size)
    return address, size


def double_free(own: Allocator, wrong: random.Random) -> int:
    """Free a block twice."""
    address, _ = live(own, wrong)
    own.free(address)
    for _ in range(wrong.choice([0, 0, 1, 100])):  # more than wait before they serve again
        own.free(own.malloc(SIZE) if own.name == "frame" else live_elsewhere(own, address))
    own.free(address)
    return address


def live_elsewhere(own: Allocator, address: int) -> int:
    """Return a block that is not at the address."""
    one = own.malloc(5)
    if one != address:
        return one
    other = own.malloc(5)
    own.free(one)
    return other


def overrun(own: Allocator, wrong: random.Random) -> int:
    """Write one of the 16 bytes behind a block."""
    address, size = live(own, wrong)
    poke(address + size + wrong.randint(0, 15), wrong)
    own.free(address)
    return address


def overrun_and_look(own: Allocator, wrong: random.Random) -> int:
    """Write all of some bytes behind a block that stays."""
    address, size = live(own, wrong)
    for i in range(wrong.randint(1, 16)):
        poke(address + size + i, wrong)
    own.check()
    return address


def underrun(own: Allocator, wrong: random.Random) -> int:
    """Write one of the 16 bytes in front of a block."""
    address, _ = live(own, wrong)
    poke(address - wrong.randint(1, 16), wrong)
    own.free(address)
    return address


def foreign_pointer(own: Allocator, wrong: random.Random) -> int:
    """Free memory of somebody else."""
    address = ctypes.addressof(FOREIGN) + wrong.randint(0, 50)
    own.free(address)
    return address


def interior_pointer(own: Allocator, wrong: random.Random) -> int:
    """Free a block by an address inside of it."""
    address = own.malloc(SIZE) + wrong.randint(1, SIZE - 1)
    own.free(address)
    return address


def foreign_size(own: Allocator, wrong: random.Random) -> int:
    """Ask for another size of memory of somebody else."""
    address = ctypes.addressof(FOREIGN) + wrong.randint(0, 50)
    own.reallocate(address, 5)
    return address


def write_after_free(own: Allocator, wrong: random.Random) -> int:
    """Write a byte of a block that was freed, and look."""
    address, size = live(own, wrong)
    own.free(address)
    poke(address + wrong.randrange(size), wrong)
    own.check()
    return address


def write_after_free_found_later(own: Allocator, wrong: random.Random) -> int:
    """Write a byte of a block that was freed, and go on: it is found before its memory serves again."""
    address, size = live(own, wrong)
    own.free(address)
    poke(address + wrong.randrange(size), wrong)
    for _ in range(65):
        own.free(own.malloc(SIZE))
    return address


def free_after_reset(own: Allocator, wrong: random.Random) -> int:
    """Free a block that a reset took back."""
    address, _ = live(own, wrong)
    own.reset()
    own.free(address)
    return address


def write_after_reset(own: Allocator, wrong: random.Random) -> int:
    """Write a byte of a block that a reset took back: found when its memory is handed out again."""
    own.reset()
    size, alignment = wrong.randint(1, SIZE), 1 << wrong.randint(0, 6)
    address = own.malloc(size, alignment)
    for _ in range(wrong.randint(0, 3)):
        live(own, wrong)
    own.reset()
    poke(address + wrong.randrange(size), wrong)
    own.malloc(size, alignment)
    return address


def write_long_after_free(own: Allocator, wrong: random.Random) -> int:
    """Write a byte of a block of a pool that was freed before many others."""
    address, size = live(own, wrong)
    others = [own.malloc(SIZE) for _ in range(70)]
    for each in [address, *others]:
        own.free(each)
    poke(address + wrong.randrange(size), wrong)
    for _ in range(8):
        own.malloc(SIZE)
    return address


FOREIGN = ctypes.create_string_buffer(64)
WRONG: dict[str, list[Planting]] = {
    "was freed twice": [double_free],
    "was written beyond its end": [overrun, overrun_and_look],
    "was written before its beginning": [underrun],
    "does not belong to this allocator": [foreign_pointer, foreign_size],
    "is not the beginning of a block": [interior_pointer],
    "was written after it was freed": [write_after_free, write_after_free_found_later],
    "was used after it was taken back": [free_after_reset, write_after_reset],
}
CASES = [pytest.param(planting, text, id=planting.__name__) for text, plants in WRONG.items() for planting in plants]


@pytest.fixture(params=["pool", "frame"])
def make(request: pytest.FixtureRequest) -> Callable[[], Allocator]:
    """Return a function that makes an allocator in checked mode."""
    return {"pool": lambda: Pool(SIZE, alignment=64, checked=True), "frame": lambda: Frame(checked=True)}[request.param]


@pytest.mark.parametrize(("planting", "text"), CASES)
def test_each_one_is_found(make: Callable[[], Allocator], planting: Planting, text: str) -> None:
    """10,000 of 10,000, named as what they are, with the block; nothing is found where nothing was planted."""
    own = make()
    wrong = random.Random(planting.__name__)
    found = 0
    for number in range(PLANTED):
        if number % 500 == 0:
            own = make()
            for _ in range(100):
                live(own, wrong)
            own.check()
        with pytest.raises(Corruption, match=text):
            planting(own, wrong)
        found += 1
        assert own.corruptions == number % 500 + 1
        if number % 10 == 0:
            own.check()
    assert found == PLANTED


def test_a_pool_remembers_what_it_freed() -> None:
    """However long ago a block of a pool was freed, what is written to it is found when it is handed out again."""
    wrong = random.Random(5)
    for _ in range(200):
        own = Pool(SIZE, alignment=64, checked=True)
        with pytest.raises(Corruption, match="was written after it was freed"):
            write_long_after_free(own, wrong)


@pytest.mark.parametrize("scopes", [1, 3])
def test_the_end_of_a_scope_is_a_reset(scopes: int) -> None:
    """Blocks of an ended scope are none any more; those outside of it are."""
    for _ in range(1000):
        frame = Frame(checked=True)
        outside = frame.malloc(50)
        inside = []
        opened = [frame.scope() for _ in range(scopes)]
        for scope in opened:
            scope.__enter__()
            inside.append(frame.malloc(50))
        for scope in reversed(opened):
            scope.__exit__(None, None, None)
        with pytest.raises(Corruption, match="was used after it was taken back"):
            frame.free(inside[-1])
        ctypes.c_ubyte.from_address(inside[0] + 7).value = 1
        with pytest.raises(Corruption, match="was used after it was taken back"):
            frame.malloc(50)
        frame.free(outside)
        frame.check()


def test_what_is_found_late_takes_no_block() -> None:
    """The call that tells of an earlier mistake hands nothing out, so that nothing is lost."""
    own = Frame(checked=True)
    address = own.malloc(100)
    own.reset()
    ctypes.c_ubyte.from_address(address).value = 1
    with pytest.raises(Corruption):
        own.malloc(100)
    assert own.statistics.live_blocks == 0

    pool = Pool(100, checked=True)
    address = pool.malloc(10)
    poke(address + 10, random.Random(1))
    with pytest.raises(Corruption):
        pool.reallocate(address, 20)
    assert pool.statistics.live_blocks == 0


def test_a_view_that_goes_by_itself_is_told_of() -> None:
    """What its last look found is raised by the next call."""
    pool = Pool(100, checked=True)
    view = pool.allocate(10)
    ctypes.c_ubyte.from_address(ctypes.addressof(ctypes.c_char.from_buffer(view)) + 10).value ^= 255
    del view
    assert pool.corruptions == 1
    with pytest.raises(Corruption, match="beyond its end"):
        pool.check()
    pool.check()


def test_statistics_count_the_guards() -> None:
    """A block has 16 bytes on either side, and what waits after free is not live."""
    frame = Frame(checked=True)
    frame.malloc(100)
    assert frame.statistics.allocated == 132
    frame.free(frame.malloc(100))
    assert frame.statistics.live_blocks == 1
