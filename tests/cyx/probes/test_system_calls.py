"""Counts of system calls, against calls that are known and against strace."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import mmap
import os
import re
import resource
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from mount_namespaces import number_of_tracepoint

from cyx.probes import Bracket, Interval, system_calls
from cyx.probes.sampler import RssSampler

PROGRAM = ctypes.PyDLL(None)
"""Its functions keep the GIL: another thread waits for that by calls of its own."""
Counting = Callable[[], Interval]
NONE = (0, 0, 0, 0, 0)
TRACED = """
import ctypes, mmap, os, sys, threading
from cyx.probes import Interval

program = ctypes.CDLL(None)

def work():
    memory = mmap.mmap(-1, 1 << 20)
    memory.madvise(mmap.MADV_DONTNEED)
    memory.close()
    program.sbrk(0)
    os.stat("/")

def everything():
    program.access(b"/begin", 0)
    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    blocks = [bytearray(size) for size in range(1 << 10, 1 << 20, 1 << 12)]
    del blocks
    with open("/proc/self/status") as file: file.read()
    program.brk(program.sbrk(0))
    program.access(b"/end", 0)

started = threading.Event()
ending = threading.Event()
old = threading.Thread(target=lambda: (started.wait(), work(), ending.set()))
old.start()
with Interval(): pass
interval = Interval()
interval.tracepoint = {tracepoint}
with interval:
    everything()
started.set()
ending.wait()
old.join()
print(*interval.system_calls)
"""


@pytest.fixture
def counting() -> Counting:
    """Return a function that makes an interval which counts system calls."""
    tracepoint = number_of_tracepoint()

    def make() -> Interval:
        interval = Interval()
        interval.tracepoint = tracepoint
        return interval

    return make


def test_an_empty_interval_is_empty(counting: Counting) -> None:
    """Each of 1,000 within another, and the other one too: neither what starts nor what stops them is counted."""
    outer = counting()
    with outer:
        for _ in range(1000):
            inner = counting()
            with inner:
                pass
            if inner.system_calls != NONE or inner.minor_faults:
                pytest.fail(f"{inner.system_calls} calls and {inner.minor_faults} faults in an empty interval")
    assert outer.system_calls == NONE


@pytest.mark.parametrize("way", ["block", "call", "bracket"])
def test_the_first_one_of_a_process_is_empty(way: str) -> None:
    """No call and no fault is the interval's own, in processes of several address layouts."""
    uses = {"block": "with interval: pass", "call": "interval.call(nothing)", "bracket": "with Block(): pass"}
    program = f"""
from cyx.probes import Bracket, Interval
def nothing(): pass
class Block(Bracket):
    def opening(self): return interval
nothing()
interval = Interval()
interval.tracepoint = {number_of_tracepoint()}
{uses[way]}
print(*interval.system_calls, interval.minor_faults, interval.major_faults)
"""
    for _ in range(4):
        assert subprocess.check_output([sys.executable, "-c", program], text=True) == "0 0 0 0 0 0 0\n"


def test_known_calls(counting: Counting) -> None:
    """Each call that C makes is one, of brk, mmap, munmap and madvise among the others."""
    interval = counting()
    with interval:
        for _ in range(1000):
            PROGRAM.getppid()
    assert interval.system_calls == (1000, 0, 0, 0, 0)
    interval = counting()
    with interval:
        memory = mmap.mmap(-1, mmap.PAGESIZE)
        memory.madvise(mmap.MADV_DONTNEED)
        memory.madvise(mmap.MADV_NORMAL)
        memory.close()
    assert interval.system_calls == (4, 0, 1, 1, 2)
    interval = counting()
    with interval:
        for _ in range(3):
            PROGRAM.brk(None)  # which glibc asks the kernel for, and which changes nothing
    assert interval.system_calls == (3, 3, 0, 0, 0)


