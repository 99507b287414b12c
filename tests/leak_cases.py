"""Calls that leak and calls that only grow for a while, for the tests and the trials of ``memperf.leak``.

Each function returns the call; what that keeps begins in the fork that repeats it.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import decimal
import functools
import gc
import io
import itertools
import json
import logging
import logging.handlers
import mmap
import os
import random
import re
import socket
import sqlite3
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

Call = Callable[[], object]
LIBC = ctypes.CDLL(None)
LIBC.malloc.restype = ctypes.c_void_p
LIBC.malloc.argtypes = (ctypes.c_size_t,)


class Node:
    """An object that may refer to itself."""

    def __init__(self) -> None:
        self.other: object = self


class Undead:
    """An object that comes back when it is collected."""

    returned: list[object] = []  # noqa: RUF012

    def __init__(self) -> None:
        self.other = self

    def __del__(self) -> None:
        """Stay alive."""
        self.returned.append(self)


# Leaks.


def list_append() -> Call:
    """An object more in a list."""
    kept: list[object] = []
    return lambda: kept.append(object())


def endless_dict() -> Call:
    """A key more in a dict."""
    kept: dict[int, int] = {}
    numbers = itertools.count(1000)

    def call() -> None:
        kept[next(numbers)] = 0

    return call


def numpy_array() -> Call:
    """An array of 8 KiB."""
    kept: list[object] = []

    def call() -> None:
        import numpy

        kept.append(numpy.zeros(1024))

    return call


def c_malloc() -> Call:
    """A block of 200 B that C code forgets."""
    return lambda: LIBC.malloc(200)


def mapping() -> Call:
    """A mapping of a page that is never touched."""
    kept: list[object] = []
    return lambda: kept.append(mmap.mmap(-1, mmap.PAGESIZE))


def file_descriptor() -> Call:
    """A descriptor that nobody closes."""
    return lambda: os.open("/dev/null", os.O_RDONLY)


def thread() -> Call:
    """A thread that waits for ever."""

    def call() -> None:
        threading.Thread(target=threading.Event().wait, daemon=True).start()

    return call


def one_object_in_ten_calls() -> Call:
    """Nine calls keep nothing."""
    kept: list[object] = []
    numbers = itertools.count()

    def call() -> None:
        if next(numbers) % 10 == 0:
            kept.append(object())

    return call


def sixteen_bytes() -> Call:
    """A block of 16 B that C code forgets."""
    return lambda: LIBC.malloc(16)


def cycle_without_collector() -> Call:
    """A reference cycle where the collector is off."""

    def call() -> None:
        gc.disable()
        Node()

    return call


def bytes_in_closure() -> Call:
    """A closure that refers to 300 B, kept as a callback."""
    callbacks: list[Call] = []

    def call() -> None:
        data = bytes(300)
        callbacks.append(lambda: data)

    return call


def traceback_kept() -> Call:
    """An exception with its frames in a list of errors."""
    errors: list[BaseException] = []

    def fails(text: str) -> None:
        raise ValueError(text)

    def call() -> None:
        try:
            fails("again")
        except ValueError as error:
            errors.append(error)

    return call


PLANTED = (
    list_append,
    endless_dict,
    numpy_array,
    c_malloc,
    mapping,
    file_descriptor,
    thread,
    one_object_in_ten_calls,
    sixteen_bytes,
    cycle_without_collector,
    bytes_in_closure,
    traceback_kept,
)


def socket_kept() -> Call:
    """A pair of sockets."""
    kept: list[object] = []
    return lambda: kept.append(socket.socketpair())


def generator_kept() -> Call:
    """A generator that is not exhausted."""
    kept: list[object] = []

    def numbers() -> Iterator[int]:
        yield 1
        yield 2

    def call() -> None:
        generator = numbers()
        next(generator)
        kept.append(generator)

    return call


def resurrected() -> Call:
    """A cycle whose finalizer keeps it."""
    return Undead


def large_blocks() -> Call:
    """A megabyte: few calls fill the machine."""
    kept: list[object] = []
    return lambda: kept.append(bytearray(b"1") * (1 << 20))


def slow_and_small() -> Call:
    """An object in a call of 5 ms."""
    kept: list[object] = []

    def call() -> None:
        time.sleep(0.005)
        kept.append(object())

    return call


def realloc_of_c() -> Call:
    """A buffer of C that gets 32 B longer each time."""
    LIBC.realloc.restype = ctypes.c_void_p
    LIBC.realloc.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
    state = [0, 0]

    def call() -> None:
        state[1] += 32
        state[0] = LIBC.realloc(state[0] or None, state[1])

    return call


def classes() -> Call:
    """A class that is kept."""
    kept: list[object] = []
    return lambda: kept.append(type("Made", (), {"field": 1}))


def malloc_in_a_thread() -> Call:
    """A block forgotten by a thread that has an arena of its own."""

    def call() -> None:
        worker = threading.Thread(target=LIBC.malloc, args=(500,))
        worker.start()
        worker.join()

    return call


def one_byte_more() -> Call:
    """A bytearray that gets a byte longer: it moves in steps of an eighth."""
    log = bytearray()
    return lambda: log.append(1)


def leak_beside_a_cache() -> Call:
    """One object in 20 calls, beside a cache of 4,096 entries that fills."""
    kept: list[object] = []
    numbers = itertools.count()
    cached = functools.lru_cache(4096)(lambda number: [number])

    def call() -> None:
        number = next(numbers)
        cached(number)
        if number % 20 == 0:
            kept.append([number])

    return call


FURTHER_PLANTED = (
    socket_kept,
    generator_kept,
    resurrected,
    large_blocks,
    slow_and_small,
    realloc_of_c,
    classes,
    malloc_in_a_thread,
    one_byte_more,
    leak_beside_a_cache,
)

# Growth that ends.


def lru_cache() -> Call:
    """A cache of 4,096 entries, another one in each call."""
    numbers = itertools.count()
    cached = functools.lru_cache(4096)(lambda number: [number])
    return lambda: cached(next(numbers))


def interning() -> Call:
    """2,000 words that are interned for good."""
    numbers = itertools.count()
    kept = set()
    return lambda: kept.add(sys.intern(f"word {next(numbers) % 2000}"))


def lazy_import() -> Call:
    """Modules that the call imports."""

    def call() -> object:
        import colorsys
        import fractions
        import wave

        return fractions, colorsys, wave

    return call


def arenas() -> Call:
    """Temporary objects, more each time for the first hundreds of calls."""
    numbers = itertools.count()
    return lambda: [object() for _ in range(min(next(numbers), 500) * 20)]


def logging_with_buffer() -> Call:
    """A handler that holds 1,000 records back and then writes them."""
    logger = logging.getLogger("leak_cases.buffered")
    logger.propagate = False
    logger.setLevel(logging.INFO)
    target = logging.StreamHandler(open(os.devnull, "w"))  # noqa: SIM115
    logger.addHandler(logging.handlers.MemoryHandler(1000, target=target))
    return lambda: logger.info("a line of %s", "text")


def regex_cache() -> Call:
    """Patterns that ``re`` keeps until it has 512."""
    numbers = itertools.count()
    return lambda: re.match(f"{next(numbers)}x?", "text")


def list_reused() -> Call:
    """A list that doubles to 65,536 entries and is written over from then on."""
    numbers: list[object] = [None]
    count = itertools.count()

    def call() -> None:
        place = next(count) % (1 << 16)
        while place >= len(numbers):
            numbers.extend([None] * len(numbers))
        numbers[place] = 1.5 * place

    return call


def lazy_pool() -> Call:
    """A pool that starts a thread for a task where none is idle."""
    pools: list[ThreadPoolExecutor] = []

    def call() -> object:
        if not pools:
            pools.append(ThreadPoolExecutor())
        return list(pools[0].map(abs, range(4)))

    return call


def numpy_first_use() -> Call:
    """NumPy's import and its first calculations."""

    def call() -> Any:
        import numpy

        return (numpy.arange(20_000, dtype=float) ** 2).sum()

    return call


