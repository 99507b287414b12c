"""Allocators behind NumPy and CPython: who serves what, and that each block goes home."""

from __future__ import annotations

import asyncio
import contextvars
import ctypes
import gc
import json
import os
import queue
import subprocess
import sys
import threading
import weakref
from pathlib import Path

import numpy as np
import pytest

from cyx.allocators import BY_NAME, Allocator, Corruption, Frame, Pool
from cyx.hooks import DOMAINS, Counter, Swap
from cyx.region import Region

PYTHON = ("object", "mem", "raw")


def address_of(array: np.ndarray) -> int:
    """Return where an array's data is."""
    return int(array.__array_interface__["data"][0])


class TestNumPy:
    """Arrays made while it is entered."""

    def test_their_data(self) -> None:
        """It lies in the allocator, and that of arrays before and after does not."""
        frame = Frame()
        before = np.arange(100.0)
        with Swap(frame) as served:
            inside = np.arange(100.0)
            zeros = np.zeros((10, 10))
            both = before + inside
        after = np.arange(100.0)

        assert served is frame
        assert [frame.owns(address_of(array)) for array in (before, inside, zeros, both, after)] == [0, 1, 1, 1, 0]
        assert frame.statistics.live_blocks == 3
        assert (both == 2 * before).all()
        assert not zeros.any()

    def test_it_outlives_the_swap(self) -> None:
        """Arrays stay valid, grow where they are, and hold the allocator until the last of them is gone."""
        frame = Frame()
        gone = weakref.ref(frame)
        with Swap(frame):
            array = np.arange(1000)
        inside = frame.owns(address_of(array))
        del frame
        gc.collect()
        assert inside
        assert gone() is not None
        array.resize(5000, refcheck=False)
        assert array[:1000].sum() == 499_500
        assert not array[1000:].any()
        del array
        with Swap(Frame()):
            pass  # whoever swaps lets go of what is not needed
        assert gone() is None

    def test_a_reset_is_refused_while_an_array_is_alive(self) -> None:
        """It would have no memory any more."""
        frame = Frame()
        with Swap(frame):
            array = np.ones(10)
        with pytest.raises(BufferError, match="1 blocks of this frame are alive in Python or NumPy"):
            frame.reset()
        del array
        frame.reset()
        assert frame.statistics.live == 0

    @pytest.mark.parametrize("domain", ["numpy", "object"])
    @pytest.mark.parametrize("checked", [False, True])
    def test_a_scope_does_not_end_while_an_object_of_it_is_alive(self, domain: str, checked: bool) -> None:
        """One from before the scope does not hold it up."""
        frame = Frame(checked=checked)
        with Swap(frame, domain):
            older = [np.ones(100), bytearray(600)]
            if domain == "numpy":  # of objects Python may keep some
                with frame.scope():
                    np.ones(10)
            with pytest.raises(BufferError, match="alive in Python or NumPy"), frame.scope():
                kept = [np.ones(100), bytearray(600)]
        assert [len(kept[0]), len(kept[1]), kept[0].sum()] == [100, 600, 100]
        assert older[0].sum() == 100
        del kept, older

    def test_a_context_that_outlives_it(self) -> None:
        """Arrays made in a copy of the context, after the end, are NumPy's again."""
        frame = Frame()
        with Swap(frame):
            context = contextvars.copy_context()
            inside = context.run(np.ones, 10)
        assert frame.owns(inside)
        assert not frame.owns(context.run(np.ones, 10))

    def test_what_is_too_large_for_it(self) -> None:
        """It goes where it went before; an array that grows beyond moves there."""
        pool = Pool(64)
        with Swap(pool):
            small, large = np.arange(8.0), np.arange(9.0)
            grows = np.arange(4.0)
            inside = pool.owns(address_of(grows))
            grows.resize(100, refcheck=False)
        assert pool.owns(address_of(small))
        assert not pool.owns(address_of(large))
        assert inside
        assert not pool.owns(address_of(grows))
        assert grows[:4].tolist() == [0, 1, 2, 3]
        assert not grows[4:].any()
        assert pool.statistics.live_blocks == 1

    def test_no_memory(self) -> None:
        """MemoryError, and everything as it was."""
        pool = Pool(1024, memory=bytearray(4096 + 16))
        kept = []
        with Swap(pool), pytest.raises(MemoryError):
            kept.extend(np.empty(128) for _ in range(100))
        assert len(kept) == 4
        kept.clear()
        assert pool.statistics.live_blocks == 0
        pool.check()

    def test_on_a_region(self) -> None:
        """Arrays lie on the memory that the allocator was given."""
        region = Region(4 << 20, kind="thp")
        frame = Frame(memory=region)
        with Swap(frame):
            array = np.ones(1000)
        assert region.address <= address_of(array) < region.address + region.size

    def test_nested(self) -> None:
        """The inner one serves; the outer one serves again after it."""
        outer, inner = Frame(), Frame()
        with Swap(outer):
            first = np.ones(5)
            with Swap(inner):
                second = np.ones(5)
            third = np.ones(5)
        assert outer.owns(address_of(first))
        assert outer.owns(address_of(third))
        assert inner.owns(address_of(second))

    def test_which_contexts_have_it(self) -> None:
        """A task and a thread in a copied context do; a plain thread does not."""
        frame = Frame()
        arrays: dict[str, np.ndarray] = {}

        def make(name: str) -> None:
            arrays[name] = np.ones(10)

        async def task() -> None:
            make("task")

        async def main() -> None:
            await asyncio.create_task(task())

        with Swap(frame):
            asyncio.run(main())
            copied = contextvars.copy_context()
            for thread in (
                threading.Thread(target=copied.run, args=(make, "copied")),
                threading.Thread(target=make, args=("plain",)),
            ):
                thread.start()
                thread.join()

        assert {name: frame.owns(address_of(array)) for name, array in arrays.items()} == {
            "task": True,
            "copied": True,
            "plain": False,
        }

    def test_it_counts_too(self) -> None:
        """Blocks of a swapped allocator are counted like any."""
        with Swap(Frame()), Counter() as counter:
            array = np.ones(1000)
        assert counter.size_classes[8192] == 1
        assert counter.live_bytes >= array.nbytes


