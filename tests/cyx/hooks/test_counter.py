"""Allocations counted by hooks, beside what ctypes asks for and what tracemalloc and the interpreter tell."""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import random
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cyx.hooks import Counter, unavailable
from cyx.probes import Interval

API = ctypes.pythonapi
NAMES = {"raw": "PyMem_Raw", "mem": "PyMem_", "object": "PyObject_"}


def of_domain(name: str, act: str, result: type | None, *arguments: type) -> Callable[..., int]:
    """Return a function of the C API that keeps no Python object of its own between two calls."""
    function = getattr(API, NAMES[name] + act)
    function.restype, function.argtypes = result, arguments
    call: Callable[..., int] = function
    return call


def test_an_empty_stretch() -> None:
    """Nothing is counted in 1,000 of 1,000, of the with statement as little as of an interval's start and stop."""
    for _ in range(1000):
        with Counter() as counter:
            pass
        assert (counter.allocations, counter.frees, counter.live_blocks, counter.allocated_bytes) == (0, 0, 0, 0)


@pytest.mark.parametrize("domain", ["raw", "mem", "object"])
@pytest.mark.parametrize("size", [1, 16, 512, 513, 4096, 1 << 20])
class TestEachDomain:
    """Blocks that C code asks for are counted by number and size, whatever serves them underneath."""

    def test_malloc_and_free(self, domain: str, size: int) -> None:
        """Each is one allocation of its size, though large objects come from the raw domain in the end."""
        malloc = of_domain(domain, "Malloc", ctypes.c_void_p, ctypes.c_size_t)
        free = of_domain(domain, "Free", None, ctypes.c_void_p)
        blocks = [0] * 100
        with Counter() as counter:
            for i in range(100):
                blocks[i] = malloc(size)
        own = counter.allocations - 100  # what ctypes makes for itself
        classes = dict(counter.size_classes)
        bound = 1 << (size - 1).bit_length()
        for block in blocks:
            free(block)

        assert classes[bound] >= 100
        assert counter.allocated_bytes >= 100 * size
        assert counter.live_blocks >= 100
        assert own < 700  # a few for each call: arguments and results

    def test_realloc(self, domain: str, size: int) -> None:
        """It counts as an allocation and a free; one that fails leaves the block as it was."""
        malloc = of_domain(domain, "Malloc", ctypes.c_void_p, ctypes.c_size_t)
        realloc = of_domain(domain, "Realloc", ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
        free = of_domain(domain, "Free", None, ctypes.c_void_p)
        with Counter() as counter:
            block = malloc(size)
            before = counter.live_bytes
            assert not realloc(block, (1 << 63) - 1)
            unchanged = counter.live_bytes
            block = realloc(block, 3 * size)
            grown = counter.live_bytes
            free(block)

        assert abs(unchanged - before) < 512  # Python's own small objects come and go
        assert 2 * size - 512 < grown - unchanged < 2 * size + 512
        assert counter.allocations - counter.frees == counter.live_blocks


def test_the_interpreter_agrees() -> None:
    """A thousand objects are a thousand more blocks to ``sys.getallocatedblocks`` as well."""
    kept = [None] * 1000
    made = object
    with Counter() as counter:
        before = sys.getallocatedblocks()
        for i in range(1000):
            kept[i] = made()  # type: ignore[call-overload]
        after = sys.getallocatedblocks()

    assert abs(counter.live_blocks - (after - before)) <= 4
    assert counter.size_classes[16] >= 1000


def work() -> int:
    """Make and drop some ten thousand objects, the same ones each time."""
    data = {str(i): list(range(i % 50)) for i in range(300)}
    return len(json.loads(json.dumps(data)))


def test_peak_as_tracemalloc_sees_it() -> None:
    """The peak is the same to a few blocks: of a process of its own, where nobody else allocates."""
    script = (
        "import gc, json, tracemalloc\n"
        "from cyx.hooks import Counter\n"
        "def work():\n"
        "    data = {str(i): list(range(i % 50)) for i in range(300)}\n"
        "    return len(json.loads(json.dumps(data)))\n"
        "work(); gc.collect(); gc.disable(); work()\n"
        "with Counter() as counter: work()\n"
        "tracemalloc.start(); tracemalloc.reset_peak(); before = tracemalloc.get_traced_memory()[0]\n"
        "work()\n"
        "print(counter.peak_heap, tracemalloc.get_traced_memory()[1] - before)\n"
    )
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    counted, traced = map(int, out.split())

    assert traced > 50_000
    assert abs(counted - traced) <= 1024


def test_twice_the_same() -> None:
    """The same work is the same number of allocations, to what Python's free lists hold."""
    work()
    counts = []
    for _ in range(5):
        with Counter() as counter:
            work()
        counts.append(counter.allocations)

    assert max(counts) - min(counts) <= 16
    assert min(counts) > 1000


class TestNumPy:
    """Data of arrays is counted in this context."""

    def test_an_array(self) -> None:
        """One block of its size, freed with it."""
        with Counter() as counter:
            array = np.empty(100_000)
            live = counter.live_bytes
            del array
        assert counter.size_classes[1 << 20] == 1
        assert 800_000 <= live < 801_000
        assert counter.live_bytes < 1000

    def test_zeros_and_growth(self) -> None:
        """``calloc`` and ``realloc`` are counted too; zeros are zeros."""
        with Counter() as counter:
            array = np.zeros(1000)
            array.resize(100_000, refcheck=False)
        assert counter.size_classes[1 << 13] == 1
        assert counter.size_classes[1 << 20] == 1
        assert not array.any()

    def test_an_array_outlives_it(self) -> None:
        """It keeps the handler that it was made with, and the one behind that; the context has its own back."""
        before = np.empty(1)
        with Counter():
            array = np.arange(1000)
        after = np.empty(1)
        assert array.sum() == 499_500
        with Counter() as counter:
            del array  # older than this stretch
        assert counter.frees <= 2
        assert handler_name(before) == handler_name(after) == "default_allocator"

    def test_a_task_inherits_it(self) -> None:
        """A task of asyncio that is started inside counts."""

        async def make() -> None:
            np.empty(100_000)

        async def main() -> None:
            await asyncio.create_task(make())

        with Counter() as counter:
            asyncio.run(main())
        assert counter.size_classes[1 << 20] == 1


def handler_name(array: object) -> str:
    """Return what NumPy calls the handler of an array."""
    core: Any = getattr(np, "_core", None) or np.core  # type: ignore[attr-defined]
    name: str = core.multiarray.get_handler_name(array)
    return name


class TestStretches:
    """Stretches in each other."""

    def test_an_inner_one(self) -> None:
        """Each counts what was allocated in it; what the inner one frees of the outer one's is the outer one's free."""
        kept = [bytearray(10_000)]
        with Counter() as outer:
            kept.append(bytearray(20_000))
            with Counter() as inner:
                kept.append(bytearray(30_000))
                del kept[0], kept[0]
        assert 30_000 < inner.live_bytes < 31_000
        assert 30_000 < outer.live_bytes < 32_000
        assert 30_000 < inner.peak_heap < 31_000
        assert 50_000 < outer.peak_heap < 52_000
        assert outer.frees > inner.frees

    def test_out_of_order(self) -> None:
        """The outer one may end first."""
        outer, inner = Counter(), Counter()
        outer.__enter__()
        inner.__enter__()
        outer.__exit__(None, None, None)
        block = bytearray(5000)
        inner.__exit__(None, None, None)
        assert inner.live_bytes >= len(block) > outer.live_bytes
        assert handler_name(np.empty(1)) == "default_allocator"

    def test_it_is_entered_once_at_a_time(self) -> None:
        """A second entry is refused; used again later, it counts from 0."""
        counter = Counter()
        with counter, pytest.raises(RuntimeError, match="counts already"):
            counter.__enter__()
        with counter:
            pass
        assert counter.allocations == 0

    def test_one_that_is_dropped(self) -> None:
        """Without its end, it ends with the object."""
        Counter().__enter__()
        with Counter() as counter:
            pass
        assert counter.allocations == 0
        assert handler_name(np.empty(1)) == "default_allocator"


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 30), st.integers(1, 5000)), max_size=100))
def test_against_a_model(steps: list[tuple[bool, int, int]]) -> None:
    """Live bytes and the peak follow bytearrays that come and go, to what Python itself needs round them."""
    kept: list[bytearray | None] = [None] * 31
    live = peak = 0
    with Counter() as counter:
        for makes, place, size in steps:
            old = kept[place]
            live -= len(old) if old is not None else 0
            kept[place] = old = None
            if makes:
                kept[place] = bytearray(size)
                live += size
            peak = max(peak, live)
        room = 31 * 100 + 4096  # the objects' heads, and what the loop makes
        assert live <= counter.live_bytes + room
        assert counter.live_bytes <= live + room
    assert peak <= counter.peak_heap + room
    assert counter.peak_heap <= peak + room


