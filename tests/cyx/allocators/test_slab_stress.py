"""Slab under threads, in a C program made of its headers alone."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

import cyx.allocators

WARNINGS = ["-Wall", "-Wextra", "-Wundef", "-Werror", "-Wno-sign-compare"]


@pytest.mark.skipif(shutil.which("gcc") is None, reason="no gcc: install gcc")
@pytest.mark.parametrize(
    ("sanitizer", "operations"), [("none", 2_000_000), ("address,undefined", 500_000), ("thread", 200_000)]
)
@pytest.mark.parametrize("threads", [1, 8])
def test_random_operations_by_threads(sanitizer: str, operations: int, threads: int, tmp_path: Path) -> None:
    """Blocks hold what was written, whoever frees them; threads end, others go on; no slab is left at the end."""
    program = tmp_path / "stress"
    source = Path(__file__).with_name("slab_stress.c")
    flags = ["-std=gnu11", "-D_GNU_SOURCE", "-O2", "-g", "-pthread", *WARNINGS]
    if sanitizer != "none":
        flags.append(f"-fsanitize={sanitizer}")
    command = ["gcc", *flags, f"-I{cyx.allocators.get_include()}", str(source), "-o", str(program)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    if built.returncode and "cannot find" in built.stderr:
        pytest.skip(f"no library for -fsanitize={sanitizer}: install libasan, libubsan and libtsan")
    assert built.returncode == 0, built.stderr
    command = [str(program), str(threads), str(operations), "4"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert (done.stdout, done.returncode) == ("valid\n", 0), done.stderr
