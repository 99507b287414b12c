"""The headers in other people's code: a plain C program under sanitizers, and a Cython module that cimports."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from c_programs import make, run

from cyx.allocators import get_include

HERE = Path(__file__).parent
MODULE = """
# cython: language_level=3
from cyx.allocators.allocator cimport Allocator, handle_allocate, handle_release
from cyx.allocators.frame cimport Frame, frame_reset, frame_take
from cyx.allocators.pool cimport Pool, pool_return, pool_take


def pairs(Pool pool, Py_ssize_t count):
    cdef void* block = NULL
    cdef Py_ssize_t i
    with nogil:
        for i in range(count):
            block = pool_take(&pool.pool)
            (<char*>block)[0] = 1
            pool_return(&pool.pool, block)
    return pool.statistics.allocations


def lines(Frame frame, int count):
    cdef int i
    for i in range(count):
        (<int*>frame_take(&frame.frame, 100, 64))[0] = i
    live = frame.statistics.live_blocks
    frame_reset(&frame.frame)
    return live


def through(Allocator own):
    cdef void* block = handle_allocate(&own.handle, 10, 8)
    found = own.owns(<size_t>block)
    handle_release(&own.handle, block)
    return found
"""


@pytest.fixture
def gcc() -> str:
    """Return the compiler."""
    return shutil.which("gcc") or pytest.skip("no C compiler: apt-get install gcc")


@pytest.mark.parametrize("sanitizer", [None, "address,undefined"])
def test_a_program_in_c(tmp_path: Path, sanitizer: str | None) -> None:
    """It compiles without a warning, and random calls find every block as it was, without a report."""
    assert run(make("headers", tmp_path, sanitizer), 60_000) == "fine\n"


def test_the_program_under_valgrind(gcc: str, tmp_path: Path) -> None:
    """Memcheck finds no error in it."""
    valgrind = shutil.which("valgrind") or pytest.skip("no valgrind: apt-get install valgrind")
    program = tmp_path / "headers"
    subprocess.run([gcc, "-g", "-O1", str(HERE / "headers.c"), "-I", get_include(), "-o", str(program)], check=True)
    told = subprocess.run([valgrind, "-q", "--error-exitcode=9", program, "5000"], capture_output=True, text=True)
    assert (told.returncode, told.stdout, told.stderr) == (0, "fine\n", "")


def test_a_module_that_cimports(gcc: str, tmp_path: Path) -> None:
    """A Cython module of somebody else takes blocks inline, and through the handle of any allocator."""
    (tmp_path / "other.pyx").write_text(MODULE)
    (tmp_path / "setup.py").write_text(
        "import cyx\nfrom pathlib import Path\n"
        "from Cython.Build import cythonize\nfrom cyx.allocators import get_include\n"
        "from setuptools import Extension, setup\n"
        "setup(ext_modules=cythonize(Extension('other', ['other.pyx'], include_dirs=[get_include()]),\n"
        "      include_path=[str(Path(cyx.__file__).parents[1])]))\n"
    )
    command = [sys.executable, "setup.py", "-q", "build_ext", "--inplace"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    code = (
        "import other\nfrom cyx.allocators import Frame, Pool\n"
        "print(other.pairs(Pool(64), 1000), other.lines(Frame(), 1000), "
        "other.through(Pool(64)), other.through(Frame()))"
    )
    told = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert (told.stdout, told.stderr) == ("1000 1000 True True\n", "")
