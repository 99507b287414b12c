"""The process: interpreter, allocator and its tuning, NumPy."""

from __future__ import annotations

import os
import platform
import re
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from pytest_memperf.environment.symbols import library_with

_TUNING = re.compile(
    r"GLIBC_TUNABLES|MALLOC_\w+|_RJEM_MALLOC_CONF|JE_MALLOC_CONF|TCMALLOC_\w+|MIMALLOC_\w+|PYTHONMALLOC\w*"
    r"|PYTHONHASHSEED|NUMPY_MADVISE_HUGEPAGE|LD_PRELOAD"
)
_LIBRARY = re.compile(r"lib(jemalloc|tcmalloc|mimalloc)")


def collect(root: Path) -> dict[str, Any]:
    """Return the fields of Environment that the process makes up."""
    return {
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "allocator": allocator(),
        "allocator_tuning": {name: value for name, value in sorted(os.environ.items()) if _TUNING.fullmatch(name)},
        "numpy": numpy_version(),
        "numpy_huge_pages": numpy_huge_pages(),
    }


def allocator() -> str | None:
    """Return the name of the library that serves malloc, with the version where that is the C library."""
    try:
        library = library_with("malloc")
    except (OSError, AttributeError):
        return None
    return None if library is None else _allocator_in(library)


def serving() -> str:
    """Return the same name without a version, ``unknown`` where nobody can say."""
    return (allocator() or "unknown").partition(" ")[0]


def _allocator_in(file: str) -> str | None:
    name = os.path.basename(file)
    match = _LIBRARY.match(name)
    if match:
        return match[1]
    if "musl" in name:
        return "musl"
    if name.startswith("libc."):
        try:
            return os.confstr("CS_GNU_LIBC_VERSION") or "libc"
        except (OSError, ValueError):
            return "libc"
    return name or None


def numpy_version() -> str | None:
    """Return the installed version of NumPy, without importing it."""
    loaded = getattr(sys.modules.get("numpy"), "__version__", None)
    if loaded is not None:
        return str(loaded)
    try:
        return metadata.version("numpy")
    except metadata.PackageNotFoundError:
        return None


def numpy_huge_pages() -> bool | None:
    """Return whether NumPy asks for huge pages; None where it is not loaded, or too old to say."""
    for name in ("numpy._core.multiarray", "numpy.core.multiarray"):
        ask = getattr(sys.modules.get(name), "_get_madvise_hugepage", None)
        if ask is not None:
            return bool(ask())
    return None
