"""One side of the benchmark: a process under its library for malloc that runs a loop for each line it reads."""

from __future__ import annotations

import importlib.util
import json
import sys
from typing import Any

from cyx.allocators import Allocator, Frame, Pool
from pytest_memperf.malloc import MALLOCS
from pytest_memperf.malloc.proof import refuted

SIDES: dict[str, tuple[str, Any]] = {
    "pool": ("pool", Pool),
    "frame": ("frame", lambda size: Frame()),
    "frame, each freed": ("frame_free", lambda size: Frame()),
    "pool by its handle": ("handle", Pool),
}
"""Ours: the row of loops.h, and what makes the allocator for a size. Others add theirs here."""


def main(library: str, side: str) -> None:
    """Answer until the input ends."""
    spec = importlib.util.spec_from_file_location("loops", library)
    assert spec is not None
    assert spec.loader is not None
    loops = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loops)
    if side in MALLOCS and (why := refuted(MALLOCS[side])):
        sys.exit(f"{side} does not serve: {why}")
    kept: dict[int, Allocator] = {}
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        pattern, size, pairs = json.loads(line)
        if side in MALLOCS:
            taken = loops.run("malloc", pattern, size, pairs)
        else:
            row, make = SIDES[side]
            own = kept.setdefault(size, make(size))
            taken = loops.run(row, pattern, size, pairs, own)
        print(json.dumps(taken), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
