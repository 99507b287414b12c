"""What is known of a library that serves malloc."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol


class Serves(Protocol):
    """How a library tells by its own means that it serves this process."""

    def __call__(self, program: ctypes.CDLL, malloc: Callable[[int], int]) -> bool:
        """Tell whether the library knows of what ``malloc(bytes)``, called meanwhile, returns the address of."""


@dataclass(frozen=True, slots=True)
class Heap:
    """What a library says of its heap: bytes, or why it does not say them."""

    allocated: int | str
    """Of blocks that the program holds, as the library rounds their sizes up."""
    active: int | str
    """Of the pages that these lie on, with what is free on them."""
    resident: int | str
    """Of the pages that it keeps in memory."""
    retained: int | str
    """Of addresses that it keeps for later, and whose memory it has given back."""

    @property
    def fragmentation(self) -> float | str:
        """The share of the active bytes that no block needs."""
        for each in (self.allocated, self.active):
            if isinstance(each, str):
                return each
        return 1 - self.allocated / self.active if self.active else 0.0  # type: ignore[operator]


@dataclass(frozen=True, slots=True)
class Malloc:
    """A library that serves malloc for a process that is started with it."""

    name: str
    files: tuple[str, ...]
    """What its file may be called, the most wanted first; nothing for the C library, which is always there."""
    package: str
    """Debian's."""
    version: Callable[[ctypes.CDLL], str]
    """Returns its version, asked in a process that it serves."""
    serves: Serves
    heap: Callable[[ctypes.CDLL], Heap]
    """Returns its statistics of a process that it serves. OSError or AttributeError where it has none."""
    purge: Callable[[ctypes.CDLL], Callable[[], object]] | None = None
    """Returns what gives its free memory back to the system; None for glibc, whose heap is settled block by block."""
