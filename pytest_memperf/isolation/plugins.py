"""Which installed plugins a template loads: each one loaded moves the counts, and each one left out may be missed."""

from __future__ import annotations

import inspect
import sys
from typing import Any

import pytest

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
DRIVERS_OWN = frozenset({"pytest_cov", "pytest_rerunfailures"})
"""Packages that have such hooks, but for work that they do in the driver."""


def _package(module: Any) -> str:
    name = module if isinstance(module, str) else getattr(module, "__name__", type(module).__module__)
    return str(name).partition(".")[0]


def installed_plugins(config: pytest.Config) -> dict[str, Any]:
    """Return the plugins that were found by their entry points, by name."""
    manager = config.pluginmanager
    found = {manager.get_name(plugin): plugin for plugin, _ in manager.list_plugin_distinfo()}
    return {name: found[name] for name in sorted(name for name in found if name)}


def fixture_owners(item: pytest.Item) -> set[str]:
    """Return the packages whose fixtures the test takes, directly or through others."""
    info = getattr(item, "_fixtureinfo", None)
    if info is None:
        return set()
    return {
        _package(definition.func.__module__)
        for definitions in info.name2fixturedefs.values()
        for definition in definitions
    }


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
        self._by_fixture = named is None
        self._always = {
            name
            for name, plugin in self.installed.items()
            if _package(plugin) == OURS
            or (_takes_part(config, plugin) if named is None else name in named or _package(plugin) in named)
        }

    def chosen_for(self, item: pytest.Item) -> dict[str, Any]:
        """Return by name the plugins that the template of this test loads."""
        owners = fixture_owners(item) if self._by_fixture else ()
        return {
            name: plugin
            for name, plugin in self.installed.items()
            if (name in self._always or _package(plugin) in owners) and getattr(plugin, "__name__", "") in sys.modules
        }

    def missing_for(self, item: pytest.Item, chosen: dict[str, Any]) -> list[str]:
        """Return the plugins, by name, whose fixtures the test takes although they are not among the chosen."""
        owners = fixture_owners(item)
        return [name for name, plugin in self.installed.items() if name not in chosen and _package(plugin) in owners]


def _takes_part(config: pytest.Config, plugin: Any) -> bool:
    callers = config.pluginmanager.get_hookcallers(plugin) or []
    return _package(plugin) not in DRIVERS_OWN and any(caller.name in _TAKES_PART for caller in callers)


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
