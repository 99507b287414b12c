"""Mapped memory of every kind: what it holds, how it ends, what is refused."""

from __future__ import annotations

import contextlib
import gc
import mmap
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cyx import hugepages
from cyx.region import KINDS, Region

CONTENT = os.urandom(300_001)
MIB = 1024 * 1024
PAGE = mmap.PAGESIZE


def mappings_of(path: Path) -> int:
    """Return how many mappings of the file this process has."""
    return Path("/proc/self/maps").read_text().count(str(path))


def mappings() -> int:
    """Return how many mappings this process has."""
    return len(Path("/proc/self/maps").read_text().splitlines())


def is_mapped(address: int) -> bool:
    """Tell whether the address belongs to a mapping that can be read."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        start, end = (int(word, 16) for word in line.split()[0].split("-"))
        if start <= address < end:
            return "r" in line.split()[1]
    return False


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return a file with the content."""
    path = tmp_path / "content.bin"
    path.write_bytes(CONTENT)
    return path


@pytest.fixture
def region(path: Path) -> Iterator[Region]:
    """Return the file mapped to be read."""
    with open(path, "rb") as file:
        region = Region(kind="file", fd=file.fileno(), writable=False)
    yield region
    region.discard()


@pytest.fixture
def make(path: Path, pool: Callable[[int, int], None]) -> Iterator[Callable[..., Region]]:
    """Return a function that makes a region of a kind, of as many bytes as the content has."""
    with contextlib.ExitStack() as at_the_end:

        def make(kind: str, **keywords: Any) -> Region:
            if kind == "file":
                with open(path, "r+b") as file:
                    region = Region(kind=kind, fd=file.fileno(), **keywords)
            else:
                if kind == "hugetlb":
                    pool(1, hugepages.default_size())
                region = Region(len(CONTENT), kind=kind, **keywords)
            at_the_end.callback(region.discard)
            return region

        yield make


class TestEveryKind:
    """What all of them do."""

    @pytest.mark.parametrize("kind", KINDS)
    def test_holds_what_is_written(self, make: Callable[..., Region], kind: str) -> None:
        """It has the size asked for, and keeps what is written to its first and last byte."""
        region = make(kind)
        view = memoryview(region)
        view[0] = view[-1] = 7

        assert len(view) == len(region) == region.size == len(CONTENT)
        assert region.mapped % region.page_size == 0
        assert region.mapped >= region.size
        assert bytes(region)[0] == bytes(region)[-1] == 7

    @pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "file"])
    def test_begins_with_zeros(self, make: Callable[..., Region], kind: str) -> None:
        """New memory is zero."""
        assert not make(kind).array.any()

    @pytest.mark.parametrize("kind", KINDS)
    def test_cannot_be_written_where_that_was_not_asked_for(self, make: Callable[..., Region], kind: str) -> None:
        """Neither a view nor an array can."""
        region = make(kind, writable=False)
        with pytest.raises(TypeError, match="read-only"):
            memoryview(region)[0] = 1

        assert not region.array.flags.writeable

    @pytest.mark.parametrize("kind", KINDS)
    def test_begins_at_a_block_of_2_mib(self, make: Callable[..., Region], kind: str) -> None:
        """The address is aligned, so that fault counts do not depend on luck."""
        region = make(kind)

        assert region.address == region.array.ctypes.data
        assert region.address % (2 * MIB) == 0
        assert region.alignment >= 2 * MIB
        assert region.address % region.alignment == 0

    @pytest.mark.parametrize("kind", KINDS)
    def test_has_no_neighbours(self, make: Callable[..., Region], kind: str) -> None:
        """The pages before and behind cannot be read."""
        region = make(kind)

        assert is_mapped(region.address)
        assert is_mapped(region.address + region.mapped - 1)
        assert not is_mapped(region.address - 1)
        assert not is_mapped(region.address + region.mapped)

    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("shared", [False, True])
    def test_shared_memory_is_what_a_fork_writes(self, make: Callable[..., Region], kind: str, shared: bool) -> None:
        """A child's writing shows in shared memory, and in a memory file, only."""
        region = make(kind, shared=shared)
        array = region.array
        array[5] = 1
        child = os.fork()
        if child == 0:
            if kind != "hugetlb" or shared:  # the one page of the pool is taken
                array[5] = 2
            os._exit(0)
        os.waitpid(child, 0)

        assert array[5] == (2 if shared or kind == "memfd" else 1)


