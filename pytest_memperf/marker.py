"""``@pytest.mark.memperf``: what holds for a test, of all the marks and defaults that reach it."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_memperf.allocators import bears_allocators
from pytest_memperf.model.errors import UsageMistake
from pytest_memperf.model.values import number_or_text

if TYPE_CHECKING:
    from pytest_memperf.measure.settings import Settings
    from pytest_memperf.metrics import Registry

MARKER = "memperf"
_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
_REPEATING = {"rounds", "warmup", "setup"}
INHERITED = pytest.StashKey[tuple[pytest.Mark, ...]]()
PARSED = pytest.StashKey["dict[tuple[Any, ...], Settings]"]()
DEFAULTS = pytest.StashKey[tuple[dict[Path, Mapping[str, Any]], dict[str, Any]]]()


def marks_of(item: pytest.Item) -> list[pytest.Mark]:
    """Return the marks that reach the test, the closest first: parameter, function, class, module, package."""
    marks = [mark for mark in item.own_markers if mark.name == MARKER]
    marks += _inherited(item)
    callspec = getattr(item, "callspec", None)
    if callspec is not None and callspec.marks:
        marks.sort(key=lambda mark: mark not in callspec.marks)
    return marks


def _inherited(item: pytest.Item) -> tuple[pytest.Mark, ...]:
    """Return the marks that reach the test from what it lies in, which are looked up once for all tests there."""
    parent = item.parent
    if parent is None:
        return ()
    if INHERITED not in parent.stash:
        parent.stash[INHERITED] = (*parent.iter_markers(MARKER), *_package_marks(item))
    return parent.stash[INHERITED]


def is_measured(item: pytest.Item) -> bool:
    """Tell whether the test carries a marker of ours or takes the fixture."""
    return "memperf" in getattr(item, "fixturenames", ()) or bool(marks_of(item)) or bears_allocators(item)


def settings_of(item: pytest.Item, registry: Registry) -> Settings:
    """Return the settings that the marks and defaults of a test amount to. UsageMistake for a wrong one."""
    keywords = keywords_of(item)
    settings = _parsed(item.config, keywords, registry)
    if _repeating(keywords) and "memperf" not in getattr(item, "fixturenames", ()):
        refuse_idle_repeats(item, "take the memperf fixture and write")
    return settings


def refuse_idle_repeats(item: pytest.Item, mend: str = "write") -> None:
    """UsageMistake where the test's own mark repeats a call that there is not; marks further out are for others too."""
    if any(_repeating(mark.kwargs) for mark in item.own_markers if mark.name == MARKER):
        raise UsageMistake(f"rounds, warmup and setup are for a call that is measured: {mend} memperf(function, ...)")


def _repeating(keywords: Mapping[str, Any]) -> bool:
    return any(keywords.get(name) is not None for name in _REPEATING)


def _parsed(config: pytest.Config, keywords: dict[str, Any], registry: Registry) -> Settings:
    """Parse the keywords once for all the tests that share them; those that cannot be compared are parsed each time."""
    from pytest_memperf.measure.settings import parse_settings

    parsed = config.stash.setdefault(PARSED, {})
    key = tuple((name, type(value), value) for name, value in keywords.items())
    try:
        if key not in parsed:
            parsed[key] = parse_settings(keywords, registry)
        return parsed[key]
    except TypeError:
        return parse_settings(keywords, registry)


def _package_marks(item: pytest.Item) -> Iterator[pytest.Mark]:
    """Yield the marks in ``pytestmark`` of the packages round the test, which pytest itself leaves out."""
    name = getattr(getattr(item, "module", None), "__package__", None)
    while name:
        declared = getattr(sys.modules.get(name), "pytestmark", ())
        for each in declared if isinstance(declared, (list, tuple)) else [declared]:
            mark = each.mark if isinstance(each, pytest.MarkDecorator) else each
            if isinstance(mark, pytest.Mark) and mark.name == MARKER:  # a package may keep anything in that name
                yield mark
        name = name.rpartition(".")[0]


def keywords_of(item: pytest.Item) -> dict[str, Any]:
    """Return each keyword as the closest source gives it, limits by parameter resolved. UsageMistake names the mend."""
    keywords: dict[str, Any] = {}
    for mark in marks_of(item):
        if mark.args:
            raise UsageMistake(
                f"@pytest.mark.memperf({', '.join(map(repr, mark.args))}) has an argument without a name: "
                "write max_peak_rss='70 MiB', for example"
            )
        for name, value in mark.kwargs.items():
            keywords.setdefault(name, value)
    for defaults in _defaults_of(item):
        for name, value in defaults.items():
            keywords.setdefault(name, value)
    return {name: _for_parameter(item, name, value) for name, value in keywords.items()}


