"""Slab under threads, in a C program made of its headers alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from c_programs import make, run


@pytest.mark.parametrize(
    ("sanitizer", "operations"), [(None, 2_000_000), ("address,undefined", 500_000), ("thread", 200_000)]
)
@pytest.mark.parametrize("threads", [1, 8])
def test_random_operations_by_threads(sanitizer: str | None, operations: int, threads: int, tmp_path: Path) -> None:
    """Blocks hold what was written, whoever frees them; threads end, others go on; no slab is left at the end."""
    program = make("slab_stress", tmp_path, sanitizer)
    assert run(program, threads, operations, 4) == "valid\n"