@pytest.mark.parametrize("domain", PYTHON)
class TestEachDomain:
    """Blocks of CPython's domains."""

    def test_who_serves(self, domain: str) -> None:
        """What is allocated inside lies in it, and may be freed after; what was there before goes back to its owner."""
        prefix = {"raw": "PyMem_Raw", "mem": "PyMem_", "object": "PyObject_"}[domain]
        malloc, free, realloc = (getattr(ctypes.pythonapi, prefix + act) for act in ("Malloc", "Free", "Realloc"))
        calloc = getattr(ctypes.pythonapi, prefix + "Calloc")
        for function in (malloc, realloc, calloc):
            function.restype = ctypes.c_void_p
        pool = Pool(128)
        before = malloc(ctypes.c_size_t(100))
        ctypes.memset(before, 7, 100)
        with Swap(pool, [domain]):
            inside = malloc(ctypes.c_size_t(100))
            zeros = calloc(ctypes.c_size_t(10), ctypes.c_size_t(10))
            clean = ctypes.string_at(zeros, 100)
            before = realloc(ctypes.c_void_p(before), ctypes.c_size_t(120))
            moves = malloc(ctypes.c_size_t(100))
            ctypes.memset(moves, 9, 100)
            was = pool.owns(moves)
            moves = realloc(ctypes.c_void_p(moves), ctypes.c_size_t(5000))
        owned = [pool.owns(block) for block in (before, inside, zeros, moves)]
        content = ctypes.string_at(before, 100), ctypes.string_at(moves, 100)
        live = pool.statistics.live_blocks
        for block in (before, inside, zeros, moves):
            free(ctypes.c_void_p(block))

        assert clean == bytes(100)
        assert was
        assert owned == [False, True, True, False]
        assert content == (b"\7" * 100, b"\x09" * 100)
        assert live - pool.statistics.live_blocks >= 2

    def test_objects_go_home(self, domain: str) -> None:
        """Whatever Python keeps and drops, inside and outside, the allocator ends as valid as it began."""
        pool = Pool(512, checked=True)
        older = [str(i) * 3 for i in range(1000)]
        with Swap(pool, domain):
            kept = [{str(i): [i * 1000.5]} for i in range(1000)]
            del older[::2]
            gc.collect()
        assert [entry[str(i)] for i, entry in enumerate(kept)] == [[i * 1000.5] for i in range(1000)]
        del kept, older
        gc.collect()
        pool.check()
        assert pool.corruptions == 0


