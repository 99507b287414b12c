"""Where the libraries are, and the environment that has a new process served by one: LD_PRELOAD of ld.so(8)."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from pytest_memperf.environment import executable
from pytest_memperf.malloc import MALLOCS, Malloc

VARIABLE = "LD_PRELOAD"


def path_of(malloc: Malloc) -> str | None:
    """Return the library's file, for programs like this interpreter; None where it is not installed."""
    return next((path for name in malloc.files if (path := _found(name))), None)


def lack(malloc: Malloc) -> str | None:
    """Return why nothing can be started under it here, with the mend; None where it can."""
    hindrance = executable.preloading_hindered("/proc/self/exe")
    if hindrance:
        return f"this interpreter {hindrance}"
    if malloc.files and path_of(malloc) is None:
        return f"{malloc.name} is not installed: apt-get install {malloc.package}"
    return None


def environment_under(malloc: Malloc, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a process that it is to serve; what else is loaded before others stays so."""
    files = {name for each in MALLOCS.values() for name in each.files}
    others = [
        each
        for each in re.split("[ :]+", environment.get(VARIABLE, ""))
        if each and os.path.basename(each) not in files
    ]
    path = path_of(malloc)
    loaded = ":".join([path, *others] if path else others)
    kept = {name: value for name, value in environment.items() if name != VARIABLE}
    return {**kept, VARIABLE: loaded} if loaded else kept


def _found(name: str) -> str | None:
    given = filter(None, os.environ.get("LD_LIBRARY_PATH", "").split(":"))
    candidates = [
        *(f"{place}/{name}" for place in given),
        *_listed().get(name, ()),
        *(f"{place}/{name}" for place in _places()),
    ]
    usable = (path for path in candidates if not re.search("[ :]", path))  # LD_PRELOAD would take them for two
    return next((path for path in usable if executable.fits("/proc/self/exe", path)), None)


def _places() -> list[str]:
    """Return the usual folders; those of Debian have the architecture in their names."""
    return ["/usr/local/lib", "/usr/lib64", "/usr/lib", *map(str, sorted(Path("/usr/lib").glob("*-linux-*")))]


@cache
def _listed() -> dict[str, list[str]]:
    """Return what ldconfig(8) knows: the files of each name, of every architecture."""
    ldconfig = shutil.which("ldconfig", path=f"{os.environ.get('PATH', '')}:/sbin:/usr/sbin")
    found: dict[str, list[str]] = {}
    if ldconfig:
        listed = subprocess.run([ldconfig, "-p"], capture_output=True, text=True, errors="replace").stdout
        for name, path in re.findall(r"^\s+(\S+) \(.*\) => (.+)$", listed, re.MULTILINE):
            found.setdefault(name, []).append(path)
    return found
