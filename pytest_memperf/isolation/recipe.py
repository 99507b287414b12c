"""What a template is made of: everything of the driver's configuration that bears on how a test runs, as plain data.

What selects or reports tests stays in the driver, and so does what differs in a worker of xdist: the same bytes reach
a template whatever else was selected and whoever drives it, and so a test meets the same heap.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pytest_memperf.isolation.start import ENVIRONMENT, SEARCH_PATH

_SELECTS = """
    file_or_dir keyword markexpr deselect ignore ignore_glob lf last_failed_no_failures failedfirst newfirst stepwise
    stepwise_skip stepwise_reset collectonly keepduplicates maxfail pyargs continue_on_collection_errors cacheshow
    cacheclear reruns reruns_delay only_rerun rerun_except fail_on_flaky
"""
_REPORTS = """
    reportchars disable_warnings no_header no_summary color xmlpath junitprefix pastebin durations durations_min debug
    version help show_fixtures show_fixtures_per_test markers force_short_summary no_fold_skipped xfail_tb
    log_file_mode
"""
_OF_XDIST = """
    numprocesses maxprocesses maxworkerrestart dist distload distribute loadgroup loadscopereorder tx px looponfail
    rsyncdir rsyncignore testrunuid maxschedchunk noloadscopereorder looponfailroots val
"""
_OURS = "memperf_only memperf_skip memperf_json memperf_columns memperf_sort memperf_timeout memperf_layouts"
_RECOMPUTED = "plugins basetemp usepdb usepdb_cls trace strict_config inifilename rootdir override_ini pythonwarnings"
STAYING = frozenset(f"{_SELECTS} {_REPORTS} {_OF_XDIST} {_OURS} {_RECOMPUTED}".split())
"""The options that do not reach a template."""

_SINGLE_THREADED = ("OMP", "OPENBLAS", "MKL", "BLIS", "NUMEXPR", "VECLIB_MAXIMUM")
_CHANGING = ("PYTEST_CURRENT_TEST", "PYTEST_VERSION", "PYTEST_DISABLE_PLUGIN_AUTOLOAD", "PYTEST_ADDOPTS")


def as_plain(value: Any) -> Any:
    """Return the value in a form that JSON carries; TypeError where there is none."""
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, Path):
        return {"path": str(value)}
    if isinstance(value, list | tuple | set | frozenset):
        items = sorted(value) if isinstance(value, set | frozenset) else value
        return {"of": type(value).__name__, "items": [as_plain(item) for item in items]}
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {"entries": [[key, as_plain(item)] for key, item in value.items()]}
    raise TypeError(type(value).__name__)


_COLLECTIONS = {each.__name__: each for each in (list, tuple, set, frozenset)}


def from_plain(value: Any) -> Any:
    """Return the value that ``as_plain`` was given."""
    if not isinstance(value, dict):
        return value
    if "path" in value:
        return Path(value["path"])
    if "entries" in value:
        return {key: from_plain(item) for key, item in value["entries"]}
    return _COLLECTIONS[value["of"]](from_plain(item) for item in value["items"])


def options_of(config: pytest.Config) -> tuple[dict[str, Any], list[str]]:
    """Return the options that a template gets, as plain data, and the names of those that cannot be carried over."""
    carried: dict[str, Any] = {}
    lost: list[str] = []
    for name, value in sorted(vars(config.option).items()):
        if name in STAYING or value is None:
            continue
        try:
            carried[name] = as_plain(value)
        except TypeError:
            lost.append(name)
    return carried, lost


def environment_of(driver: Mapping[str, str] = ENVIRONMENT) -> dict[str, str]:
    """Return a template's environment: the driver's, with one thread for BLAS and a fixed hash seed."""
    kept = {
        name: value
        for name, value in driver.items()
        if name not in _CHANGING and not name.startswith(("PYTEST_XDIST_", "COV_CORE_"))
    }
    kept.update({f"{library}_NUM_THREADS": "1" for library in _SINGLE_THREADED})
    kept["PYTHONHASHSEED"] = "0"
    return kept


def _anchors(config: pytest.Config) -> list[str]:
    """Return the folders whose conftest files a template loads first: the same whichever tests were selected."""
    root = config.rootpath
    folders = [str(path) for name in config.getini("testpaths") for path in sorted(root.glob(name))]
    folders = folders or [str(root)]
    for plugin in config.pluginmanager.get_plugins():
        # Options can only be defined by the conftest files that are loaded first.
        file = getattr(plugin, "__file__", None)
        if file and Path(file).name == "conftest.py" and hasattr(plugin, "pytest_addoption"):
            folder = str(Path(file).parent)
            if folder not in folders and folder != str(root):
                folders.append(folder)
    return [*folders[:1], *sorted(folders[1:])]


def recipe_for(config: pytest.Config, plugins: list[tuple[str, str]]) -> dict[str, Any]:
    """Return what a base template is told.

    Args:
        plugins: name and module of each installed plugin that the template loads.
    """
    options, lost = options_of(config)
    overrides = [*(config.option.override_ini or ()), "required_plugins="]
    if "strict_config" in config._parser._inidict:
        overrides += ["strict_config=false"]
    return {
        "options": options,
        "lost": lost,
        "plugins": plugins,
        "named": [name for name in config.option.plugins if name not in ("no:terminal", "terminal")],
        "anchors": _anchors(config),
        "root": str(config.rootpath),
        "ini": str(config.inipath) if config.inipath else None,
        "overrides": overrides,
        "warnings": [*(config.option.pythonwarnings or ()), "ignore::pytest.PytestConfigWarning"],
        "folder": str(config.invocation_params.dir),
        "path": list(SEARCH_PATH),
    }


def dump(recipe: dict[str, Any]) -> str:
    """Return the recipe as the text by which two of them are compared."""
    return json.dumps(recipe, sort_keys=True)


def interpreter_flags() -> list[str]:
    """Return the flags that start an interpreter like this one (-O, -X dev, -W error, ...)."""
    import subprocess

    return list(subprocess._args_from_interpreter_flags())  # type: ignore[attr-defined]


def package_folder() -> str:
    """Return the folder in which this package lies."""
    return os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
