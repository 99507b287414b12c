"""What a template is made of: everything of the driver's configuration that bears on how a test runs, as plain data.

What selects or reports tests stays in the driver, and so does what differs in a worker of xdist: the same bytes reach
a template whatever else was selected and whoever drives it, and so a test meets the same heap.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from pytest_memperf.isolation.layout import VARIABLE, environment_padding, path_padding
from pytest_memperf.isolation.plugins import options_of_plugin
from pytest_memperf.isolation.start import ENVIRONMENT, SEARCH_PATH
from pytest_memperf.options import OPTIONS

_SELECTS = """
    file_or_dir keyword markexpr deselect ignore ignore_glob lf last_failed_no_failures failedfirst newfirst stepwise
    stepwise_skip stepwise_reset collectonly keepduplicates maxfail pyargs continue_on_collection_errors cacheshow
    cacheclear
"""
_REPORTS = """
    reportchars disable_warnings no_header no_summary color code_highlight xmlpath junitprefix pastebin durations
    durations_min debug version help show_fixtures show_fixtures_per_test markers force_short_summary fold_skipped
    xfail_tb quiet
"""
_OURS = {option.ini: option for option in OPTIONS if not option.reaches_templates}
_BENCHMARK_REPORTS = """
    benchmark_autosave benchmark_columns benchmark_compare benchmark_compare_fail benchmark_csv benchmark_group_by
    benchmark_histogram benchmark_json benchmark_name benchmark_netrc benchmark_quiet benchmark_save benchmark_save_data
    benchmark_sort benchmark_storage benchmark_time_unit benchmark_verbose
"""
_RECOMPUTED = """
    plugins basetemp usepdb usepdb_cls trace strict_config inifilename rootdir override_ini pythonwarnings log_file_mode
    loadgroup looponfail
"""
STAYING = frozenset([*_OURS, *f"{_SELECTS} {_REPORTS} {_BENCHMARK_REPORTS} {_RECOMPUTED}".split()])
"""The options of pytest, of this plugin and of pytest-benchmark that do not reach a template."""

_SINGLE_THREADED = (
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS", "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)  # fmt: skip
_CHANGING = {
    "PYTEST_CURRENT_TEST", "PYTEST_VERSION", "PYTEST_DISABLE_PLUGIN_AUTOLOAD", "PYTEST_ADDOPTS",
    "LINES", "COLUMNS", "_", "OLDPWD",
}  # fmt: skip


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


def options_of(config: pytest.Config, left_out: Iterable[Any]) -> tuple[dict[str, Any], list[str]]:
    """Return the options that a template gets, as plain data, and those that cannot be carried over.

    Args:
        left_out: the plugins that the template does not load, whose options it does not need.
    """
    staying = STAYING.union(*(options_of_plugin(plugin) for plugin in left_out))
    carried: dict[str, Any] = {}
    lost: list[str] = []
    for name, value in sorted(vars(config.option).items()):
        if name in staying or value is None:
            continue
        try:
            carried[name] = as_plain(value)
        except TypeError:
            lost.append(f"the option {name}")
    return carried, lost


def environment_of(seed: int, driver: Mapping[str, str] = ENVIRONMENT) -> dict[str, str]:
    """Return a template's environment: the driver's, with one thread for BLAS and a fixed hash seed."""
    kept = {
        name: value
        for name, value in driver.items()
        if name not in _CHANGING and not name.startswith(("PYTEST_XDIST_", "COV_CORE_", "COVERAGE_PROCESS_"))
    }
    kept.update(dict.fromkeys(_SINGLE_THREADED, "1"))
    kept["PYTHONHASHSEED"] = "0"
    if seed:
        kept[VARIABLE] = environment_padding(seed)
    return kept


def environment_changes() -> dict[str, str | None]:
    """Return what a child changes in its template's environment to have the driver's."""
    template = environment_of(0)
    fixed = {*_SINGLE_THREADED, "PYTHONHASHSEED", "PYTEST_CURRENT_TEST"}
    changes: dict[str, str | None] = {
        name: value for name, value in os.environ.items() if name not in fixed and template.get(name) != value
    }
    changes.update({name: None for name in template if name not in fixed and name not in os.environ})
    return changes


def _anchors(config: pytest.Config) -> list[str]:
    """Return the folders whose conftest files a template loads first: the same whichever tests were selected."""
    root = config.rootpath
    folders = [str(path) for name in config.getini("testpaths") for path in sorted(root.glob(name))] or [str(root)]
    for plugin in config.pluginmanager.get_plugins():
        # Options can only be defined by the conftest files that are loaded first.
        file = getattr(plugin, "__file__", None)
        if file and Path(file).name == "conftest.py" and hasattr(plugin, "pytest_addoption"):
            folders.append(str(Path(file).parent))
    return [*dict.fromkeys((folders[0], *sorted(folders[1:])))]


def _overrides(config: pytest.Config) -> list[str]:
    """Return the ini keys that a template gets: what the driver was given, and the defaults for what stays there."""
    given = [each for each in config.option.override_ini or () if each.partition("=")[0].strip() not in _OURS]
    ours = [f"{key}={'false' if option.parse is None else ''}" for key, option in _OURS.items()]
    overrides = [*given, *ours, "required_plugins="]
    if "strict_config" in config._parser._inidict:
        overrides.append("strict_config=false")
    return overrides


def recipe_for(config: pytest.Config, plugins: Mapping[str, Any], installed: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a base template is told, but for its seed.

    Args:
        config: the driver's.
        plugins: the installed plugins that the template loads, by name.
        installed: all of them.
    """
    options, lost = options_of(config, [plugin for name, plugin in installed.items() if name not in plugins])
    if hasattr(config.option, "log_file_mode"):
        options["log_file_mode"] = "a"  # what the driver has written stays
    objects = [plugin for plugin in config.invocation_params.plugins or () if not isinstance(plugin, str)]
    lost += [f"the plugin {getattr(plugin, '__name__', type(plugin).__name__)}" for plugin in objects]
    return {
        "options": options,
        "lost": lost,
        "plugins": [[name, plugin.__name__] for name, plugin in plugins.items()],
        "named": [name for name in config.option.plugins if name not in ("no:terminal", "terminal")],
        "markers": sorted({re.split(r"[:(]", line)[0].strip() for line in config.getini("markers")}),
        "anchors": _anchors(config),
        "root": str(config.rootpath),
        "ini": str(config.inipath) if config.inipath else None,
        "overrides": _overrides(config),
        "warnings": [*(config.option.pythonwarnings or ()), "ignore::pytest.PytestConfigWarning"],
        "folder": str(config.invocation_params.dir),
        "path": list(SEARCH_PATH),
    }


def with_seed(recipe: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Return the recipe for a layout."""
    return {**recipe, "seed": seed, "path": [*recipe["path"], path_padding(seed)]} if seed else {**recipe, "seed": 0}


def dump(recipe: Mapping[str, Any]) -> str:
    """Return the recipe as the text by which two of them are compared."""
    return json.dumps(recipe, sort_keys=True)


def interpreter_flags() -> list[str]:
    """Return the flags that start an interpreter like this one (-O, -X dev, -W error, ...)."""
    return list(subprocess._args_from_interpreter_flags())  # type: ignore[attr-defined]


def package_folder() -> str:
    """Return the folder in which this package lies."""
    return os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