class TestFile:
    """A region of a file."""

    def test_shows_the_file(self, region: Region) -> None:
        """All bytes, and no more, whatever the page size."""
        assert bytes(region) == CONTENT

    @pytest.mark.parametrize(("offset", "size"), [(PAGE, None), (PAGE, 1), (2 * PAGE, PAGE + 1), (0, len(CONTENT))])
    def test_shows_a_part(self, path: Path, offset: int, size: int | None) -> None:
        """From an offset on, as much as was asked for."""
        with open(path, "rb") as file, Region(size, kind="file", fd=file.fileno(), offset=offset) as region:
            assert bytes(region) == CONTENT[offset : None if size is None else offset + size]

    @pytest.mark.parametrize("shared", [False, True])
    def test_is_written_where_it_is_shared(self, path: Path, shared: bool) -> None:
        """What is written to a private one stays there."""
        with open(path, "r+b") as file, Region(kind="file", fd=file.fileno(), shared=shared) as region:
            memoryview(region)[:3] = b"new"

        assert path.read_bytes() == (b"new" if shared else CONTENT[:3]) + CONTENT[3:]

    def test_keeps_the_file_open_until_it_is_closed(self, region: Region, path: Path) -> None:
        """It has a descriptor of its own, and gives it back."""
        fd = region.fd
        assert os.readlink(f"/proc/self/fd/{fd}") == str(path)
        region.close()

        assert not Path(f"/proc/self/fd/{fd}").exists()
        assert region.fd == -1


class TestMemoryFile:
    """A region of a file without a name."""

    def test_can_be_mapped_by_others(self) -> None:
        """Another mapping of its descriptor is the same memory."""
        with Region(10 * PAGE, kind="memfd") as region, mmap.mmap(region.fd, 10 * PAGE) as other:
            other[7] = 9
            assert memoryview(region)[7] == 9


class TestHugePages:
    """Regions on huge pages, against what the pool says."""

    @pytest.mark.parametrize("page_size", hugepages.sizes(), ids=str)
    @pytest.mark.parametrize("kind", ["hugetlb", "memfd"])
    def test_each_size_of_this_machine(self, pool: Callable[[int, int], None], kind: str, page_size: int) -> None:
        """A page is reserved when it is mapped, taken when it is touched, given back when the region is closed."""
        pool(1, page_size)
        seen = []
        for _ in range(5):  # others may touch theirs, or let go of them, at the same time
            before = hugepages.pool(page_size)
            with Region(5, kind=kind, page_size=page_size) as region:
                promised = hugepages.pool(page_size)
                memoryview(region)[0] = 1
                taken = hugepages.pool(page_size)
                assert region.page_size == region.mapped == region.huge == region.resident == page_size
                assert region.huge_coverage == 1.0
            pools = promised, taken, hugepages.pool(page_size)
            seen.append([(pool.available - before.available, pool.free - before.free) for pool in pools])

        assert [(-1, 0), (-1, -1), (0, 0)] in seen

    def test_without_pages(self) -> None:
        """More than the pool has is an OSError that says how many there are."""
        available = hugepages.pool(hugepages.default_size()).available
        size = (available + 1) * hugepages.default_size()
        with pytest.raises(OSError, match=f"{available + 1} huge pages of .* are needed, {available} are to be had"):
            Region(size, kind="hugetlb")

    @pytest.mark.parametrize("shared", [False, True])
    def test_one_fault_for_each(self, pool: Callable[[int, int], None], shared: bool) -> None:
        """Four reserved huge pages are four faults, but for what Python itself takes at times."""
        size = hugepages.default_size()
        pool(4, size)
        counts = []
        for _ in range(5):
            with Region(4 * size, kind="hugetlb", shared=shared) as region, memoryview(region) as view:
                before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
                for place in range(0, len(view), PAGE):
                    view[place] = 1
                counts.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)

        assert min(counts) == 4

    def test_transparent_ones(self) -> None:
        """They come without asking for any other size, unless the machine has run out of free ones."""
        if hugepages.thp_setting() in (None, "never"):
            pytest.skip("this kernel gives no transparent huge pages")
        size = hugepages.thp_size()
        with Region(3 * size - 5, kind="thp") as region:
            region.populate()
            assert region.mapped == region.resident == 3 * size
            assert region.huge_coverage == 1.0


