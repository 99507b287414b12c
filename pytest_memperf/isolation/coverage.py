"""Coverage of what runs in templates and children: measured there, merged into the driver's own data."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import Any

_SETTINGS = ("branch", "source", "source_pkgs", "omit", "include")


def settings() -> dict[str, Any] | None:
    """In the driver: return how it measures coverage, or None where it does not."""
    module = sys.modules.get("coverage")
    current = module.Coverage.current() if module is not None else None
    if current is None:
        return None
    config_file = getattr(current.config, "config_file", None)
    chosen = {name: current.get_option(f"run:{name}") for name in _SETTINGS}
    return {"config_file": config_file, **{name: value for name, value in chosen.items() if value}}


def merge(file: str) -> None:
    """In the driver: add what a child measured to the data of the coverage that is running, and remove the file."""
    import coverage

    current = coverage.Coverage.current()
    if current is not None and os.path.exists(file):
        measured = coverage.CoverageData(file)
        measured.read()
        current.get_data().update(measured)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(file)


def start(driver: dict[str, Any] | None) -> None:
    """In a template: measure as the driver does; its forks go on with it."""
    if driver is None:
        return
    import coverage

    chosen = dict(driver)
    config_file = chosen.pop("config_file") or False
    coverage.Coverage(data_file=None, config_file=config_file, **chosen).start()


def save(file: str) -> None:
    """In a child: write what was measured, its templates' share included."""
    import coverage

    current = coverage.Coverage.current()
    if current is None:
        return
    current.stop()
    data = coverage.CoverageData(file)
    data.update(current.get_data())
    data.write()
