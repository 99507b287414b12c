"""Memory and files of all kinds, as every kernel takes them."""

from __future__ import annotations

import contextlib
import io
import mmap
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from kernels import sum_of_words

from cyx import patterns
from cyx.patterns import Transfer

PATTERNS: dict[str, Callable[[Any], Transfer]] = {
    "touch": patterns.touch,
    "touch_random": lambda source: patterns.touch_random(source, 100),
    "read_blocks": patterns.read_blocks,
    "scan": patterns.scan,
}


@pytest.fixture
def as_file(tmp_path: Path) -> Iterator[Callable[[bytes], Any]]:
    """Return a function that writes bytes to a file and opens it."""
    with contextlib.ExitStack() as opened:

        def write(content: bytes) -> Any:
            path = tmp_path / "data"
            path.write_bytes(content)
            return opened.enter_context(open(path, "rb", buffering=0))

        yield write


class TestReadBlocks:
    """``read_blocks``: block by block into one buffer."""

    @given(st.binary(max_size=5000), st.integers(1, 6000), st.integers(1, 6000))
    @example(b"x" * 4096, 4096, 4096)
    @example(b"x" * 4096, 1 << 60, 1)
    @example(b"x" * 4097, 4096, 1024)
    def test_answers_as_touch_does(self, content: bytes, block: int, stride: int) -> None:
        """Whatever the block, the same bytes are summed; all of them are moved, one block an access."""
        transfer = patterns.read_blocks(content, block, stride)

        assert transfer.checksum == patterns.touch(content, stride).checksum
        assert transfer.bytes == len(content)
        assert transfer.accesses == -(-len(content) // block)


class TestSources:
    """Memory and files, in all their forms."""

    @pytest.mark.parametrize("name", PATTERNS)
    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None)
    @given(content=st.binary(min_size=1, max_size=20_000))
    def test_a_file_answers_as_memory_does(self, name: str, as_file: Any, content: bytes) -> None:
        """The same bytes give the same answer, and the file keeps its position."""
        file = as_file(content)
        file.seek(1)
        from_file, from_memory = PATTERNS[name](file), PATTERNS[name](content)

        assert (from_file.checksum, from_file.bytes, from_file.accesses) == (
            from_memory.checksum,
            from_memory.bytes,
            from_memory.accesses,
        )
        assert file.tell() == 1

    def test_a_file_larger_than_the_blocks(self, as_file: Any) -> None:
        """A file of many blocks, the last one short, is read to its end by descriptor and by object."""
        content = os.urandom(1_000_003)
        file = as_file(content)

        assert patterns.scan(file).checksum == patterns.scan(file.fileno()).checksum == sum_of_words(content)
        assert patterns.read_blocks(file, 1000, 7).checksum == sum(content[::7])

    @pytest.mark.parametrize("name", PATTERNS)
    def test_all_kinds_of_memory(self, name: str) -> None:
        """bytes, bytearray, memoryview, mmap and arrays of any item and shape are read in place."""
        content = os.urandom(8192)
        mapping = mmap.mmap(-1, len(content))
        mapping[:] = content
        kinds = (
            bytearray(content),
            memoryview(content),
            mapping,
            np.frombuffer(content, np.float64),
            np.frombuffer(content, np.uint8).reshape(64, 128),
        )

        assert {PATTERNS[name](kind).checksum for kind in kinds} == {PATTERNS[name](content).checksum}

    @pytest.mark.parametrize("name", ["touch", "read_blocks", "scan"])
    def test_nothing(self, name: str, as_file: Any) -> None:
        """An empty source is no accesses, no bytes, checksum 0."""
        for source in (b"", as_file(b"")):
            transfer = PATTERNS[name](source)
            assert (transfer.bytes, transfer.accesses, transfer.checksum) == (0, 0, 0)

    @pytest.mark.parametrize("name", PATTERNS)
    def test_the_buffer_is_given_back(self, name: str) -> None:
        """A bytearray can be resized afterwards, so nothing still holds its memory."""
        memory = bytearray(100)
        PATTERNS[name](memory)
        memory.append(1)

        assert len(memory) == 101

    def test_other_threads_run_meanwhile(self) -> None:
        """The GIL is released: a Python thread counts on while a kernel runs."""
        counted = 0
        stop = threading.Event()

        def count() -> None:
            nonlocal counted
            while not stop.is_set():
                counted += 1

        thread = threading.Thread(target=count)
        thread.start()
        try:
            before = counted
            while patterns.touch_random(bytes(4096), 1_000_000).elapsed_ns and counted == before:
                pass
        finally:
            stop.set()
            thread.join()

        assert counted > before

    def test_elapsed_time_is_part_of_the_call(self) -> None:
        """The nanoseconds lie between 0 and those of the call round it."""
        import time

        content = bytes(10_000_000)
        begin = time.monotonic_ns()
        transfer = patterns.touch(content, 1)

        assert 0 < transfer.elapsed_ns <= time.monotonic_ns() - begin


