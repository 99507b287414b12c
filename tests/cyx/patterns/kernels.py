"""Each kernel as a function of one operand, and what the tests of several kernels share."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np

from cyx import patterns
from cyx.patterns import Transfer

WORD = 2**64

Kernel = Callable[..., Transfer]

SEQUENTIAL_READERS: dict[str, Kernel] = {
    "scan": patterns.scan,
    "touch": lambda source, **rest: patterns.touch(source, 7, **rest),
    "read_blocks": lambda source, **rest: patterns.read_blocks(source, 64, 7, **rest),
}
FILE_READERS: dict[str, Kernel] = {
    **SEQUENTIAL_READERS,
    "touch_random": lambda source, **rest: patterns.touch_random(source, 100, **rest),
}
READERS: dict[str, Kernel] = {
    **FILE_READERS,
    "touch_random once": lambda source, **rest: patterns.touch_random(source, 9, repeat=False, **rest),
    "touch_random zipf": lambda source, **rest: patterns.touch_random(source, 99, distribution="zipf", **rest),
    "count": lambda source, **rest: patterns.count(source, 65, **rest),
    "find_lines": patterns.find_lines,
    "checksum": patterns.checksum,
    "copy from": lambda source, **rest: patterns.copy(bytearray(len(source)), source, **rest),
}
WRITERS: dict[str, Kernel] = {
    "write": lambda target, **rest: patterns.write(target, 0x0123456789ABCDEF, **rest),
    "fill": patterns.fill,
    "touch_write": lambda target, **rest: patterns.touch_write(target, 7, 1, **rest),
    "copy": lambda target, **rest: patterns.copy(target, content(len(target)), **rest),
    "write_nontemporal": lambda target, **rest: patterns.write_nontemporal(target, 0x0123456789ABCDEF, **rest),
    "copy_nontemporal": lambda target, **rest: patterns.copy_nontemporal(target, content(len(target)), **rest),
}
# These take words of 8 bytes.
WORD_READERS: dict[str, Kernel] = {
    "scale from": lambda source, **rest: patterns.scale(bytearray(len(source)), source, **rest),
    "add from": lambda source, **rest: patterns.add(bytearray(len(source)), content(len(source)), source, **rest),
    "triad from": lambda source, **rest: patterns.triad(bytearray(len(source)), source, source, **rest),
    "gather from": lambda source, **rest: patterns.gather(bytearray(len(source)), source, upwards(source), **rest),
    "scatter from": lambda source, **rest: patterns.scatter(bytearray(len(source)), source, upwards(source), **rest),
}
WORD_WRITERS: dict[str, Kernel] = {
    "scale": lambda target, **rest: patterns.scale(target, content(len(target)), **rest),
    "add": lambda target, **rest: patterns.add(target, content(len(target)), content(len(target)), **rest),
    "triad": lambda target, **rest: patterns.triad(target, content(len(target)), content(len(target)), **rest),
    "gather": lambda target, **rest: patterns.gather(target, content(len(target)), upwards(target), **rest),
    "scatter": lambda target, **rest: patterns.scatter(target, content(len(target)), upwards(target), **rest),
}
BYTE_KERNELS = {**READERS, **WRITERS}
WORD_KERNELS = {**WORD_READERS, **WORD_WRITERS}
KERNELS = {**BYTE_KERNELS, **WORD_KERNELS}


def content(size: int) -> bytes:
    """Return so many bytes, always the same."""
    return random.Random(5).randbytes(size)


def upwards(memory: Any) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return the index of each word of the memory."""
    return np.arange(len(memory) // 8)


def figures(transfer: Transfer) -> tuple[int, int, int]:
    """Return what does not depend on time."""
    return transfer.bytes, transfer.accesses, transfer.checksum


def sample(target: Any) -> int:
    """Return the checksum of those that write."""
    memory = bytes(memoryview(target).cast("B"))
    if len(memory) < 8:
        return sum(memory)
    places = [(len(memory) - 8) * i // 63 for i in range(64)]
    return sum(int.from_bytes(memory[place : place + 8], "little") for place in places) % 2**64


def random_word(seed: int, index: int) -> int:
    """Return a word of SplitMix64, as its authors wrote it."""
    z = (seed + (index + 1) * 0x9E3779B97F4A7C15) % WORD
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) % WORD
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) % WORD
    return z ^ (z >> 31)


def sum_of_words(content: bytes) -> int:
    """Return what scan sums up: little-endian words on this machine, then single bytes."""
    whole = len(content) // 8 * 8
    words = np.frombuffer(content[:whole], np.uint64).tolist()
    return (sum(words) + sum(content[whole:])) % WORD
