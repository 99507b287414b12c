"""What decides what an environment comes to: the interpreter, variables, files of requirements."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from pytest_memperf.baseline.ab.interpreter import Interpreter

_DECIDING = re.compile(
    "(PIP|UV|CMAKE|CARGO|RUSTC|SETUPTOOLS|SKBUILD|MESON|CYTHON)_.*"
    "|(C|CXX|CPP|F|FC|LD|RUST|ARCH)FLAGS|CC|CXX|CPP|FC|F77|LD|AR|RUSTC"
    "|CPATH|C_INCLUDE_PATH|CPLUS_INCLUDE_PATH|LIBRARY_PATH|PKG_CONFIG_PATH"
)
"""Variables of compilers, of tools that build, and of those that install."""
_INDIFFERENT = re.compile(".*_(CACHE_DIR|USERNAME|PASSWORD|TOKEN)")
"""Those of them that a job in CI may have to itself."""
_FILES = re.compile("(PIP|UV)_.*(REQUIREMENT|CONSTRAINT|OVERRIDE)")
"""Those that name files of requirements, by spaces."""
_SECRET = re.compile(r"(?<=://)[^/@\s]*@")
_INCLUDED = re.compile(r"""(?:^|\s)(?:-r|-c|--requirement|--constraint)[\s=]*("[^"\n]+"|'[^'\n]+'|\S+)""")


def digest(key: Sequence[str], python: Interpreter, variables: Mapping[str, str] = os.environ) -> str:
    """Return what an environment is kept under; users and passwords in addresses are no part of it.

    Args:
        key: what is installed.
    """
    deciding = {
        name: _SECRET.sub("", value)
        for name, value in sorted(variables.items())
        if _DECIDING.fullmatch(name) and not _INDIFFERENT.fullmatch(name)
    }
    files = [file for name, value in deciding.items() if _FILES.fullmatch(name) for file in value.split()]
    words = (*key, python.version, python.path, *map("=".join, deciding.items()), *with_included(files))
    return hashlib.sha256("\0".join(words).encode(errors="surrogateescape")).hexdigest()[:16]


def included(requirements: str, folder: str) -> list[str]:
    """Return the files that requirements include, by ``-r`` or ``-c``."""
    return [os.path.join(folder, name.strip("\"'")) for name in _INCLUDED.findall(requirements)]


def with_included(files: Iterable[str]) -> Iterator[str]:
    """Yield what files of requirements say, and those that they include; of one that is missing, pip tells."""
    waiting = [*map(os.path.realpath, files)]
    seen = set[str]()
    for file in waiting:  # which grows meanwhile
        if file in seen or not os.path.isfile(file):
            continue
        seen.add(file)
        try:
            text = Path(file).read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        yield text
        waiting += map(os.path.realpath, included(text, os.path.dirname(file)))
