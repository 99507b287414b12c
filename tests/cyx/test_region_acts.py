"""What can be done with a region and asked of it, against /proc/self/smaps as it is read here, and mincore(2)."""

from __future__ import annotations

import mmap
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cyx import hugepages, page_cache, page_map
from cyx.region import ADVICE, PROTECTIONS, Region

PAGE = mmap.PAGESIZE
PAGES = 40


def smaps(region: Region) -> dict[str, int | set[str]]:
    """Return the kernel's figures of the one mapping of the region, in bytes, and its flags."""
    found: dict[str, int | set[str]] = {}
    for line in Path("/proc/self/smaps").read_text().splitlines():
        name, _, rest = line.partition(":")
        if "-" in name.split()[0]:
            inside = int(line.split("-")[0], 16) == region.address
        elif inside:
            found[name] = set(rest.split()) if name == "VmFlags" else int(rest.split()[0]) * 1024
    assert found["Size"] == region.mapped
    return found


def smaps_of_all(region: Region) -> tuple[int, int]:
    """Return the bytes on transparent huge pages and all that are resident, of every mapping of the region."""
    huge = resident = 0
    for line in Path("/proc/self/smaps").read_text().splitlines():
        name, _, rest = line.partition(":")
        if "-" in name.split()[0]:
            inside = region.address <= int(line.split("-")[0], 16) < region.address + region.mapped
        elif inside:
            huge += int(rest.split()[0]) * 1024 if name == "AnonHugePages" else 0
            resident += int(rest.split()[0]) * 1024 if name == "Rss" else 0
    return huge, resident


def flags(region: Region) -> set[str]:
    """Return the flags of its mapping."""
    found = smaps(region)["VmFlags"]
    assert isinstance(found, set)
    return found


def guard(region: Region, offset: int, length: int) -> None:
    """Install guards; skip where the kernel has none."""
    try:
        region.advise("guard_install", offset, length)
    except OSError:
        pytest.skip("guards came with Linux 6.13")


@pytest.fixture
def memory() -> Iterator[Region]:
    """Return anonymous memory on small pages, all there."""
    region = Region(PAGES * PAGE)
    region.advise("nohugepage")
    region.populate()
    yield region
    region.discard()


@pytest.fixture
def path(disk: Path) -> Path:
    """Return a file on a disk, written out."""
    path = disk / "content.bin"
    path.write_bytes(os.urandom(PAGES * PAGE))
    page_cache.drop(path)
    return path


@pytest.fixture
def file(path: Path) -> Iterator[Region]:
    """Return the file mapped, shared and to be written."""
    with open(path, "r+b") as opened:
        region = Region(kind="file", fd=opened.fileno(), shared=True)
    yield region
    region.discard()