class TestClose:
    """``close``: the memory is given back, or it is said why not."""

    @pytest.mark.parametrize("kind", KINDS)
    def test_unmaps(self, make: Callable[..., Region], kind: str) -> None:
        """The addresses are free again; a second close changes nothing, and nothing else can be done any more."""
        region = make(kind)
        address = region.address
        region.close()
        region.close()

        assert not is_mapped(address)
        assert region.closed
        for act in (lambda: memoryview(region), region.populate, region.usage, region.lock, lambda: region.array):
            with pytest.raises(ValueError, match="closed"):
                act()

    @pytest.mark.parametrize("look", [memoryview, lambda region: region.array, lambda region: memoryview(region)[5:9]])
    @pytest.mark.parametrize("kind", KINDS)
    def test_is_refused_to_who_still_looks(
        self, make: Callable[..., Region], kind: str, look: Callable[[Region], Any]
    ) -> None:
        """The region stays as it was while there is a view or an array, and goes once that is gone."""
        region = make(kind)
        looker = look(region)
        with pytest.raises(BufferError, match=r"^close: a view or an array still looks"):
            region.close()
        assert bytes(looker) in bytes(region)
        del looker
        region.close()

        assert region.closed

    def test_an_array_lives_as_long_as_it_is_wanted(self, region: Region) -> None:
        """There is one at a time, and none that only the region holds."""
        array = region.array
        assert region.array is array
        del array
        assert region.array.sum() == sum(CONTENT)
        region.close()

    def test_with_leaves_nothing(self) -> None:
        """The context manager closes; where something still looks that is said, but never instead of an exception."""
        with Region(10) as region:
            pass
        assert region.closed
        with pytest.raises(BufferError), Region(10) as region:
            view = memoryview(region)
        assert not region.closed
        view.release()
        region.close()

    def test_with_hides_no_exception(self) -> None:
        """An exception goes on as it is, although its frame still looks at the memory."""
        region = Region(10)

        def fail() -> None:
            with region:
                view = memoryview(region)
                view[20] = 1

        with pytest.raises(IndexError):
            fail()
        assert region.closed


class TestDiscard:
    """``discard``: the memory is given back whatever looks at it."""

    @pytest.mark.parametrize("kind", KINDS)
    def test_leaves_zeros(self, make: Callable[..., Region], kind: str) -> None:
        """An array that outlives the region reads zeros and can be written; its addresses go with it."""
        region = make(kind)
        array = region.array
        array[:] = 1
        other = array[100:]
        address = region.address
        region.discard()

        assert region.closed
        assert not array.any()
        array[200] = 5
        assert other[100] == 5
        del array
        assert is_mapped(address)
        del other
        assert not is_mapped(address)

    def test_unmaps_the_file(self, region: Region, path: Path) -> None:
        """Nothing of it stays mapped."""
        view = memoryview(region)
        assert mappings_of(path) == 1
        region.discard()

        assert mappings_of(path) == 0
        assert view.tobytes() == bytes(len(CONTENT))

    def test_gives_reserved_pages_back(self, pool: Callable[[int, int], None]) -> None:
        """An array of small zeros takes the place of a huge page."""
        size = hugepages.default_size()
        pool(1, size)
        changes = []
        for _ in range(5):  # others may touch theirs, or let go of them, at the same time
            before = hugepages.pool(size)
            region = Region(size, kind="hugetlb")
            array = region.array
            array[:] = 1
            region.discard()
            changes.append(hugepages.pool(size).free - before.free)
            assert not array.any()

        assert 0 in changes

    @pytest.mark.usefixtures("no_garbage")
    @pytest.mark.parametrize("end", ["close", "discard", "del"])
    def test_nothing_is_left(self, end: str) -> None:
        """1,000 regions of four kinds keep neither an address range nor a descriptor."""
        mappings_before, files_before = mappings(), len(os.listdir("/proc/self/fd"))
        for i in range(1000):
            region = Region(1 + i * 100, kind=("anonymous", "memfd", "thp", "anonymous")[i % 4], shared=i % 4 == 3)
            array = region.array if i % 2 and end != "close" else None
            if end != "del":
                getattr(region, end)()
            del region, array
        gc.collect()

        assert mappings() - mappings_before < 10
        assert len(os.listdir("/proc/self/fd")) == files_before


