"""Memory that cannot be had is an exception, and other faults stay with the handler that was there."""

from __future__ import annotations

import ctypes
import errno
import faulthandler
import mmap
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kernels import KERNELS

from cyx import patterns
from cyx.patterns.faults import flags_at

PAGES = 64
SIZE = PAGES * mmap.PAGESIZE
HUGE = 2 * 1024 * 1024
MAP_HUGETLB = 0x40000


@pytest.fixture(autouse=True)
def with_faulthandler() -> Iterator[None]:
    """Have faulthandler own the signals, as it does in every pytest session."""
    enabled = faulthandler.is_enabled()
    faulthandler.enable(file=2)
    yield
    if not enabled:
        faulthandler.disable()


@pytest.fixture
def shrunk() -> Iterator[mmap.mmap]:
    """Return a mapping of a file that has lost its second half."""
    with tempfile.TemporaryFile() as file:
        file.truncate(SIZE)
        with mmap.mmap(file.fileno(), SIZE) as mapping:
            file.truncate(SIZE // 2)
            yield mapping


def handlers() -> list[bytes]:
    """Return who handles the signals of memory, as sigaction(2) tells."""
    action = ctypes.create_string_buffer(256)
    found = []
    for number in (signal.SIGBUS, signal.SIGSEGV):
        assert ctypes.CDLL(None).sigaction(number, None, action) == 0
        found.append(action.raw[:8])  # the address of the handler; padding is left as it was
    return found


@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("name", KERNELS)
def test_a_file_that_shrinks(name: str, threads: int, shrunk: mmap.mmap) -> None:
    """The error names the argument and a byte that is gone, and what is left can be used again."""
    with pytest.raises(OSError, match=r"\[Errno \d+\] \w+: byte \d+ cannot be had: .*file ends") as caught:
        KERNELS[name](shrunk, threads=threads)

    assert caught.value.errno == errno.EFAULT
    argument, byte = re.findall(r"(\w+): byte (\d+)", str(caught.value))[0]
    assert argument in ("target", "source", "second")
    assert SIZE // 2 <= int(byte) < SIZE
    assert patterns.scan(shrunk, length=SIZE // 2, threads=threads).bytes == SIZE // 2


def test_the_byte_that_is_named(shrunk: mmap.mmap) -> None:
    """It is counted from the beginning of the argument, whatever the offset."""
    with pytest.raises(OSError, match=f"source: byte {SIZE // 2} cannot"):
        patterns.touch(shrunk, offset=mmap.PAGESIZE)


@pytest.mark.parametrize("threads", [1, 4])
def test_a_file_that_shrinks_under_the_first_touch(threads: int, shrunk: mmap.mmap) -> None:
    """What each thread does before the clock starts is guarded as well."""
    with pytest.raises(OSError, match="cannot be had"):
        patterns.scan(shrunk, threads=threads, first_touch=True)


def test_a_file_that_shrinks_while_threads_read_it() -> None:
    """Python threads, each with a kernel of four threads, all end in an answer or an exception; none in a signal."""
    ends: list[Any] = []
    with tempfile.TemporaryFile() as file:
        file.truncate(SIZE)
        with mmap.mmap(file.fileno(), SIZE) as mapping:

            def read() -> None:
                for _ in range(200):
                    try:
                        ends.append(patterns.scan(mapping, threads=4).checksum)
                    except OSError as error:
                        ends.append(error.errno)

            readers = [threading.Thread(target=read) for _ in range(4)]
            for reader in readers:
                reader.start()
            while any(reader.is_alive() for reader in readers):
                file.truncate(SIZE // 2)
                file.truncate(SIZE)
            for reader in readers:
                reader.join()

    assert len(ends) == 800
    assert set(ends) <= {0, errno.EFAULT}


def test_a_huge_page_that_cannot_be_had() -> None:
    """A mapping without pages behind it ends in ENOMEM that speaks of huge pages."""
    free = int(Path("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages").read_text())
    size = (free + 1) * HUGE
    no_reserve = 0x4000
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_HUGETLB | no_reserve
    with mmap.mmap(-1, size, flags=flags) as mapping, pytest.raises(OSError, match="huge page") as caught:
        patterns.touch_write(mapping, HUGE)

    assert caught.value.errno == errno.ENOMEM


@pytest.mark.parametrize("threads", [1, 4])
def test_memory_that_may_not_be_read(threads: int) -> None:
    """Memory without permission is an exception too."""
    with mmap.mmap(-1, SIZE, prot=0) as mapping, pytest.raises(OSError, match="may not be read") as caught:
        patterns.scan(mapping, threads=threads)

    assert caught.value.errno == errno.EFAULT


def test_the_handlers_are_given_back(shrunk: mmap.mmap) -> None:
    """After a call, whether it failed or not, the signals are caught as before."""
    before = handlers()
    patterns.scan(b"content")
    with pytest.raises(OSError, match="cannot be had"):
        patterns.scan(shrunk)

    assert handlers() == before


def test_handlers_of_python_come_back() -> None:
    """A handler in Python sees its signal after a call, and no handler is none after it."""
    seen = []
    before = signal.signal(signal.SIGBUS, lambda number, frame: seen.append(number))
    try:
        patterns.scan(b"content", threads=4)
        os.kill(os.getpid(), signal.SIGBUS)
    finally:
        signal.signal(signal.SIGBUS, before)

    assert seen == [signal.SIGBUS]


ELSEWHERE = """
import ctypes, faulthandler, mmap, sys, tempfile, threading, time
from cyx import patterns

{enable}
file = tempfile.TemporaryFile()
file.truncate(8192)
mapping = mmap.mmap(file.fileno(), 8192)
file.truncate(0)
memory = bytearray(1 << 20)

def scan():
    while True:
        patterns.touch_random(memory, 10_000_000, threads=2)

thread = threading.Thread(target=scan, daemon=True)
thread.start()
time.sleep(0.2)
{fault}
"""


@pytest.mark.parametrize(
    ("fault", "number"),
    [
        ("mapping[5000]", signal.SIGBUS),
        ("ctypes.string_at(16)", signal.SIGSEGV),
        ("import os; os.kill(os.getpid(), 7)", signal.SIGBUS),
    ],
    ids=["bus error", "segmentation fault", "sent"],
)
@pytest.mark.parametrize("enabled", [True, False], ids=["faulthandler", "default"])
def test_faults_elsewhere_end_the_process(enabled: bool, fault: str, number: int) -> None:
    """While a kernel runs, what another thread does wrong goes to faulthandler, or ends the process as it would."""
    code = ELSEWHERE.format(enable="faulthandler.enable()" if enabled else "", fault=fault)
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)

    assert ended.returncode == -number
    assert ("Fatal Python error" in ended.stderr) == enabled


def test_a_fork_while_a_kernel_runs() -> None:
    """The child of a process with open calls has the handlers from before them, and can run kernels."""
    before = handlers()
    memory = bytearray(1 << 20)
    stop = threading.Event()
    statuses = set()

    def run() -> None:
        while not stop.is_set():
            patterns.touch_random(memory, 1_000_000)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        while handlers() == before:  # until the first call is open
            pass
        for _ in range(50):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # a fork beside threads: what is tested
                child = os.fork()
            if child == 0:
                answer = patterns.scan(memory).checksum
                os._exit(answer + (handlers() != before))
            statuses.add(os.waitpid(child, 0)[1])
    finally:
        stop.set()
        thread.join()

    assert statuses == {0}


def test_flags_of_a_mapping() -> None:
    """The kernel's flags of an address: those of mapped memory, and none of an address that is not mapped."""
    memory = ctypes.create_string_buffer(1)

    assert {"rd", "wr"} <= flags_at(ctypes.addressof(memory))
    assert flags_at(16) == frozenset()
