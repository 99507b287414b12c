"""Which library serves a function, in interpreters started for it: with PIE and, where the system has such, without."""

from __future__ import annotations

import ctypes.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_memperf.environment import symbols

INTERPRETERS = sorted({sys.executable, *filter(os.path.exists, ["/usr/bin/python3"])})
CODE = f"import runpy; print(runpy.run_path({symbols.__file__!r})['library_with']({{!r}}))"


def serving(python: str, function: str, **environment: str) -> str:
    """Return what a new interpreter says serves the function."""
    command = [python, "-I", "-c", CODE.format(function)]
    return subprocess.check_output(command, text=True, env={**os.environ, **environment}).strip()


@pytest.mark.parametrize("python", INTERPRETERS)
def test_the_c_library_serves_malloc(python: str) -> None:
    """Also where the address of malloc is in the executable, as in Debian's."""
    assert os.path.basename(serving(python, "malloc")).startswith(("libc.", "ld-musl"))


@pytest.mark.parametrize("python", INTERPRETERS)
@pytest.mark.parametrize("name", ["jemalloc", "tcmalloc_minimal", "mimalloc"])
def test_a_preloaded_library_serves_malloc(python: str, name: str) -> None:
    """Not the C library, which comes after it; what it lacks is the C library's still."""
    library = ctypes.util.find_library(name)
    if library is None:
        pytest.skip(f"lib{name} is not installed")
    assert Path(serving(python, "malloc", LD_PRELOAD=library)).name.startswith(f"lib{name}.")
    assert Path(serving(python, "getpid", LD_PRELOAD=library)).name.startswith("libc.")


@pytest.mark.parametrize("python", INTERPRETERS)
def test_a_function_of_the_interpreter(python: str) -> None:
    """Is in the executable itself, or in its library; nothing stands before it."""
    assert "python" in os.path.basename(serving(python, "Py_GetVersion"))


def test_no_such_function() -> None:
    """Is no library's."""
    with pytest.raises(AttributeError):
        symbols.library_with("no_such_function")