@pytest.mark.usefixtures("no_garbage")
class TestMistakes:
    """What cannot be mapped."""

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"size": 0}, "^size=0"),
            ({"size": -1}, "^size=-1"),
            ({"size": 2**62 + 1}, "^size="),
            ({"size": "5"}, "^size='5'"),
            ({"size": 1.5}, "^size=1.5"),
            ({}, "^size=None"),
            ({"size": 5, "kind": "huge"}, "^kind='huge': choose from 'anonymous'"),
            ({"size": 5, "fd": 0}, "^fd"),
            ({"size": 5, "offset": PAGE}, "^fd, offset"),
            ({"size": 5, "page_size": 2 * MIB}, "^page_size"),
            ({"size": 5, "kind": "thp", "page_size": 2 * MIB}, "^page_size"),
            ({"size": 5, "kind": "hugetlb", "page_size": 12345}, "^page_size=12345: this machine has"),
        ],
        ids=repr,
    )
    def test_a_value_error_names_the_argument(self, arguments: Any, message: str) -> None:
        """Whatever is wrong, nothing stays mapped or open."""
        before = mappings(), len(os.listdir("/proc/self/fd"))
        with pytest.raises(ValueError, match=message):
            Region(**arguments)

        assert (mappings(), len(os.listdir("/proc/self/fd"))) == before

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"offset": 1}, "^offset=1"),
            ({"offset": "0"}, "^offset='0'"),
            ({"offset": -PAGE}, "^offset="),
            ({"offset": 2**70}, "^offset="),
            ({"offset": -PAGE}, "^offset=-[0-9]+: give a multiple"),
            ({"offset": (len(CONTENT) // PAGE + 1) * PAGE}, "^offset="),
            ({"size": len(CONTENT) + 1}, "^size=.*the file has"),
            ({"size": len(CONTENT), "offset": PAGE}, "^size=.*the file has"),
        ],
        ids=repr,
    )
    def test_a_part_that_is_not_there(self, path: Path, arguments: Any, message: str) -> None:
        """What lies outside the file, or not at a page."""
        with open(path, "rb") as file, pytest.raises(ValueError, match=message):
            Region(kind="file", fd=file.fileno(), **arguments)

    def test_an_empty_file(self, tmp_path: Path) -> None:
        """A ValueError says so."""
        with open(tmp_path / "empty", "wb+") as file, pytest.raises(ValueError, match="empty"):
            Region(kind="file", fd=file.fileno())

    @pytest.mark.parametrize("fd", [99_999, -1, True, None, "0", 2**70], ids=repr)
    def test_no_file(self, fd: Any) -> None:
        """A ValueError names the argument."""
        with pytest.raises(ValueError, match=r"^fd=.*descriptor of an open file"):
            Region(kind="file", fd=fd)

    def test_no_regular_file(self, tmp_path: Path) -> None:
        """So it does for what is open and has no pages."""
        folder, pipe = os.open(tmp_path, os.O_RDONLY), os.pipe()
        for fd in (folder, *pipe):
            with pytest.raises(ValueError, match=r"^fd=.*regular file"):
                Region(kind="file", fd=fd)
            os.close(fd)

    def test_not_open_for_reading(self, tmp_path: Path) -> None:
        """So it is for a file that may only be written, and the reserved addresses are given back."""
        with open(tmp_path / "data", "wb") as file:
            file.write(CONTENT)
            file.flush()
            before = mappings()
            with pytest.raises(OSError, match="denied"):
                Region(kind="file", fd=file.fileno())

        assert mappings() == before

    @pytest.mark.parametrize("kind", ["anonymous", "memfd", "thp"])
    def test_no_room(self, kind: str) -> None:
        """Without address space it is an OSError, not a crash, at the limit of the process and at that of all."""
        script = (
            "import resource, sys\n"
            "from cyx.region import Region\n"
            "used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
            "def attempt(size):\n"
            "    try:\n"
            "        Region(size, kind=sys.argv[1])\n"
            "    except OSError as error:\n"
            "        print(error.strerror)\n"
            "attempt(1 << 60)\n"
            "resource.setrlimit(resource.RLIMIT_AS, (used + (1 << 20), used + (1 << 20)))\n"
            "attempt(1 << 22)\n"
        )
        done = subprocess.run([sys.executable, "-c", script, kind], capture_output=True, text=True, check=True)

        assert done.stdout.splitlines() == [os.strerror(12)] * 2

    def test_numpy_is_imported_with_the_first_array_only(self) -> None:
        """Everything else does without."""
        script = (
            "import sys\n"
            "from cyx.region import Region\n"
            "region = Region(5)\n"
            "region.populate(), region.usage(), memoryview(region)\n"
            "print('numpy' in sys.modules, region.array.size, 'numpy' in sys.modules)\n"
        )
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

        assert done.stdout.split() == ["False", "5", "True"]


def test_the_array_is_of_bytes() -> None:
    """Other types are views of it."""
    with Region(4096) as region:
        assert region.array.dtype == np.uint8
        assert region.array.view(np.int64).size == 512
