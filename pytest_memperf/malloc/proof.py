"""Which library serves malloc in this process, shown by the symbol and by the library itself."""

from __future__ import annotations

import ctypes
import os

from pytest_memperf.environment.process import serving
from pytest_memperf.environment.symbols import library_with
from pytest_memperf.malloc import Malloc
from pytest_memperf.malloc.calls import function


def refuted(malloc: Malloc) -> str | None:
    """Return what shows that it does not serve this process; None where it does."""
    found = serving()
    if found != malloc.name:
        return f"malloc is served by {found}, not by {malloc.name}: was LD_PRELOAD removed or refused?"
    program = ctypes.CDLL(None)
    serve = function(program, "malloc", ctypes.c_void_p, ctypes.c_size_t)
    try:
        known = malloc.serves(program, serve)
    except (OSError, AttributeError) as error:
        return f"{_file()} does not tell what it serves ({error}): use a usual build of {malloc.name}"
    return None if known else f"{_file()} knows nothing of what malloc returned: use a usual build of {malloc.name}"


def refuted_apart(malloc: Malloc) -> str | None:
    """Return the same of this process, found out in a fork of it: what that allocates is in no heap afterwards."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(writing, (refuted(malloc) or "").encode())
            os._exit(0)
        finally:
            os._exit(1)
    os.close(writing)
    with open(reading, encoding="utf-8") as pipe:
        reason = pipe.read()
    _, status = os.waitpid(pid, 0)
    return reason or (f"the fork that asked {malloc.name} has died (status {status})" if status else None)


def version_of(malloc: Malloc) -> str | None:
    """Return the version of the library that serves this process; None where it does not tell."""
    try:
        return malloc.version(ctypes.CDLL(None))
    except (OSError, AttributeError):
        return None


def _file() -> str:
    return os.path.basename(library_with("malloc") or "what serves malloc")
