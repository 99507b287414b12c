"""Where a session's results come from: machine, kernel settings, process, commit; each source in a file of its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pytest_memperf.model.environment import Environment

__all__ = ["collect"]


def collect(plugins: Mapping[str, str] | None = None, root: Path = Path("/")) -> Environment:
    """Return the environment of this process; what cannot be read is None, never an error.

    Args:
        plugins: the pytest plugins with their versions, from who knows them.
        root: where /proc and /sys are found.
    """
    from pytest_memperf.environment import installed, kernel, machine, process

    found = {**machine.collect(root), **kernel.collect(root), **process.collect(root)}
    named = {*(plugins or ()), "numpy"}
    # Last, for to collect the others loads something too.
    libraries = {name: version for name, version in sorted(installed.loaded().items()) if name not in named}
    return Environment(**found, plugins=plugins, libraries=libraries)
