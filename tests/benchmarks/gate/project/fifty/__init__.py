"""Work of many kinds, for the gate to be tried on."""

from __future__ import annotations

import base64
import bisect
import csv
import hashlib
import heapq
import io
import json
import mmap
import os
import pickle
import random
import re
import string
import tempfile
import threading
import time
import zlib
from collections import Counter, OrderedDict, defaultdict, deque

PAGE = mmap.PAGESIZE
EXTRA_PAGES = 0
"""What a planted change adds to ``touch``."""
EXTRA_PEAK = 0
"""Bytes that a planted change adds to ``hold``."""
SLOWER = 1.0
"""How many times as long ``spin`` takes."""


def touch(pages):
    """Write to so many fresh pages."""
    with mmap.mmap(-1, (pages + EXTRA_PAGES) * PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        memory.madvise(mmap.MADV_NOHUGEPAGE)
        for page in range(pages + EXTRA_PAGES):
            memory[page * PAGE] = 1


def hold(size):
    """Have so many bytes at once, written: what is only read is the one page of zeros that all share."""
    return len(b"x" * (size + EXTRA_PEAK))


def spin(rounds):
    """Calculate."""
    total = 0
    for number in range(int(rounds * SLOWER)):
        total += number * number
    return total


def json_objects(number):
    """Parse many objects, and keep them."""
    return [json.loads(f'{{"id": {i}, "name": "n{i}", "tags": ["a", "b"]}}') for i in range(number)]


def json_dumps(number):
    """Write many objects."""
    return json.dumps([{"id": i, "value": i * 0.5} for i in range(number)])


def dictionary(number):
    """Fill a dictionary."""
    return {f"key {i}": i for i in range(number)}


def integers(number):
    """Keep integers that are not cached."""
    return list(range(1000, 1000 + number))


def floats(number):
    """Keep floats."""
    return [i * 0.25 for i in range(number)]


def strings(number):
    """Keep strings."""
    return [f"a string of some length {i}" for i in range(number)]


def joined(number):
    """Join strings."""
    return "".join(strings(number))


def tuples(number):
    """Keep tuples."""
    return [(i, i + 1, str(i)) for i in range(number)]


def sets(number):
    """Fill sets."""
    return [set(range(i, i + 10)) for i in range(number)]


def sorted_copy(number):
    """Sort what is in no order."""
    return sorted((i * 7919) % 10007 for i in range(number))


def heap(number):
    """Push to a heap, and pop."""
    items = []
    for i in range(number):
        heapq.heappush(items, (i * 31) % 1009)
    return [heapq.heappop(items) for _ in range(number)]


def counted(number):
    """Count words."""
    return Counter(f"w{i % 997}" for i in range(number))


def grouped(number):
    """Group by a key."""
    groups = defaultdict(list)
    for i in range(number):
        groups[i % 101].append(i)
    return groups


def ordered(number):
    """Fill an ordered dictionary."""
    return OrderedDict((i, str(i)) for i in range(number))


def queue(number):
    """Go through a deque."""
    items = deque(maxlen=1000)
    for i in range(number):
        items.append(str(i))
    return items


def table(number):
    """Write and read a table."""
    text = io.StringIO()
    csv.writer(text).writerows((i, i * 2, f"row {i}") for i in range(number))
    text.seek(0)
    return list(csv.reader(text))


def pickled(number):
    """Write and read by pickle."""
    return pickle.loads(pickle.dumps([{"i": i} for i in range(number)]))


def compressed(size):
    """Compress and decompress."""
    return zlib.decompress(zlib.compress(b"some text, again and again " * (size // 27)))


def encoded(size):
    """Encode and decode."""
    return base64.b64decode(base64.b64encode(bytes(size)))


def digested(size):
    """Hash."""
    return hashlib.sha256(bytes(size)).hexdigest()


def matched(number):
    """Find by an expression."""
    return re.findall(r"(\w+)=(\d+)", " ".join(f"name{i}={i}" for i in range(number)))


def replaced(size):
    """Replace in a text."""
    return ("abc " * (size // 4)).replace("b", "bb")


def split(size):
    """Split a text."""
    return ("word " * (size // 5)).split()


def formatted(number):
    """Fill a template."""
    template = string.Template("Dear $name, you owe $sum.")
    return [template.substitute(name=f"n{i}", sum=i) for i in range(number)]


def bisected(number):
    """Keep a list sorted."""
    items = []
    for i in range(number):
        bisect.insort(items, (i * 37) % 4099)
    return items


class Point:
    """An object with attributes."""

    def __init__(self, x, y):
        self.x = x
        self.y = y


def objects(number):
    """Keep objects."""
    return [Point(i, -i) for i in range(number)]


def closures(number):
    """Keep functions."""
    return [lambda i=i: i for i in range(number)]


def generator(number):
    """Go through a generator."""
    return sum(i for i in (j * 2 for j in range(number)))


def buffers(number, size):
    """Take buffers and give them back."""
    for _ in range(number):
        bytearray(size)


def mapped_file(size):
    """Map a file and read it."""
    with tempfile.TemporaryFile() as file:
        file.write(bytes(size))
        file.flush()
        with mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ) as memory:
            return sum(memory[::PAGE])


# What differs from run to run.


def random_dictionary(number):
    """Fill a dictionary of chance's size."""
    return {random.random(): i for i in range(number + random.randrange(number // 20))}


def random_bytes(size):
    """Hold bytes of chance's number."""
    return len(os.urandom(size + random.randrange(size // 10)))


def threads(number, pages):
    """Touch the same pages in several threads."""
    with mmap.mmap(-1, pages * PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:

        def write():
            for page in range(pages):
                memory[page * PAGE] = 1

        workers = [threading.Thread(target=write) for _ in range(number)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()


def waiting(seconds):
    """Wait, more or less."""
    time.sleep(seconds * (1 + random.random() / 5))


def until(seconds):
    """Work for a time: how much, depends on the machine."""
    end = time.perf_counter() + seconds
    kept = []
    while time.perf_counter() < end:
        kept.append(len(kept) * 1.5)
    return len(kept)
