"""C that stands beside ours, built in the run."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def compiled(source: str, folder: Path, *options: str) -> ctypes.CDLL:
    """Build a file of this folder as a library, with gcc's options and libraries after it, and load that."""
    compiler = shutil.which("gcc") or pytest.skip("no C compiler: apt-get install gcc")
    library = folder / Path(source).with_suffix(".so")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, HERE / source, *options], check=True)
    return ctypes.CDLL(str(library))