def formatting() -> Call:
    """Texts of numbers."""
    numbers = itertools.count()
    return lambda: f"{next(numbers):>10,} {1 / 3:.17g} {'ä'!r} {decimal.Decimal('1.10')}".encode()


def bounded_deque() -> Call:
    """The last 3,000 results."""
    last: deque[object] = deque(maxlen=3000)
    return lambda: last.append([1])


def dict_reused() -> Call:
    """A dict that is filled and emptied."""
    table: dict[int, object] = {}
    numbers = itertools.count()

    def call() -> None:
        number = next(numbers) % 5000
        if number == 0:
            table.clear()
        table[number] = [number]

    return call


INNOCENT = (
    lru_cache,
    interning,
    lazy_import,
    arenas,
    logging_with_buffer,
    regex_cache,
    list_reused,
    lazy_pool,
    numpy_first_use,
    formatting,
    bounded_deque,
    dict_reused,
)


def large_pool() -> Call:
    """A pool of 24 threads, of which thousands of calls start one now and then."""
    pools: list[ThreadPoolExecutor] = []

    def call() -> object:
        if not pools:
            pools.append(ThreadPoolExecutor(24))
        return [task.result() for task in [pools[0].submit(time.sleep, 0) for _ in range(2)]]

    return call


def cache_by_chance() -> Call:
    """A cache of 3,000 possible keys, which come at random."""
    cached = functools.cache(lambda number: [number])
    return lambda: cached(random.randrange(3000))