class TestAdvice:
    """``advise``: madvise(2)."""

    @pytest.mark.parametrize(
        ("advice", "flag"),
        [
            ("sequential", "sr"),
            ("random", "rr"),
            ("dontfork", "dc"),
            ("mergeable", "mg"),
            ("hugepage", "hg"),
            ("nohugepage", "nh"),
            ("dontdump", "dd"),
            ("wipeonfork", "wf"),
        ],
    )
    @pytest.mark.parametrize("part", [False, True])
    def test_reaches_the_kernel(self, advice: str, flag: str, part: bool) -> None:
        """The kernel keeps the flag, for the whole or for the part that was named."""
        with Region(4 * PAGE) as region:
            assert flag not in region.vm_flags
            if part:
                region.advise(advice, PAGE, PAGE)
                assert flag not in region.vm_flags  # which are those of all of it
                region.advise(advice, 0, PAGE)
                region.advise(advice, 2 * PAGE)
            else:
                region.advise(advice)
            assert flag in region.vm_flags

    @pytest.mark.parametrize(
        ("advice", "undo", "flag"),
        [
            ("sequential", "normal", "sr"),
            ("dontfork", "dofork", "dc"),
            ("mergeable", "unmergeable", "mg"),
            ("dontdump", "dodump", "dd"),
            ("wipeonfork", "keeponfork", "wf"),
        ],
    )
    def test_can_be_taken_back(self, advice: str, undo: str, flag: str) -> None:
        """The flag goes again."""
        with Region(4 * PAGE) as region:
            region.advise(advice)
            region.advise(undo)
            assert flag not in region.vm_flags

    @pytest.mark.parametrize("advice", ["dontneed", "dontneed_locked"])
    def test_lets_go_of_pages(self, memory: Region, advice: str) -> None:
        """What was there is zero now, and takes no memory."""
        memory.array[:] = 1
        memory.advise(advice, PAGE, 10 * PAGE)

        assert memory.resident == (PAGES - 10) * PAGE
        assert memory.array.sum() == (PAGES - 10) * PAGE

    def test_remove_takes_the_pages_of_shared_memory(self) -> None:
        """A hole is left, also in the file."""
        with Region(4 * PAGE, kind="memfd") as region:
            region.populate()
            region.array[:] = 1
            region.advise("remove", 0, PAGE)

            assert region.array.sum() == 3 * PAGE
            assert os.fstat(region.fd).st_blocks * 512 == 3 * PAGE + PAGE  # the reading above made a page of zeros

    @pytest.mark.parametrize("advice", ["free", "cold", "pageout"])
    def test_may_be_followed(self, memory: Region, advice: str) -> None:
        """What the kernel may do under pressure only is accepted, and loses nothing that was written."""
        memory.array[:] = 1
        memory.advise(advice)
        if advice == "free":
            memory.array[:] = 1  # a page that is written again is not freed

        assert memory.array.sum() == PAGES * PAGE

    @pytest.mark.usefixtures("one_processor")  # pages that another has just brought in wait in a list of its own
    def test_page_out_writes_a_file_out(self, file: Region) -> None:
        """Clean pages of a file leave memory at once."""
        assert bytes(file)
        assert file.page_cache_share == 1.0
        file.advise("pageout")

        assert file.resident == 0
        assert file.page_cache_share == 0.0

    def test_will_need_reads_a_file(self, file: Region) -> None:
        """The page cache is filled."""
        assert file.page_cache_share == 0.0
        file.advise("willneed")
        file.populate(write=False)

        assert file.page_cache_share == 1.0

    @pytest.mark.parametrize(("advice", "dirty"), [("populate_read", 0), ("populate_write", PAGES * PAGE)])
    def test_populate(self, file: Region, advice: str, dirty: int) -> None:
        """Every page is there, written to or not."""
        file.advise(advice)

        assert (file.resident, file.dirty) == (PAGES * PAGE, dirty)

    def test_collapse(self) -> None:
        """Small pages become a huge one."""
        size = hugepages.thp_size()
        with Region(size, kind="thp") as region:
            region.advise("nohugepage")
            region.populate()
            assert (region.resident, region.huge) == (size, 0)
            region.advise("hugepage")
            try:
                region.advise("collapse")
            except OSError as error:
                pytest.skip(f"no MADV_COLLAPSE here, or no free huge page: {error}")
            assert region.huge == size
            region.collapse()

    def test_guards(self) -> None:
        """While there are guards no view can be taken, and none can be installed under a view."""
        with Region(4 * PAGE) as region:
            with memoryview(region), pytest.raises(BufferError):
                region.advise("guard_install")
            guard(region, PAGE, PAGE)
            with pytest.raises(BufferError, match="protected"):
                memoryview(region)
            region.advise("guard_remove")
            assert not region.array.any()

    def test_guards_stay_under_other_rights(self) -> None:
        """What allows the rest of the region to be touched does not allow them to be."""
        with Region(4 * PAGE) as region:
            guard(region, PAGE, PAGE)
            region.protect("read-write")
            with pytest.raises(BufferError, match="guards"):
                memoryview(region)

    def test_guards_are_removed_in_parts(self) -> None:
        """A view can be taken as soon as the last one is gone, and one that is cut off is gone as well."""
        with Region(8 * PAGE) as region:
            guard(region, 0, 6 * PAGE)
            region.advise("guard_remove", 2 * PAGE, 2 * PAGE)
            region.advise("guard_remove", 0, 2 * PAGE)
            with pytest.raises(BufferError, match="guards"):
                memoryview(region)
            region.resize(4 * PAGE)
            assert not region.array.any()

    def test_guards_that_cannot_be(self, memory: Region) -> None:
        """Locked memory takes none, and is as usable as before."""
        memory.lock()
        with pytest.raises(OSError, match="guard_install"):
            memory.advise("guard_install")
        memory.unlock()
        assert not memory.array.any()

    def test_every_word_is_tried(self) -> None:
        """The table has no word that the tests above leave out."""
        text = Path(__file__).read_text()
        assert [word for word in ADVICE if f'"{word}"' not in text] == []

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (("fast",), "^advice='fast': choose from 'normal'"),
            (("normal", 1), "^offset=1"),
            (("normal", -PAGE), "^offset="),
            (("normal", 4 * PAGE), "^offset="),
            (("normal", "0"), "^offset='0'"),
            (("normal", 0, 0), "^length=0"),
            (("normal", PAGE, 3 * PAGE + 1), "^length="),
        ],
        ids=repr,
    )
    def test_names_what_is_wrong(self, arguments: tuple[str, ...], message: str) -> None:
        """A word that is none, or a part that is not there, is a ValueError."""
        with Region(4 * PAGE) as region, pytest.raises(ValueError, match=message):
            region.advise(*arguments)  # type: ignore[arg-type]

    def test_what_the_kernel_refuses(self, file: Region) -> None:
        """It is an OSError that names the advice."""
        with pytest.raises(OSError, match=r"madvise\(wipeonfork\)"):
            file.advise("wipeonfork")


