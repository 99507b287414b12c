"""The page cache of a file, against mincore(2) through ctypes and the bytes that /proc/self/io counts."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from cyx import page_cache, patterns

PAGE = mmap.PAGESIZE
SIZES = [1, PAGE - 1, PAGE, PAGE + 1, 1_000_003]


def mincore_share(path: Path) -> float:
    """Return the share of the file's pages in the page cache, asked of the C library without the code under test."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
    libc.mincore.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p]
    libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    size = path.stat().st_size
    pages = -(-size // PAGE)
    vector = ctypes.create_string_buffer(pages)
    with open(path, "rb") as file:
        address = libc.mmap(None, size, mmap.PROT_READ, mmap.MAP_SHARED, file.fileno(), 0)
    assert libc.mincore(address, size, vector) == 0
    libc.munmap(address, size)
    return sum(byte & 1 for byte in vector.raw[:pages]) / pages


def bytes_read_from_disk() -> int:
    """Return what this process has caused to be fetched from the storage layer, from /proc/self/io."""
    text = Path("/proc/self/io").read_text()
    return int(text.split("read_bytes:")[1].split()[0])


@pytest.fixture
def make_file(disk: Path) -> Callable[[int], Path]:
    """Return a function that writes a file of random bytes on a disk."""

    def make(size: int) -> Path:
        path = disk / f"{size}.bin"
        content = bytearray(size)
        patterns.fill(content)
        path.write_bytes(content)
        return path

    return make


@pytest.fixture
def memory_file(in_memory: Path) -> Path:
    """Return a file on tmpfs."""
    path = in_memory / "file"
    path.write_bytes(bytes(3 * PAGE))
    return path


class TestDrop:
    """``drop``: nothing of the file is left in the page cache."""

    @pytest.mark.parametrize("size", SIZES)
    def test_empties_the_cache(self, make_file: Callable[[int], Path], size: int) -> None:
        """A file that was just written, dirty pages and all, is gone, and says so by both counters and the oracle."""
        path = make_file(size)
        assert mincore_share(path) == 1.0
        page_cache.drop(path)

        assert mincore_share(path) == 0.0
        assert page_cache.share(path) == 0.0

    def test_every_time(self, make_file: Callable[[int], Path]) -> None:
        """It works 60 times in a row, and the content survives."""
        path = make_file(1_000_003)
        checksum = patterns.scan(path.read_bytes()).checksum
        for _ in range(60):
            page_cache.drop(path)
            assert page_cache.share(path) == 0.0
            with open(path, "rb") as file:
                assert patterns.scan(file).checksum == checksum

    def test_the_next_read_comes_from_the_disk(self, make_file: Callable[[int], Path]) -> None:
        """/proc/self/io counts the whole file once after a drop, and nothing when it is read again."""
        size = 1024 * 1024
        path = make_file(size)
        page_cache.drop(path)
        counts = []
        for _ in range(2):
            before = bytes_read_from_disk()
            with open(path, "rb") as file:
                patterns.read_blocks(file)
            counts.append(bytes_read_from_disk() - before)

        assert counts == [size, 0]

    def test_a_mapped_file_is_an_error(self, make_file: Callable[[int], Path]) -> None:
        """Pages that a mapping has touched stay; EBUSY says how many, and once it is gone the drop works."""
        path = make_file(10 * PAGE)
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapping:
            assert mapping[0] == path.read_bytes()[0]
            with pytest.raises(OSError, match=r"of 10 pages stay .* mapped") as caught:
                page_cache.drop(path)
        page_cache.drop(path)

        assert caught.value.errno == errno.EBUSY

    def test_memory_has_nothing_to_drop_to(self, memory_file: Path) -> None:
        """On tmpfs it is EOPNOTSUPP, with the file system's name, and the file stays."""
        with pytest.raises(OSError, match="tmpfs") as caught:
            page_cache.drop(memory_file)

        assert caught.value.errno == errno.EOPNOTSUPP
        assert page_cache.share(memory_file) == 1.0


class TestFill:
    """``fill``: all of the file is in the page cache."""

    @pytest.mark.parametrize("size", SIZES)
    def test_after_a_drop(self, make_file: Callable[[int], Path], size: int) -> None:
        """The oracle sees every page."""
        path = make_file(size)
        page_cache.drop(path)
        page_cache.fill(path)

        assert mincore_share(path) == 1.0
        assert page_cache.share(path) == 1.0

    def test_what_is_missing(self, make_file: Callable[[int], Path]) -> None:
        """A file that is cached in part becomes cached as a whole."""
        path = make_file(1024 * 1024)
        page_cache.drop(path)
        with open(path, "rb", buffering=0) as file:
            file.read(1)
        assert 0 < mincore_share(path) < 1
        page_cache.fill(path)

        assert mincore_share(path) == 1.0

    def test_memory_is_full_already(self, memory_file: Path) -> None:
        """On tmpfs there is nothing to do, and no error."""
        page_cache.fill(memory_file)

        assert page_cache.share(memory_file) == 1.0

    def test_a_descriptor_keeps_its_position_and_stays_open(self, make_file: Callable[[int], Path]) -> None:
        """An open file of the caller's is only looked at."""
        path = make_file(10 * PAGE)
        with open(path, "rb", buffering=0) as file:
            file.seek(5)
            page_cache.drop(file.fileno())
            page_cache.fill(file.fileno())

            assert (file.tell(), page_cache.share(file.fileno())) == (5, 1.0)


class TestShare:
    """``share``: from cachestat(2), or mincore(2) on kernels before 6.5."""

    @pytest.mark.parametrize("counter", [page_cache._cached_by_cachestat, page_cache._cached_by_mincore])
    @pytest.mark.parametrize("touched", [0, 1, 7, 40])
    def test_counts_what_the_oracle_counts(
        self, make_file: Callable[[int], Path], counter: Callable[[int], int], touched: int
    ) -> None:
        """Both counters give the pages that were read one by one, without read-ahead."""
        path = make_file(40 * PAGE - 5)
        page_cache.drop(path)
        fd = os.open(path, os.O_RDONLY)
        try:
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)
            for i in range(touched):
                os.pread(fd, 1, i * PAGE)
            try:
                counted = counter(fd)
            except OSError as error:
                pytest.skip(f"{counter.__name__}: {error}")
        finally:
            os.close(fd)

        assert (counted, mincore_share(path)) == (touched, touched / 40)

    def test_an_empty_file(self, tmp_path: Path) -> None:
        """There is nothing that is not cached."""
        path = tmp_path / "empty"
        path.touch()

        assert page_cache.share(path) == 1.0

    def test_is_refused_to_strangers(self, make_file: Callable[[int], Path]) -> None:
        """One who neither owns the file nor may write it learns that it is not told, rather than a wrong number."""
        if os.geteuid() != 0:
            pytest.skip("only root can become someone else")
        path = make_file(10 * PAGE)
        fd = os.open(path, os.O_RDONLY)
        os.seteuid(65534)
        try:
            with pytest.raises(PermissionError, match="owner"):
                page_cache._cached_by_mincore(fd)
        finally:
            os.seteuid(0)
            os.close(fd)


class TestMistakes:
    """What is no file."""

    @pytest.mark.parametrize("call", [page_cache.share, page_cache.drop, page_cache.fill])
    def test_name_themselves(self, call: Callable[[object], object], tmp_path: Path) -> None:
        """A wrong type is a ValueError that names the argument; a missing file is the usual error."""
        with pytest.raises(ValueError, match=r"^file=None"):
            call(None)
        with pytest.raises(FileNotFoundError):
            call(tmp_path / "missing")