class TestMistakes:
    """A wrong argument is an error that begins with its name."""

    @pytest.mark.parametrize("name", PATTERNS)
    @pytest.mark.parametrize(
        "source",
        [-1, 2**40, 99_999, np.zeros((4, 4))[:, 1], io.StringIO("x")],
        ids=["negative", "huge", "not open", "strided", "StringIO"],
    )
    def test_source(self, name: str, source: Any) -> None:
        """Neither memory in one piece nor an open file."""
        with pytest.raises(ValueError, match=r"^source"):
            PATTERNS[name](source)

    @pytest.mark.parametrize("name", PATTERNS)
    @pytest.mark.parametrize("source", [None, 3.5, "abc", True, [1, 2]], ids=repr)
    def test_type_of_source(self, name: str, source: Any) -> None:
        """What is neither memory nor a file is a TypeError that says what to give."""
        with pytest.raises(TypeError, match=rf"^source is of type {type(source).__name__}: give .* or an open file$"):
            PATTERNS[name](source)

    def test_closed_file(self, as_file: Any) -> None:
        """A file that was closed."""
        file = as_file(b"x")
        file.close()

        with pytest.raises(ValueError, match=r"^source"):
            patterns.touch(file)

    @pytest.mark.parametrize("value", [0, -1, 1.5, "8", None, True, 2**63, 2**70], ids=repr)
    def test_whole_numbers(self, value: Any) -> None:
        """Strides, blocks, counts and seeds that are none."""
        with pytest.raises(ValueError, match=r"^stride="):
            patterns.touch(b"x", value)
        with pytest.raises(ValueError, match=r"^block="):
            patterns.read_blocks(b"x", block=value)
        with pytest.raises(ValueError, match=r"^stride="):
            patterns.read_blocks(b"x", stride=value)

    @pytest.mark.parametrize("value", [-1, 1.5, "8", None, 2**64], ids=repr)
    def test_counts_and_seeds(self, value: Any) -> None:
        """Counts and seeds start at 0."""
        with pytest.raises(ValueError, match=r"^count="):
            patterns.touch_random(b"x", value)
        with pytest.raises(ValueError, match=r"^seed="):
            patterns.touch_random(b"x", 1, value)

    def test_random_accesses_to_nothing(self, as_file: Any) -> None:
        """There is no byte to touch in an empty source; no accesses to it are fine."""
        for source in (b"", as_file(b"")):
            with pytest.raises(ValueError, match=r"^source is empty"):
                patterns.touch_random(source, 1)
            assert patterns.touch_random(source, 0).accesses == 0

    def test_only_regular_files(self, tmp_path: Path) -> None:
        """A pipe and a folder have no bytes to go through by offset."""
        readable, writable = os.pipe()
        folder = os.open(tmp_path, os.O_RDONLY)
        try:
            for source in (readable, folder):
                with pytest.raises(ValueError, match=r"^source.*regular file"):
                    patterns.touch(source)
        finally:
            for descriptor in (readable, writable, folder):
                os.close(descriptor)

    @pytest.mark.parametrize("name", PATTERNS)
    def test_what_the_kernel_refuses_is_an_os_error(self, name: str, tmp_path: Path) -> None:
        """A file that is open for writing only cannot be read."""
        with open(tmp_path / "data", "wb") as file:
            file.write(b"content")
            file.flush()
            with pytest.raises(OSError, match="Bad file descriptor"):
                PATTERNS[name](file)

    def test_a_block_larger_than_the_source(self) -> None:
        """Its buffer is no larger than what is to be read."""
        assert patterns.read_blocks(b"x", block=2**62).bytes == 1

    def test_a_block_too_large_for_memory(self, tmp_path: Path) -> None:
        """A buffer that cannot be had is a MemoryError."""
        with open(tmp_path / "sparse", "wb") as file:
            file.truncate(2**32)
        script = (
            "import resource, sys\n"
            "from cyx import patterns\n"
            "resource.setrlimit(resource.RLIMIT_AS, (2**31, 2**31))\n"
            "try:\n"
            "    patterns.read_blocks(open(sys.argv[1], 'rb'), block=2**40)\n"
            "except MemoryError as error:\n"
            "    print(error)\n"
        )
        command = [sys.executable, "-c", script, str(tmp_path / "sparse")]
        assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "block=4294967296\n"


def test_transfer_shows_its_figures() -> None:
    """The repr names every field."""
    assert repr(patterns.touch(b"\5", 1)).startswith("Transfer(bytes=1, accesses=1, checksum=5, elapsed_ns=")
