"""Which installed plugins a template loads: each one loaded moves the counts, and each one left out may be missed."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Container, Iterable
from importlib.metadata import entry_points
from typing import Any

import pytest

from pytest_memperf.model.errors import UsageMistake, nearest

_TAKES_PART = (
    "pytest_collect_file",
    "pytest_pycollect_makemodule",
    "pytest_pycollect_makeitem",
    "pytest_generate_tests",
    "pytest_make_parametrize_id",
    "pytest_runtest_setup",
    "pytest_runtest_call",
    "pytest_runtest_teardown",
    "pytest_runtest_makereport",
    "pytest_pyfunc_call",
    "pytest_fixture_setup",
    "pytest_fixture_post_finalizer",
    "pytest_assertrepr_compare",
    "pytest_memperf_probes",
)
"""The hooks of those who take part in how a test is made and run; the others select, order or report."""

OURS = "pytest_memperf"
RUN_COROUTINES = frozenset({"anyio", "pytest_asyncio", "pytest_tornasync", "pytest_trio"})
"""Packages whose hooks act on asynchronous tests and fixtures alone, at the price of an event loop."""
_LOADED_BY_NEED = RUN_COROUTINES | {"pytest_benchmark", "pytest_cov", "pytest_rerunfailures"}
"""Packages that have such hooks, but for some tests only, or for work that they do in the driver."""


def _package(module: Any) -> str:
    name = module if isinstance(module, str) else getattr(module, "__name__", type(module).__module__)
    return str(name).partition(".")[0]


def installed_plugins(config: pytest.Config) -> dict[str, Any]:
    """Return the plugins that were found by their entry points, by name."""
    manager = config.pluginmanager
    found = {manager.get_name(plugin): plugin for plugin, _ in manager.list_plugin_distinfo()}
    return {name: found[name] for name in sorted(name for name in found if name)}


def check_names(config: pytest.Config, names: Iterable[str]) -> None:
    """Raise UsageMistake for a name of ``memperf_template_plugins`` that no installed plugin has."""
    loaded = installed_plugins(config)
    known = {*loaded, *(_package(plugin) for plugin in loaded.values())}
    for name in names:
        if name not in known and not config.pluginmanager.is_blocked(name):
            points = entry_points(group="pytest11")  # those that are not loaded, under PYTEST_DISABLE_PLUGIN_AUTOLOAD
            known |= {point.name for point in points} | {_package(point.value) for point in points}
            if name not in known:
                raise UsageMistake(f"memperf_template_plugins: no plugin {name!r} is installed{nearest(name, known)}")


def _taken_fixtures(item: pytest.Item, installed: Container[str]) -> list[Any]:
    """Return the definitions of the fixtures that a test takes, directly or through others.

    Args:
        item: the test.
        installed: packages of plugins. What they have every test take is not taken by this one.
    """
    info = getattr(item, "_fixtureinfo", None)
    if info is None:
        return []
    found = info.name2fixturedefs
    asked = {*info.argnames, *(name for mark in item.iter_markers("usefixtures") for name in mark.args)}
    names = [
        name
        for name in info.initialnames
        if name in asked or not all(_package(each.func.__module__) in installed for each in found.get(name, ()))
    ]
    for name in names:  # which grows meanwhile
        names += [other for each in found.get(name, ()) for other in each.argnames if other not in names]
    return [each for name in names for each in found.get(name, ())]


def _is_asynchronous(function: Any) -> bool:
    function = inspect.unwrap(function) if callable(function) else function
    return inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)


class TemplatePlugins:
    """Chooses the installed plugins for templates."""

    def __init__(self, config: pytest.Config, named: tuple[str, ...] | None) -> None:
        """Look at what is installed, once.

        Args:
            config: the driver's.
            named: the plugins that ``memperf_template_plugins`` names, and no others; None: those that take part in
                running tests, and those whose fixtures a test takes.
        """
        self.installed = installed_plugins(config)
        self._by_need = named is None
        self._always = {
            name
            for name, plugin in self.installed.items()
            if _package(plugin) == OURS
            or (_takes_part(config, plugin) if named is None else name in named or _package(plugin) in named)
        }

    def chosen_for(self, item: pytest.Item) -> tuple[dict[str, Any], list[str]]:
        """Return by name the plugins that the template of this test loads, and the names of those that it lacks."""
        taken = _taken_fixtures(item, {_package(plugin) for plugin in self.installed.values()})
        needed = {_package(type(item).__module__), *(_package(each.func.__module__) for each in taken)}
        useful = needed
        if any(map(_is_asynchronous, (getattr(item, "obj", None), *(each.func for each in taken)))):
            useful = needed | RUN_COROUTINES
        chosen = {
            name: plugin
            for name, plugin in self.installed.items()
            if (name in self._always or (self._by_need and _package(plugin) in useful))
            and getattr(plugin, "__name__", "") in sys.modules
        }
        lacking = [name for name, plugin in self.installed.items() if name not in chosen and _package(plugin) in needed]
        return chosen, lacking


def _takes_part(config: pytest.Config, plugin: Any) -> bool:
    callers = config.pluginmanager.get_hookcallers(plugin) or []
    return _package(plugin) not in _LOADED_BY_NEED and any(caller.name in _TAKES_PART for caller in callers)


class _OptionNames:
    """Stands in for a parser, and notes under which names options are kept."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def getgroup(self, *_: Any, **__: Any) -> _OptionNames:
        return self

    def addoption(self, *flags: str, **attributes: Any) -> None:
        longest = max(flags, key=len, default="")
        self.names.add(attributes.get("dest") or longest.lstrip("-").replace("-", "_"))

    _addoption = addoption

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: None


def options_of_plugin(plugin: Any) -> set[str]:
    """Return the names of the options that a plugin defines; none where it does not let itself be asked."""
    define = getattr(plugin, "pytest_addoption", None)
    if define is None:
        return set()
    parser = _OptionNames()
    available = {"parser": parser, "pluginmanager": parser}
    try:
        define(**{name: available[name] for name in inspect.signature(define).parameters})
    except Exception:  # whatever somebody else's function may raise: its options are then passed on like the others
        return set()
    return parser.names
