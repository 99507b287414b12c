"""The interpreter that environments are made with."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass

from pytest_memperf.model.errors import UsageMistake

_ASK = "import sys; print(sys.implementation.cache_tag); print(sys.version)"


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A Python."""

    path: str
    version: str
    """All of ``sys.version``."""
    tag: str
    """Tells those apart that cannot have each other's extension modules."""

    @property
    def is_foreign(self) -> bool:
        """Whether this plugin as it is installed here cannot be imported there."""
        return self.tag != sys.implementation.cache_tag


OWN = Interpreter(sys.executable, sys.version, str(sys.implementation.cache_tag))


def find_interpreter(text: str) -> Interpreter:
    """Return the interpreter of a version (``3.12``), a name or a path. UsageMistake where there is none."""
    name = f"python{text}" if re.fullmatch(r"3\.\d+", text) else text
    path = shutil.which(name)
    if path is None:
        raise UsageMistake(f"there is no {name} on PATH: install it, or give a path")
    path = os.path.abspath(path)  # it is started in other folders
    try:
        done = subprocess.run([path, "-c", _ASK], capture_output=True, text=True, check=True)
        tag, version = done.stdout.strip().split("\n", 1)
    except (OSError, subprocess.CalledProcessError, ValueError):
        raise UsageMistake(f"{path} is no Python that runs: give another one") from None
    return Interpreter(path, version, tag)