def sizes_by_chance() -> Call:
    """Blocks of any size that live for a while."""
    alive: list[bytes] = [b""] * 100

    def call() -> None:
        alive[random.randrange(100)] = bytes(random.randrange(1, 20_000))

    return call


def cycles_collected() -> Call:
    """Reference cycles where the collector is on."""
    return Node


def thread_joined() -> Call:
    """A thread that ends."""

    def call() -> None:
        worker = threading.Thread(target=int)
        worker.start()
        worker.join()

    return call


def mapping_closed() -> Call:
    """A mapping that is touched and closed."""

    def call() -> None:
        with mmap.mmap(-1, 1 << 16) as memory:
            memory[::4096] = b"1" * 16

    return call


def file_written() -> Call:
    """A temporary file."""

    def call() -> None:
        with tempfile.TemporaryFile() as file:
            file.write(b"text")

    return call


def database() -> Call:
    """A table with 1,000 rows that are replaced, and statements that are cached."""
    numbers = itertools.count()
    connections: list[sqlite3.Connection] = []

    def call() -> None:
        if not connections:
            connections.append(sqlite3.connect(":memory:"))
            connections[0].execute("create table rows (id integer primary key, text)")
        connections[0].execute("insert or replace into rows values (?, ?)", (next(numbers) % 1000, "text" * 10))
        connections[0].execute(f"select {next(numbers) % 300}").fetchall()

    return call


def event_loop() -> Call:
    """A loop of its own for each call."""

    async def work() -> None:
        await asyncio.sleep(0)

    return lambda: asyncio.run(work())


def exception_caught() -> Call:
    """An exception that is forgotten."""

    def call() -> None:
        with contextlib.suppress(ValueError):
            int("none")

    return call


def document() -> Call:
    """A document that is written and read."""
    rows = [{"name": str(number), "values": [number] * 5} for number in range(50)]
    return lambda: json.load(io.StringIO(json.dumps(rows)))


def slow_and_clean() -> Call:
    """A call of 5 ms that keeps its first ten results."""
    kept: list[object] = []

    def call() -> None:
        time.sleep(0.005)
        if len(kept) < 10:
            kept.append([1])

    return call


def slow_and_cached() -> Call:
    """A call of a millisecond with a cache that a second of calls does not fill."""
    numbers = itertools.count()
    answer = functools.lru_cache(1_024)(str)

    def call() -> None:
        time.sleep(0.001)
        answer(next(numbers) % 5_000)

    return call


FURTHER_INNOCENT = (
    cache_by_chance,
    sizes_by_chance,
    cycles_collected,
    thread_joined,
    mapping_closed,
    file_written,
    database,
    event_loop,
    exception_caught,
    document,
    slow_and_clean,
    slow_and_cached,
)

HARD = (large_pool,)
"""Growth that takes so many calls to end that nobody can tell it from a leak each time."""
