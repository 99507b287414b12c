"""A small cache server: what it may keep of each request, and the ways in which it could leak. See README.md."""

from __future__ import annotations

import ctypes
import functools
import itertools
import os
import tempfile
from collections import deque
from collections.abc import Callable
from typing import Any

import pytest

from pytest_memperf import MemoryBudgetExceeded

HISTORY = 50
ANSWERS = 100


class Server:
    """Answers requests; remembers the last ones, and the answers to most of them."""

    def __init__(self) -> None:
        self.history: deque[str] = deque(maxlen=HISTORY)
        self.answer = functools.lru_cache(ANSWERS)(str.upper)
        self.numbers = itertools.count()

    def handle(self) -> str:
        """Answer a request that nobody has made before."""
        request = f"request {next(self.numbers)}"
        self.history.append(request)
        with tempfile.TemporaryFile() as file:
            file.write(request.encode())
        return self.answer(request)


class Forgetful(Server):
    """Has each of the usual leaks, by its name."""

    def __init__(self) -> None:
        super().__init__()
        self.listeners: list[Callable[[], str]] = []

    def listener(self) -> None:
        """Subscribe, and never again unsubscribe."""
        request = self.handle()
        self.listeners.append(lambda: request)

    def descriptor(self) -> None:
        """Leave a file open."""
        self.handle()
        os.open(os.devnull, os.O_RDONLY)

    def buffer(self) -> None:
        """Forget a buffer of C."""
        self.handle()
        allocate = ctypes.CDLL(None).malloc
        allocate.restype = ctypes.c_void_p
        allocate(64)


def test_server_keeps_nothing(memperf: Any) -> None:
    """Its history and its cache fill and are full: nothing goes on growing."""
    memperf.leak(Server().handle)


def test_log_in_memory(memperf: Any) -> None:
    """Whoever wants to keep something of each call says how much: a list's place and a text of some 60 bytes."""
    log: list[str] = []
    numbers = itertools.count()
    memperf.leak(lambda: log.append(f"line {next(numbers)}"), max_retained_rss="128 B", max_live_objects=1.01)


@pytest.mark.parametrize(
    ("leak", "found"),
    [("listener", "live_objects"), ("descriptor", "open_files grows by 1 per call"), ("buffer", "retained_rss")],
)
def test_forgetful(memperf: Any, leak: str, found: str) -> None:
    """Each leak fails its test, with what grows; pytest.raises is only here to show it."""
    with pytest.raises(MemoryBudgetExceeded, match=found):
        memperf.leak(getattr(Forgetful(), leak))
