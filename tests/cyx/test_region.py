"""A mapped file with a buffer interface."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cyx.region import ADVICE, Region

CONTENT = os.urandom(300_001)


def mappings_of(path: Path) -> int:
    """Return how many mappings of the file this process has."""
    return Path("/proc/self/maps").read_text().count(str(path))


def vm_flags(path: Path) -> set[str]:
    """Return the flags that the kernel keeps for the mapping of the file; see VmFlags in proc_pid_smaps(5)."""
    _, _, after = Path("/proc/self/smaps").read_text().partition(str(path))
    return set(after.split("VmFlags:")[1].splitlines()[0].split())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return a file with the content."""
    path = tmp_path / "content.bin"
    path.write_bytes(CONTENT)
    return path


@pytest.fixture
def region(path: Path) -> Iterator[Region]:
    """Return the file mapped."""
    with open(path, "rb") as file:
        region = Region(file.fileno())
    yield region
    region.close()


class TestBuffer:
    """The buffer protocol."""

    def test_shows_the_file(self, region: Region) -> None:
        """All bytes, and no more, whatever the page size."""
        assert bytes(region) == CONTENT
        assert len(region) == region.size == len(CONTENT)

    def test_cannot_be_written(self, region: Region) -> None:
        """The memory is read-only."""
        with pytest.raises(TypeError, match="read-only"):
            memoryview(region)[0] = 1

    def test_begins_at_a_fault_around_block(self, region: Region) -> None:
        """The address is aligned, so that fault counts do not depend on luck."""
        np = pytest.importorskip("numpy")

        assert np.frombuffer(region, np.uint8).ctypes.data % (2 * 1024 * 1024) == 0


class TestClose:
    """``close``: the file is not mapped any more."""

    def test_unmaps(self, region: Region, path: Path) -> None:
        """There was one mapping, and then there is none; a second close changes nothing."""
        assert mappings_of(path) == 1
        region.close()
        region.close()

        assert mappings_of(path) == 0
        assert region.closed
        with pytest.raises(ValueError, match="closed"):
            memoryview(region)

    def test_leaves_zeros_to_who_still_looks(self, region: Region, path: Path) -> None:
        """A view that outlives the region reads zeros, and its addresses go with it."""
        view = memoryview(region)
        other = view[100:]
        region.close()

        assert mappings_of(path) == 0
        assert view.tobytes() == bytes(len(CONTENT))
        view.release()
        assert other[0] == 0
        other.release()

    def test_leaves_nothing_behind(self, path: Path) -> None:
        """1,000 regions, some with views that outlive them, keep no address range."""
        before = len(Path("/proc/self/maps").read_text().splitlines())
        with open(path, "rb") as file:
            for i in range(1000):
                region = Region(file.fileno())
                view = memoryview(region)
                if i % 2:
                    region.close()
                del region, view

        assert len(Path("/proc/self/maps").read_text().splitlines()) - before < 10


class TestAdvice:
    """``advise`` and ``forget``: madvise(2)."""

    @pytest.mark.parametrize(
        ("advice", "flag"), [("normal", None), ("sequential", "sr"), ("random", "rr"), ("willneed", None)]
    )
    def test_reaches_the_kernel(self, region: Region, path: Path, advice: str, flag: str | None) -> None:
        """The kernel keeps the flag for how the mapping will be read."""
        region.advise(advice)

        assert vm_flags(path) & {"sr", "rr"} == ({flag} if flag else set())

    def test_every_word_is_tried(self) -> None:
        """The table has no word that the test above leaves out."""
        assert set(ADVICE) == {"normal", "sequential", "random", "willneed"}

    def test_names_the_words(self, region: Region) -> None:
        """A word that is none is a ValueError with the choice."""
        with pytest.raises(ValueError, match=r"^advice='fast': choose from 'normal'"):
            region.advise("fast")

    def test_forget_unmaps_the_pages_only(self, region: Region, path: Path) -> None:
        """Resident pages go to 0, and come back when they are read."""

        def resident() -> int:
            _, _, after = Path("/proc/self/smaps").read_text().partition(str(path))
            return int(after.split("Rss:")[1].split()[0])

        assert bytes(region) == CONTENT
        assert resident() > 0
        region.forget()
        assert resident() == 0
        assert bytes(region) == CONTENT


class TestMistakes:
    """What cannot be mapped."""

    def test_an_empty_file(self, tmp_path: Path) -> None:
        """A ValueError says so."""
        with open(tmp_path / "empty", "wb+") as file, pytest.raises(ValueError, match="empty"):
            Region(file.fileno())

    def test_no_file(self) -> None:
        """The kernel's answer is an OSError."""
        with pytest.raises(OSError, match="descriptor"):
            Region(99_999)

    def test_not_open_for_reading(self, tmp_path: Path) -> None:
        """So it is for a file that may only be written, and the reserved addresses are given back."""
        with open(tmp_path / "data", "wb") as file:
            file.write(CONTENT)
            file.flush()
            before = Path("/proc/self/maps").read_text().count("---p")
            with pytest.raises(OSError, match="denied"):
                Region(file.fileno())

        assert Path("/proc/self/maps").read_text().count("---p") == before

    def test_no_room(self, path: Path) -> None:
        """Without address space it is an OSError, not a crash."""
        script = (
            "import resource, sys\n"
            "from cyx.region import Region\n"
            "used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
            "file = open(sys.argv[1], 'rb')\n"
            "resource.setrlimit(resource.RLIMIT_AS, (used + (1 << 20), used + (1 << 20)))\n"
            "try:\n"
            "    Region(file.fileno())\n"
            "except OSError as error:\n"
            "    print(error.strerror)\n"
        )
        done = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True, check=True)

        assert done.stdout.strip() == os.strerror(12)