def test_more_blocks_than_the_table_had_room_for() -> None:
    """It grows, and loses none."""
    with Counter() as counter:
        kept = [object() for _ in range(200_000)]
    assert counter.live_blocks >= len(kept)
    assert counter.is_complete
    with Counter() as counter:
        del kept
    assert counter.allocations < 100


class TestThreads:
    """All threads count."""

    def test_exactly(self) -> None:
        """Eight threads that keep a thousand arrays of bytes each are eight thousand blocks."""
        kept: list[bytearray] = []
        ready = threading.Barrier(9)

        def make() -> None:
            ready.wait()
            for _ in range(1000):
                kept.append(bytearray(3000))

        threads = [threading.Thread(target=make) for _ in range(8)]
        for thread in threads:
            thread.start()
        with Counter() as counter:
            ready.wait()
            for thread in threads:
                thread.join()
        assert counter.size_classes[4096] >= 8000
        assert counter.allocations - counter.frees == counter.live_blocks
        assert counter.live_bytes >= 8000 * 3000

    def test_a_fork_counts_for_itself(self) -> None:
        """While other threads allocate; the child neither hangs nor changes the parent's counts."""
        stop = threading.Event()

        def busy() -> None:
            while not stop.is_set():
                [object() for _ in range(100)]

        threads = [threading.Thread(target=busy) for _ in range(4)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(20):
                with Counter():
                    child = os.fork()
                    if child == 0:
                        kept = [bytearray(10) for _ in range(1000)]
                        with Counter() as counter:
                            kept.append(bytearray(10))
                        os._exit(0 if counter.live_blocks >= 2 and len(kept) == 1001 else 1)
                assert os.waitpid(child, 0)[1] == 0
        finally:
            stop.set()
            for thread in threads:
                thread.join()


class TestInterval:
    """An interval with a counter."""

    def test_nothing_in_an_empty_one(self) -> None:
        """None of its own work counts, in 200 of 200; in an outer one the two methods that the with statement binds."""
        for _ in range(200):
            outer, inner = Interval(), Interval()
            outer.counter, inner.counter = Counter(), Counter()
            with outer, inner:
                pass
            assert inner.counter.allocations == 0
            assert outer.counter.allocations <= 2

    def test_one_counter_for_two(self) -> None:
        """It is refused before anything begins, and so is something else in its place."""
        outer, inner, wrong = Interval(), Interval(), Interval()
        outer.counter = inner.counter = Counter()
        wrong.counter = 5  # type: ignore[assignment]
        with outer:
            with pytest.raises(RuntimeError, match="counts for another interval"):
                inner.start()
            with pytest.raises(TypeError):
                wrong.start()
            kept = bytearray(5000)
        assert outer.counter.live_bytes >= len(kept)

    def test_what_lies_between(self) -> None:
        """The rest does, and neither faults nor memory are moved by the counting."""
        interval = Interval()
        interval.counter = Counter()
        interval.start()
        interval.stop()
        again = Interval()
        again.counter = Counter()
        with again:
            kept = [bytearray(100) for _ in range(100)]
        assert again.counter.live_blocks >= 2 * len(kept)
        assert interval.retained_rss == 0


class TestRefusals:
    """Where it cannot count."""

    def test_tracemalloc(self) -> None:
        """It allocates by the same ways, and takes hooks away at its end: refused, with the mend."""
        tracemalloc.start()
        try:
            reason = unavailable()
            with pytest.raises(RuntimeError, match=r"tracemalloc is tracing.*: stop it"):
                Counter()
        finally:
            tracemalloc.stop()
        assert reason is not None
        assert unavailable() is None

    def test_under_the_debug_hooks(self) -> None:
        """``PYTHONMALLOC=debug`` and ``malloc`` are what is behind, then."""
        script = "from cyx.hooks import Counter\nwith Counter() as c: x = bytearray(5000)\nprint(c.live_bytes)"
        for kind in ("debug", "malloc", "malloc_debug", "pymalloc"):
            environment = {**os.environ, "PYTHONMALLOC": kind}
            run = subprocess.run(
                [sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=True
            )
            assert 5000 < int(run.stdout) < 5400


def test_random_frees_of_large_numbers() -> None:
    """A hundred thousand blocks freed in any order are all known."""
    order = list(range(100_000))
    random.Random(5).shuffle(order)
    with Counter() as counter:
        kept: list[bytearray | None] = [bytearray(8) for _ in range(100_000)]
        for i in order:
            kept[i] = None
    assert counter.live_blocks < 100
    assert counter.frees >= 200_000
