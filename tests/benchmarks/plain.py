"""The loops in plain C: built in the run, and called with the operands of the kernels."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path
from typing import Any

from compiled import HERE, compiled

HEADERS = HERE.parents[1] / "cyx" / "patterns"
DRAWS = {"uniform": 0, "once": 1, "zipf": 2}


class Run(ctypes.Structure):
    """``struct run`` of plain_kernels.c."""

    _fields_ = (
        ("target", ctypes.c_void_p),
        ("source", ctypes.c_void_p),
        ("second", ctypes.c_void_p),
        ("size", ctypes.c_size_t),
        ("stride", ctypes.c_size_t),
        ("value", ctypes.c_uint64),
        ("factor", ctypes.c_double),
        ("passes", ctypes.c_size_t),
        ("fd", ctypes.c_int),
        ("buffer", ctypes.c_void_p),
        ("block", ctypes.c_size_t),
        ("draw", ctypes.c_void_p),
        ("answer", ctypes.c_uint64),
    )


def build(folder: Path) -> ctypes.CDLL:
    """Compile the loops and load them."""
    loaded = compiled("plain_kernels.c", folder, "-std=gnu11", "-O3", "-pthread", f"-I{HEADERS}", "-lm")
    loaded.size_of_draw.restype = ctypes.c_size_t
    return loaded


def loop(library: ctypes.CDLL, name: str) -> Callable[[Run], int]:
    """Return a loop, as a function from a run to its nanoseconds."""
    function = library[f"plain_{name}"]
    function.restype = ctypes.c_long
    return lambda run: int(function(ctypes.byref(run)))


def in_threads(library: ctypes.CDLL, name: str, runs: list[Run]) -> int:
    """Return the nanoseconds of runs of a loop side by side."""
    library.plain_threads.restype = ctypes.c_long
    return int(library.plain_threads(library[f"plain_{name}"], (Run * len(runs))(*runs), len(runs)))


def draw(library: ctypes.CDLL, kind: str, units: int, unit: int, seed: int, skew: float = 0.99) -> Any:
    """Return how offsets are drawn; it must live as long as the run that uses it."""
    made = ctypes.create_string_buffer(library.size_of_draw())
    library.plain_draw(
        made,
        ctypes.c_int(DRAWS[kind]),
        ctypes.c_uint64(units),
        ctypes.c_size_t(unit),
        ctypes.c_uint64(seed),
        ctypes.c_double(skew),
    )
    return made