class TestOtherActs:
    """Locks, rights, size, the file."""

    def test_lock(self, memory: Region) -> None:
        """Locked bytes are those the kernel counts, and unlocking gives them up."""
        memory.lock()
        assert memory.locked == smaps(memory)["Locked"] == PAGES * PAGE
        assert "lo" in memory.vm_flags
        memory.unlock()
        assert memory.locked == smaps(memory)["Locked"] == 0

    def test_lock_beyond_the_limit(self) -> None:
        """The limit is named, and what others have locked."""
        if os.geteuid() != 0:
            pytest.skip("only root can become someone else")
        script = (
            "import os, resource\n"
            "from cyx.region import Region\n"
            "regions = [Region(1 << 15), Region(3 << 14), Region(1 << 20)]\n"
            "resource.setrlimit(resource.RLIMIT_MEMLOCK, (65536, 65536))\n"
            "os.setuid(65534)\n"
            "for region in regions:\n"
            "    try:\n"
            "        region.lock()\n"
            "        print(f'mlock of {region.mapped:,} bytes: done')\n"
            "    except OSError as error:\n"
            "        print(error.strerror)\n"
        )
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

        assert done.stdout == (
            "mlock of 32,768 bytes: done\n"
            "mlock of 49,152 bytes: RLIMIT_MEMLOCK allows 65,536, of which 32,768 are taken: raise it by ulimit -l\n"
            "mlock of 1,048,576 bytes: RLIMIT_MEMLOCK allows 65,536, of which 32,768 are taken: raise it by ulimit -l\n"
        )

    @pytest.mark.parametrize(("rights", "expected"), [("none", set()), ("read", {"rd"}), ("read-write", {"rd", "wr"})])
    def test_protect(self, memory: Region, rights: str, expected: set[str]) -> None:
        """The kernel has the rights, a view has them too, and all come back."""
        memory.protect(rights)
        assert flags(memory) & {"rd", "wr"} == expected
        if rights == "none":
            with pytest.raises(BufferError, match="protected"):
                memoryview(memory)
        else:
            assert memoryview(memory).readonly is (rights == "read")
        memory.protect("read-write")
        memory.array[0] = 1

    def test_protect_takes_no_right_from_who_looks(self, memory: Region) -> None:
        """An array that could be written still can."""
        array = memory.array
        for rights in PROTECTIONS:
            with pytest.raises(BufferError, match=r"^protect: "):
                memory.protect(rights)
        array[0] = 1

    def test_protect_beyond_the_file(self, path: Path) -> None:
        """A file that is open to be read cannot be made one to be written."""
        with open(path, "rb") as opened, Region(kind="file", fd=opened.fileno(), shared=True, writable=False) as region:
            with pytest.raises(OSError, match="mprotect: Permission denied"):
                region.protect("read-write")
            with pytest.raises(ValueError, match=r"^rights='rw': choose from 'none'"):
                region.protect("rw")

    @pytest.mark.parametrize("kind", ["anonymous", "memfd", "thp"])
    @pytest.mark.parametrize("size", [1, PAGE, PAGES * PAGE - 1, PAGES * PAGE, 1000 * PAGE])
    def test_resize(self, kind: str, size: int) -> None:
        """What fits is kept, what is new is zero, and there is an untouchable page on either side."""
        with Region(PAGES * PAGE, kind=kind) as region:
            region.array[:] = 3
            before = region.mapped
            region.resize(size)
            kept = min(size, PAGES * PAGE)
            assert region.size == len(region) == size
            assert region.array[:kept].all()
            assert not region.array[max(kept, before) :].any()
            assert region.alignment >= 2 * 1024 * 1024
            assert smaps(region)

    def test_resize_a_file(self, path: Path) -> None:
        """It can become as large as the file is by now."""
        content = path.read_bytes()
        with open(path, "r+b") as opened, Region(PAGE, kind="file", fd=opened.fileno()) as region:
            region.resize(len(content))
            assert bytes(region) == content
            with pytest.raises(ValueError, match=r"^size=.*the file has"):
                region.resize(len(content) + 1)

    def test_a_view_taken_while_it_is_resized(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Another thread may take one where the first asks Python for something: that is refused as well."""
        views = []
        with Region(PAGE, kind="thp") as region:
            ask = hugepages.thp_size

            def meanwhile() -> int:
                views.append(memoryview(region))
                return ask()

            monkeypatch.setattr(hugepages, "thp_size", meanwhile)
            with pytest.raises(BufferError, match="resize"):
                region.resize(2 * ask() + 1)
            monkeypatch.undo()
            assert views[0][0] == 0
            for view in views:
                view.release()

    @pytest.mark.parametrize("write", [False, True])
    def test_touch_of_older_kernels(self, path: Path, write: bool) -> None:
        """Every page is there afterwards as it was; one that is not in the file any more is an OSError."""
        content = path.read_bytes()
        with open(path, "r+b") as file, Region(kind="file", fd=file.fileno(), shared=True) as region:
            region._touch(write)
            assert region.resident == PAGES * PAGE
            assert region.dirty == (PAGES * PAGE if write else 0)
            assert bytes(region) == content
            os.truncate(path, PAGE)
            with pytest.raises(OSError, match="cannot be had"):
                region._touch(write)

    @pytest.mark.parametrize("kind", ["anonymous", "thp"])
    def test_resize_shared_memory(self, kind: str) -> None:
        """It cannot grow beyond what there is of it, where a touch would end the process; back to that it can."""
        with Region(5 * PAGE, kind=kind, shared=True) as region:
            first = region.mapped
            region.array[:] = 1
            region.resize(PAGE)
            region.resize(first)
            assert region.array[: 5 * PAGE].all()
            with pytest.raises(ValueError, match=r"^size=.*shared memory cannot grow beyond .*: use kind='memfd'"):
                region.resize(first + 1)

    def test_resize_under_a_view(self, memory: Region) -> None:
        """The memory cannot move away from it."""
        with memoryview(memory), pytest.raises(BufferError, match=r"^resize: "):
            memory.resize(1)
        assert memory.size == PAGES * PAGE

    def test_sync(self, file: Region) -> None:
        """What was written is on the disk afterwards, which the kernel counts as not dirty any more."""
        file.array[:] = 1
        assert file.dirty == smaps(file)["Shared_Dirty"] + smaps(file)["Private_Dirty"] == PAGES * PAGE  # type: ignore[operator]
        file.sync()
        assert file.dirty == 0
        file.array[0] = 2
        file.sync(wait=False, invalidate=True)

    def test_readahead(self, file: Region) -> None:
        """The page cache has the file, and nothing is mapped."""
        file.readahead()
        file.populate(write=False)

        assert file.page_cache_share == 1.0

    def test_drop(self, file: Region, path: Path) -> None:
        """What was written is in the file, and none of it in the page cache."""
        file.array[:] = 1
        file.drop()

        assert (file.resident, file.page_cache_share, page_cache.share(path)) == (0, 0.0, 0.0)
        assert file.array.sum() == PAGES * PAGE

    def test_drop_what_others_have_mapped(self, file: Region, path: Path) -> None:
        """It is an OSError that says so."""
        with open(path, "rb") as opened, Region(kind="file", fd=opened.fileno(), writable=False) as other:
            assert bytes(other)
            with pytest.raises(OSError, match="stay in the page cache"):
                file.drop()

    @pytest.mark.parametrize("act", [Region.drop, Region.readahead, lambda region: region.page_cache_share])
    def test_without_a_file(self, memory: Region, act: Callable[[Region], object]) -> None:
        """There is nothing to do it with."""
        with pytest.raises(ValueError, match="has no file"):
            act(memory)


class TestQuestions:
    """What the kernel says of the range."""

    @pytest.mark.parametrize("touched", [0, 1, 7, PAGES])
    def test_counts_what_was_touched(self, touched: int) -> None:
        """Each page that was written is resident and dirty, and no other."""
        with Region(PAGES * PAGE) as region:
            region.advise("nohugepage")
            for page in range(touched):
                memoryview(region)[page * PAGE] = 1
            assert region.resident == region.dirty == smaps(region)["Rss"] == touched * PAGE
            assert (region.huge, region.swapped, region.locked) == (0, 0, 0)

    def test_adds_up_the_parts(self, memory: Region) -> None:
        """A region that the kernel keeps as three mappings is still one."""
        memory.advise("random", PAGE, PAGE)

        assert memory.resident == PAGES * PAGE
        assert "rr" not in memory.vm_flags
        assert {"rd", "wr"} <= memory.vm_flags

    def test_is_not_confused_by_a_neighbour(self) -> None:
        """Ten regions of one kind side by side are ten mappings."""
        regions = [Region(PAGES * PAGE) for _ in range(10)]
        for count, region in enumerate(regions):
            for page in range(count):
                memoryview(region)[page * PAGE] = 1

        assert [region.resident for region in regions] == [count * PAGE for count in range(10)]

    @pytest.mark.parametrize("touched", [0, 1, 7, PAGES])
    def test_page_cache_share(self, path: Path, touched: int) -> None:
        """Of a part of a file it is that part's share."""
        with open(path, "rb") as opened:
            os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_RANDOM)
            for page in range(touched):
                os.pread(opened.fileno(), 1, page * PAGE)
            with Region(kind="file", fd=opened.fileno(), writable=False) as whole:
                assert whole.page_cache_share == touched / PAGES
            with Region(5 * PAGE, kind="file", fd=opened.fileno(), offset=5 * PAGE, writable=False) as part:
                assert part.page_cache_share == min(max(touched - 5, 0), 5) / 5