def test_strace_sees_the_same(tmp_path: Path) -> None:
    """Between two calls that mark the ends, and on every thread: in sum and of each kind."""
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not installed: apt-get install strace")
    log = tmp_path / "log"
    program = TRACED.replace("{tracepoint}", str(number_of_tracepoint()))
    command = [strace, "-f", "-o", str(log), sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode and "ptrace" in done.stderr.lower():
        pytest.skip(f"strace may not trace ({done.stderr.strip()}): allow ptrace(2)")
    counts = [int(count) for count in done.stdout.split()]
    text = log.read_text()
    inside = text[text.index('access("/begin"') : text.index('access("/end"')]
    # The first line is cut where its process id was, and that of the end is not in it.
    traced = ["access", *re.findall(r"^\d+ +(\w+)\(", inside, re.MULTILINE), "access"]
    kinds = [traced.count(kind) for kind in ("brk", "mmap", "munmap", "madvise")]
    assert counts[1:] == kinds
    assert counts[0] == len(traced)
    assert min(counts) > 0


def test_threads_that_are_there_and_those_that_start(counting: Counting) -> None:
    """Both are counted, each call of theirs."""
    before, after, go = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        before.set()
        go.wait()
        for _ in range(500):
            mmap.mmap(-1, mmap.PAGESIZE).close()
        after.set()

    early = threading.Thread(target=work)
    early.start()
    before.wait()
    interval = counting()
    with interval:
        go.set()
        late = threading.Thread(target=work)
        late.start()
        late.join()
        early.join()
    assert 1000 <= interval.system_calls[2] <= 1010  # type: ignore[index]
    assert 1000 <= interval.system_calls[3] <= 1010  # type: ignore[index]


def test_children_are_not_counted(counting: Counting) -> None:
    """Neither a fork's calls nor those of a program that it becomes."""
    interval = counting()
    with interval:
        pid = os.fork()
        if pid == 0:
            for _ in range(1000):
                PROGRAM.getppid()
            os._exit(0)
        os.waitpid(pid, 0)
        subprocess.run([sys.executable, "-S", "-c", "pass"], check=True)
    assert 0 < interval.system_calls[0] < 200  # type: ignore[index]


def test_inner_intervals_are_not_counted(counting: Counting) -> None:
    """What is done to make, start and stop them: only what they contain is."""

    class Block(Bracket):
        def opening(self) -> Interval:
            os.stat("/")
            return Interval()

    class Refused(Bracket):
        def opening(self) -> Interval:
            raise KeyError

    outer = counting()
    with outer:
        for _ in range(10):
            with Interval():
                PROGRAM.getppid()
            with Block():
                PROGRAM.getppid()
            with contextlib.suppress(KeyError), Refused():
                pass
        with pytest.raises(RuntimeError):
            outer.start()
    assert outer.system_calls == (20, 0, 0, 0, 0)


def test_a_thread_that_was_started_meanwhile(counting: Counting) -> None:
    """An interval in it enters calls that cannot be told from its own: then there is a reason instead of a count."""

    def work() -> None:
        with Interval():
            pass

    interval = counting()
    with interval:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    with pytest.raises(OSError, match="a thread or a fork that was started meanwhile"):
        _ = interval.system_calls
    interval = counting()
    with interval:
        pass
    assert interval.system_calls == NONE


def test_a_fork_that_ends_the_interval(counting: Counting) -> None:
    """It gets a reason, its parent the count, and the parent's events go on."""
    reading, writing = os.pipe()
    interval = counting()
    interval.start()
    pid = os.fork()
    if pid == 0:
        said = b""
        try:
            interval.stop()
            again = counting()
            with again:
                PROGRAM.getppid()
            said = str(again.system_calls[0]).encode()  # type: ignore[index]
            _ = interval.system_calls
        except OSError as error:
            os.write(writing, said + b" " + (error.strerror or "").encode())
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    for _ in range(100):
        PROGRAM.getppid()
    interval.stop()
    os.close(writing)
    with open(reading) as pipe:
        assert pipe.read().startswith("1 a window was opened or closed by a thread or a fork")
    assert 100 < interval.system_calls[0] < 150  # type: ignore[index]


def test_the_sampler_is_not_counted(counting: Counting) -> None:
    """Its thread is the plugin's own."""
    with RssSampler(1e-4):
        interval = counting()
        with interval:
            PROGRAM.usleep(20_000)
    assert interval.system_calls == (1, 0, 0, 0, 0)
    interval = counting()
    with interval, RssSampler(1e-3):
        pass
    with pytest.raises(OSError, match="started meanwhile"):
        _ = interval.system_calls


def test_nothing_stays_open(counting: Counting, no_garbage: None) -> None:
    """Neither after an interval nor where the descriptors do not suffice, which is a reason."""
    with counting():  # the first one opens what all of them read
        pass
    before = os.listdir("/proc/self/fd")
    with counting():
        pass
    assert os.listdir("/proc/self/fd") == before
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    interval = counting()
    free = os.dup(0)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free + 2, limits[1]))
    try:
        with interval:
            pass
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    with pytest.raises(OSError, match="raise the limit on open files by 5 for each thread"):
        _ = interval.system_calls
    assert os.listdir("/proc/self/fd") == before


def test_a_test_that_closes_the_descriptors(counting: Counting, tmp_path: Path) -> None:
    """It is told, and the file that it opens under such a number stays open and as it is."""
    file = (tmp_path / "file").open("w")
    interval = counting()
    with interval:
        events = [int(fd) for fd in os.listdir("/proc/self/fd") if is_event(int(fd))]
        for fd in events:
            os.dup2(file.fileno(), fd)
    for fd in events:
        os.close(fd)
    with pytest.raises(OSError, match="the test closed the descriptors of the counters"):
        _ = interval.system_calls
    file.close()


def is_event(fd: int) -> bool:
    """Tell whether it is the descriptor of a perf event."""
    try:
        return "perf_event" in os.readlink(f"/proc/self/fd/{fd}")
    except FileNotFoundError:  # of the list itself
        return False


def test_an_interval_that_does_not_count() -> None:
    """Has no counts, and asks for no event."""
    interval = Interval()
    with interval:
        pass
    assert interval.system_calls is None


@pytest.mark.parametrize(
    ("error", "mend"),
    [
        (errno.EACCES, "kernel.perf_event_paranoid to 1 or less"),
        (errno.EPERM, "forbidden here, as containers do by seccomp"),
        (errno.EINVAL, "run Linux 5.13 or newer"),
        (errno.EMFILE, "raise the limit on open files"),
        (errno.EIO, os.strerror(errno.EIO)),
    ],
)
def test_reasons(error: int, mend: str) -> None:
    """Each names what mends it, or what the kernel said."""
    assert mend in system_calls.reason_of(error)


def test_a_user_who_may_not() -> None:
    """The reason names the setting."""
    tracepoint = number_of_tracepoint()
    if int(Path("/proc/sys/kernel/perf_event_paranoid").read_text()) < 2 or os.geteuid():
        pytest.skip("needs root, who can be another user, and kernel.perf_event_paranoid of 2 or more")
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setuid(65534)
            os.write(writing, (system_calls.unavailable(tracepoint) or "").encode())
        finally:
            os._exit(0)
    os.close(writing)
    os.waitpid(pid, 0)
    with open(reading) as pipe:
        assert "kernel.perf_event_paranoid" in pipe.read()