@pytest.mark.parametrize("name", BY_NAME)
class TestEachAllocator:
    """Those that have a name stand behind everything."""

    def test_behind_all_domains(self, name: str) -> None:
        """Objects, buffers and arrays are theirs; what is left afterwards is what Python keeps."""
        allocator = BY_NAME[name]()
        with Swap(allocator, DOMAINS):
            kept = {str(i): [np.arange(i % 50), bytearray(i), i * 1.5] for i in range(2000)}
            matrix = np.ones((300, 300))
            product = matrix @ matrix
            text = json.dumps(sorted(kept))
        assert json.loads(text) == sorted(str(i) for i in range(2000))
        assert (product == 300).all()
        assert allocator.owns(product)
        assert allocator.owns(id(kept["1999"]))
        assert all(entry[0].sum() == sum(range(int(i) % 50)) for i, entry in kept.items())
        before = allocator.statistics.live_blocks
        del kept, matrix, product, text
        gc.collect()
        assert allocator.statistics.live_blocks < before - 8000
        allocator.check()

    def test_threads_without_a_rest(self, name: str) -> None:
        """Eight threads make, pass on and drop objects in it; all are what they were made as."""
        allocator = BY_NAME[name]()
        passed: queue.SimpleQueue[list[str]] = queue.SimpleQueue()
        wrong: list[int] = []

        def make(number: int) -> None:
            for i in range(300):
                passed.put([str(number), *(str(i * j) for j in range(50))])
                entry = passed.get()  # perhaps another one's
                if len(entry) != 51 or int(entry[3]) != 2 * int(entry[2]):
                    wrong.append(number)

        with Swap(allocator, DOMAINS):
            threads = [threading.Thread(target=make, args=(number,)) for number in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert wrong == []
        allocator.check()


class TestThreads:
    """Threads that allocate while others swap."""

    def test_during_the_swap(self) -> None:
        """Eight threads make and drop objects throughout 200 swaps: nothing is lost, nothing is mixed up."""
        stop = threading.Event()
        wrong: list[int] = []

        def work(number: int) -> None:
            while not stop.is_set():
                made = [(number, str(i), [i] * (i % 40)) for i in range(200)]
                if any(entry[0] != number or int(entry[1]) != i for i, entry in enumerate(made)):
                    wrong.append(number)

        threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
        for thread in threads:
            thread.start()
        pools = [Pool(256) for _ in range(4)]
        for i in range(200):
            with Swap(pools[i % 4], PYTHON):
                made = [object() for _ in range(100)]
            del made
        stop.set()
        for thread in threads:
            thread.join()
        gc.collect()

        assert wrong == []
        for pool in pools:
            pool.check()

    def test_raw_blocks_without_the_gil(self) -> None:
        """Threads that never hold it allocate and free in the raw domain meanwhile (ctypes gives it up for a CDLL)."""
        raw = ctypes.CDLL(None)
        malloc, free = raw.PyMem_RawMalloc, raw.PyMem_RawFree
        malloc.restype, malloc.argtypes, free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]
        stop = threading.Event()
        done = []

        def work() -> None:
            count = 0
            while not stop.is_set():
                block = malloc(100)
                ctypes.memset(block, 1, 100)
                free(block)
                count += 1
            done.append(count)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        pools = [Pool(128, checked=i == 0) for i in range(3)]
        for i in range(300):
            with Swap(pools[i % 3], "raw"):
                pass
        stop.set()
        for thread in threads:
            thread.join()

        assert min(done) > 0
        for pool in pools:
            pool.check()
            assert pool.corruptions == 0