class TestHugeCoverage:
    """``huge_coverage``: the share on huge pages, from a scan of the page tables or from proc_pid_smaps(5)."""

    @pytest.mark.parametrize("by_smaps", [False, True], ids=["scan", "smaps"])
    @pytest.mark.parametrize("small", [0, 1, 40])
    @pytest.mark.parametrize("huge", [0, 1, 2])
    def test_of_both_kinds(self, huge: int, small: int, by_smaps: bool, monkeypatch: pytest.MonkeyPatch) -> None:
        """Some transparent huge pages, and after them small ones."""
        if by_smaps:
            monkeypatch.setattr(page_map, "_SCAN", 0)  # which the kernel refuses, as one before Linux 6.7 does
        size = hugepages.thp_size()
        with Region(4 * size, kind="thp") as region:
            region.advise("hugepage")
            region.advise("nohugepage", offset=huge * size)
            for page in range(huge):
                memoryview(region)[page * size] = 1
            for page in range(small):
                memoryview(region)[huge * size + page * PAGE] = 1
            found = smaps_of_all(region)
            assert found == (huge * size, huge * size + small * PAGE)
            assert region.huge_coverage == (found[0] / found[1] if found[1] else 0)


class TestMap:
    """``map``: a picture of where the pages are."""

    @pytest.mark.parametrize("how", [page_map.by_scan, page_map.by_entries])
    @pytest.mark.parametrize("touched", [[], [0], [0, 1, 2, 39], list(range(0, PAGES, 2)), list(range(PAGES))], ids=len)
    def test_shows_each_page(self, how: Callable[[int, int], bytearray], touched: list[int]) -> None:
        """The pages that were written are resident, the others nowhere."""
        with Region(PAGES * PAGE) as region:
            region.advise("nohugepage")
            for page in touched:
                memoryview(region)[page * PAGE] = 1
            try:
                pages = how(region.address, region.address + region.mapped)
            except OSError as error:
                pytest.skip(f"PAGEMAP_SCAN came with Linux 6.7: {error}")
            assert pages == bytes(page_map.RESIDENT if page in touched else page_map.NOWHERE for page in range(PAGES))
            assert region.map().splitlines()[1] == "0x0 " + pages.decode()

    def test_many_ranges(self) -> None:
        """More of them than one call tells."""
        pages = 20_000
        with Region(pages * PAGE) as region:
            region.advise("nohugepage")
            for page in range(0, pages, 2):
                memoryview(region)[page * PAGE] = 1
            assert page_map.states(region.address, region.address + region.mapped) == b"#." * (pages // 2)

    def test_shows_what_is_cached(self, file: Region) -> None:
        """Pages of a file that are in the page cache only are told from those that are mapped."""
        assert file.map().splitlines()[1] == "0x0 " + "." * PAGES
        assert page_cache.share(file.fd) == 0
        os.pread(file.fd, PAGES * PAGE, 0)
        assert file.map().splitlines()[1] == "0x0 " + "o" * PAGES
        file.populate(write=False)
        assert file.map().splitlines()[1] == "0x0 " + "#" * PAGES

    def test_shows_huge_pages(self, pool: Callable[[int, int], None]) -> None:
        """Reserved and transparent ones alike."""
        if tuple(int(part) for part in os.uname().release.split(".")[:2]) < (6, 7):
            pytest.skip("PAGEMAP_SCAN came with Linux 6.7")
        size = hugepages.default_size()
        pool(1, size)
        with Region(2 * hugepages.thp_size(), kind="thp") as region:
            memoryview(region)[0] = 1
            letters = "".join(line.split()[1] for line in region.map().splitlines()[1:-1])
            assert letters.count("H") == letters.count(".") == hugepages.thp_size() // PAGE
        with Region(size, kind="hugetlb") as region:
            memoryview(region)[0] = 1
            assert set("".join(line.split()[1] for line in region.map().splitlines()[1:-1])) == {"H"}

    def test_fits_a_screen(self) -> None:
        """A character stands for more pages then, a power of two, and for a mixture where they differ."""
        pages = 5 * 2048
        with Region(pages * PAGE) as region:
            region.advise("nohugepage")
            memoryview(region)[0 : 8 * PAGE] = bytes(8 * PAGE)
            memoryview(region)[8 * PAGE] = 1
            first, *rows, _ = region.map().splitlines()
            assert first.startswith(f"{pages * PAGE:,} bytes, anonymous, at 0x")
            assert first.endswith(f"; each character is {8 * PAGE // 1024} KiB")
            assert len(rows) == 20
            assert rows[0].endswith(" #+" + "." * 62)

    def test_pages_by_node(self, memory: Region) -> None:
        """All of them are somewhere."""
        try:
            assert sum(memory.pages_by_node.values()) == PAGES
        except OSError as error:
            pytest.skip(f"move_pages(2): {error}")
