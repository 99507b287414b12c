"""C programs of this folder, made of the allocators' headers by gcc."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from cyx.allocators import get_include

WARNINGS = ["-Wall", "-Wextra", "-Wundef", "-Werror", "-Wno-sign-compare"]


def make(name: str, folder: Path, sanitizer: str | None) -> Path:
    """Return the program NAME.c, compiled into the folder; skip where no compiler is, or none with this sanitizer."""
    if not shutil.which("gcc"):
        pytest.skip("no gcc: apt-get install gcc")
    program = folder / name
    how = ["-O2"] if sanitizer is None else ["-O1", "-g", f"-fsanitize={sanitizer}"]
    if sanitizer is not None:
        (folder / "empty.c").write_text("int main(void) { return 0; }\n")
        tried = subprocess.run(["gcc", *how, "-o", folder / "empty", folder / "empty.c"], capture_output=True)
        if tried.returncode:
            pytest.skip(
                f"gcc without -fsanitize={sanitizer}: apt-get install libgcc-dev with its libtsan, libasan, libubsan"
            )
        begun = subprocess.run([folder / "empty"], capture_output=True, text=True)
        if begun.returncode:
            reason = (begun.stderr.splitlines() or ["it dies at once"])[0]
            pytest.skip(f"programs of -fsanitize={sanitizer} do not run here: {reason}: sysctl vm.mmap_rnd_bits=28")
    source = Path(__file__).with_name(f"{name}.c")
    command = [
        "gcc",
        "-std=gnu11",
        "-D_GNU_SOURCE",
        "-pthread",
        *WARNINGS,
        *how,
        f"-I{get_include()}",
        "-o",
        program,
        source,
    ]
    made = subprocess.run(command, capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    return program


def run(program: Path, *arguments: object) -> str:
    """Return what the program says; it must find nothing wrong."""
    ended = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stderr
    assert not ended.stderr
    return ended.stdout