class TestMistakes:
    """What cannot be swapped."""

    @pytest.mark.parametrize("domains", [("nunpy",), (), "objects", ("raw", "numpy", "x")])
    def test_domains(self, domains: tuple[str, ...]) -> None:
        """The ones that there are stand in the message."""
        with pytest.raises(ValueError, match="numpy, object, mem, raw"):
            Swap(Frame(), domains)

    @pytest.mark.parametrize("allocator", ["slab", None, 5])
    def test_no_allocator(self, allocator: object) -> None:
        """A TypeError."""
        with pytest.raises(TypeError):
            Swap(allocator)  # type: ignore[arg-type]

    def test_alignment(self) -> None:
        """An allocator that cannot give multiples of 16 is refused."""
        with pytest.raises(ValueError, match="multiples of 16"):
            Swap(Pool(64, alignment=8))

    def test_entered_twice(self) -> None:
        """Refused, and left as it is."""
        swap = Swap(Frame())
        with swap, pytest.raises(RuntimeError, match="entered already"):
            swap.__enter__()
        with pytest.raises(RuntimeError, match="not entered"):
            swap.__exit__(None, None, None)

    def test_the_wrong_order(self) -> None:
        """Swaps of one domain end the last one first; after the refusal they still can."""
        one, other = Swap(Pool(64), "mem"), Swap(Pool(64), "mem")
        one.__enter__()
        other.__enter__()
        with pytest.raises(RuntimeError, match="opposite order"):
            one.__exit__(None, None, None)
        other.__exit__(None, None, None)
        one.__exit__(None, None, None)

    def test_memory_of_another_one_that_comes_later(self) -> None:
        """Nor the other way round."""
        frame = Frame()
        pool = Pool(64, memory=frame.allocate(1 << 16))
        with Swap(pool), pytest.raises(ValueError, match="is a block of another one"):
            Swap(frame).__enter__()

    def test_memory_of_another_one(self) -> None:
        """An allocator in a block of one that serves Python could not be told from it."""
        frame = Frame()
        with Swap(frame):
            array = np.zeros(1 << 16)
        with pytest.raises(ValueError, match="is a block of another one"):
            Swap(Pool(64, memory=array)).__enter__()

    def test_corruption_is_told_at_the_end(self) -> None:
        """What checked mode found meanwhile is raised there."""
        pool = Pool(64, checked=True)
        swap = Swap(pool)
        swap.__enter__()
        array = np.ones(2)
        ctypes.memset(address_of(array) + 16, 1, 1)
        del array
        with pytest.raises(Corruption, match="beyond its end"):
            swap.__exit__(None, None, None)
        assert not pool.owns(address_of(np.ones(2)))


def test_swapped_to_the_end_of_the_process() -> None:
    """A program that never ends its swap ends well all the same."""
    script = (
        "import numpy as np, sys\n"
        "from cyx.allocators import Pool\n"
        "from cyx.hooks import Swap\n"
        "swap = Swap(Pool(512), ['numpy', 'object', 'mem', 'raw'])\n"
        "swap.__enter__()\n"
        "import json, decimal\n"
        "kept = [np.ones(5), {i: str(i) for i in range(10_000)}]\n"
        "print(swap.allocator.statistics.live_blocks > 10_000)\n"
    )
    run = subprocess.run([sys.executable, "-X", "faulthandler", "-c", script], capture_output=True, text=True)
    assert (run.returncode, run.stdout, run.stderr) == (0, "True\n", "")


def test_a_fork_inside() -> None:
    """The child goes on with the allocator, and without."""
    pool = Pool(256)
    with Swap(pool, PYTHON):
        kept = [str(i) for i in range(1000)]
        child = os.fork()
        if child == 0:
            made = [str(i) for i in range(1000)]
            os._exit(0 if made == kept else 1)
        assert os.waitpid(child, 0)[1] == 0
    assert kept[999] == "999"


@pytest.mark.usefixtures("no_garbage")
def test_nothing_is_left() -> None:
    """A hundred swaps leave no mapping behind."""

    def mappings() -> int:
        return len(Path("/proc/self/maps").read_text().splitlines())

    def swap(allocator: Allocator) -> None:
        with Swap(allocator):
            np.ones(100)

    swap(Frame())
    before = mappings()
    for _ in range(100):
        swap(Frame())
    gc.collect()
    with Swap(Frame()):
        pass
    assert mappings() - before <= 4


@pytest.mark.parametrize("kind", ["debug", "malloc", "malloc_debug", "pymalloc_debug"])
def test_under_other_allocators_of_python(kind: str) -> None:
    """Blocks go home under ``PYTHONMALLOC`` too, though its debug layer hands out addresses of its own."""
    script = (
        "import gc\n"
        "from cyx.allocators import Pool, Slab\n"
        "from cyx.hooks import Swap\n"
        "allocator = Slab(checked=True)\n"
        "for domains in (['raw'], ['object'], ['mem'], ['object', 'mem', 'raw']):\n"
        "    with Swap(allocator, domains):\n"
        "        kept = [bytearray(i) for i in range(0, 3000, 7)] + [str(i) for i in range(1000)]\n"
        "    assert [len(each) for each in kept[:3]] == [0, 7, 14]\n"
        "    del kept\n"
        "gc.collect()\n"
        "allocator.check()\n"
        "print(allocator.statistics.allocations > 1000, allocator.corruptions)\n"
    )
    environment = {**os.environ, "PYTHONMALLOC": kind}
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment)
    assert (run.returncode, run.stdout, run.stderr) == (0, "True 0\n", "")