def _defaults_of(item: pytest.Item) -> Iterator[Mapping[str, Any]]:
    """Yield ``memperf_defaults`` of the conftest files above the test, the nearest folder first, then the ini's."""
    by_folder, of_ini = _all_defaults(item.config)
    if by_folder:
        for folder in item.path.parents:
            if folder in by_folder:
                yield by_folder[folder]
    yield of_ini


def _all_defaults(config: pytest.Config) -> tuple[dict[Path, Mapping[str, Any]], dict[str, Any]]:
    """Return the defaults of every conftest by its folder, and those of the ini; gathered once, after collection."""
    if DEFAULTS not in config.stash:
        by_folder: dict[Path, Mapping[str, Any]] = {}
        for plugin in config.pluginmanager.get_plugins():
            defaults = getattr(plugin, "memperf_defaults", None)
            file = getattr(plugin, "__file__", None)
            if defaults is None or file is None or Path(file).name != "conftest.py":
                continue
            if not isinstance(defaults, Mapping):
                raise UsageMistake(f"memperf_defaults in {file}: make it a dict such as {{'max_major_faults': 0}}")
            by_folder[Path(file).parent] = defaults
        config.stash[DEFAULTS] = by_folder, ini_defaults(config)
    return config.stash[DEFAULTS]


def check_defaults(config: pytest.Config, parse: Callable[[dict[str, Any]], Any]) -> None:
    """Parse each set of defaults once by itself. UsageMistake names where the mistake stands."""
    by_folder, of_ini = _all_defaults(config)
    for origin, defaults in [*((f"{folder}/conftest.py", each) for folder, each in by_folder.items()), ("ini", of_ini)]:
        # A limit by parameter says what it is only where there is a parameter, a rate needs the bytes of a test.
        plain = {
            name: value
            for name, value in defaults.items()
            if not callable(value) and not isinstance(value, Mapping) and not name.endswith(("throughput", "_share"))
        }
        try:
            parse(plain)
        except UsageMistake as mistake:
            raise UsageMistake(f"memperf_defaults ({origin}): {mistake}") from None


def ini_defaults(config: pytest.Config) -> dict[str, Any]:
    """Return the ini key ``memperf_defaults``, one ``keyword = value`` a line. UsageMistake for another form."""
    defaults: dict[str, Any] = {}
    for line in config.getini("memperf_defaults"):
        name, equals, value = (part.strip() for part in line.partition("="))
        if not equals or not value:
            raise UsageMistake(f"memperf_defaults: {line!r} is not of the form 'max_peak_rss = 100 MiB'")
        defaults[name] = [each.strip() for each in value.split(",")] if name == "metrics" else _ini_value(value)
    return defaults


def _ini_value(text: str) -> Any:
    """Read what an ini file can only write as text: numbers and switches; sizes stay text."""
    return text.lower() == "true" if text.lower() in ("true", "false") else number_or_text(text)


def _for_parameter(item: pytest.Item, name: str, value: Any) -> Any:
    """Resolve a limit that depends on the parameter: a callable of parameters, or a mapping by parameter id."""
    if name == "setup" or not (callable(value) or isinstance(value, Mapping)):
        return value
    callspec = getattr(item, "callspec", None)
    if callspec is None:
        raise UsageMistake(f"{name} depends on a parameter, but this test has none: give it a value")
    if isinstance(value, Mapping):
        for key in (callspec.id, *callspec.id.split("-")):
            if key in value:
                return value[key]
        raise UsageMistake(f"{name} has no entry for the parameter id {callspec.id!r}: add it, or None for no limit")
    given = callspec.params
    try:
        wanted = [each for each in inspect.signature(value).parameters.values() if each.kind in _NAMED]
    except (TypeError, ValueError):
        raise UsageMistake(f"{name}={value!r} does not tell its parameters: give a function that names them") from None
    for each in wanted:
        if each.name not in given and each.default is each.empty:
            raise UsageMistake(
                f"{name} asks for the parameter {each.name!r}: this test has {', '.join(given) or 'none'}"
            )
    try:
        return value(**{each.name: given[each.name] for each in wanted if each.name in given})
    except Exception as error:
        raise UsageMistake(f"{name}: its function failed for {callspec.id!r}: mend it ({error!r})") from None
