"""Which tests of a session are measured, and with which settings."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from pytest_memperf.marker import MARKER, check_defaults, is_marked, keywords_of
from pytest_memperf.model.errors import UsageMistake
from pytest_memperf.options import resolve

if TYPE_CHECKING:
    from pytest_memperf.measure.measurement import Measurement
    from pytest_memperf.measure.settings import Settings
    from pytest_memperf.metrics import Registry

REGISTRY = pytest.StashKey["Registry"]()
SETTINGS = pytest.StashKey["Settings"]()
"""The settings of a test that is measured."""
PARSED = pytest.StashKey["dict[tuple[Any, ...], Settings]"]()
MISTAKE = pytest.StashKey[UsageMistake]()
"""What is wrong with a test's marker, where that cannot end the session."""
ISOLATED = pytest.StashKey[bool]()
"""Set for a test that is measured in a process of its own."""
_IN_THIS_PROCESS = (
    ("--pdb", "usepdb"),
    ("--trace", "trace"),
    ("--setup-show", "setupshow"),
    ("--setup-only", "setuponly"),
    ("--setup-plan", "setupplan"),
)
"""Flags that need the terminal of this process, each with the name of its option."""
NOTE = pytest.StashKey[str]()
"""What the results of a test have to say."""
MEASUREMENT = pytest.StashKey["Measurement"]()
"""The measurement of the run that is under way; a rerun gets a new one."""


def is_measured(item: pytest.Item) -> bool:
    """Tell whether the test carries the marker or takes the fixture."""
    return is_marked(item) or "memperf" in getattr(item, "fixturenames", ())


def select(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Apply ``-only`` and ``-skip``, and prepare each measured test. UsageMistake lists every wrong marker."""
    only, skip = resolve(config, "only"), resolve(config, "skip")
    if only and skip:
        raise UsageMistake("--memperf-only and --memperf-skip leave no test: choose one")
    if resolve(config, "columns") or resolve(config, "sort"):
        from pytest_memperf.report.columns import shown_metrics

        registry_of(config).request(shown_metrics(config))
    measure_all = resolve(config, "all")
    measured = [item for item in items if measure_all or is_measured(item)]
    if only or skip:
        chosen = {id(item) for item in measured}
        left_out = [item for item in items if (id(item) in chosen) is bool(skip)]
        if left_out:
            config.hook.pytest_deselected(items=left_out)
            items[:] = [item for item in items if (id(item) in chosen) is bool(only)]
        measured = measured if only else []
    if measured and not resolve(config, "disable"):
        prepare(config, measured)


def prepare(config: pytest.Config, measured: list[pytest.Item]) -> None:
    """Parse the settings of each test and register what measures and reports. UsageMistake lists every wrong marker."""
    from pytest_memperf.environment.process import allocator
    from pytest_memperf.measure.conditions import CONDITIONS
    from pytest_memperf.measure.perturbation import notes_on_tracers
    from pytest_memperf.measure.settings import parse_settings
    from pytest_memperf.measuring import Measuring, RefusedTests
    from pytest_memperf.report.session import register_reporter

    CONDITIONS.allocator = (allocator() or "unknown").partition(" ")[0]
    CONDITIONS.notes = notes_on_tracers()
    registry = registry_of(config)
    check_defaults(config, lambda keywords: parse_settings(keywords, registry))
    mistakes: list[str] = []
    for item in measured:
        try:
            item.stash[SETTINGS] = settings_of(item, registry)
        except UsageMistake as mistake:
            item.stash[MISTAKE] = mistake
            mistakes.append(f"{item.nodeid}: {mistake}")
    # A worker of xdist cannot end the run with a usage error; there the tests concerned fail with the same line.
    if mistakes and not hasattr(config, "workerinput"):
        raise UsageMistake("\n".join(mistakes))
    isolate(config, measured)
    if mistakes:
        config.pluginmanager.register(RefusedTests(), "memperf-refused")
    config.pluginmanager.register(Measuring(strict=resolve(config, "strict")), "memperf-measuring")
    register_reporter(config)


def isolate(config: pytest.Config, measured: list[pytest.Item]) -> None:
    """Hand the tests over that are to run in a process of their own; in a template there are none."""

    by_default = resolve(config, "isolation")
    isolated = [
        item
        for item in measured
        if SETTINGS in item.stash and (item.stash[SETTINGS].isolation or by_default) == "process"
    ]
    if config.pluginmanager.hasplugin("memperf-template"):
        return
    layouts = resolve(config, "layouts")
    if not isolated:
        if layouts > 1:
            from pytest_memperf.measure.conditions import CONDITIONS

            CONDITIONS.notes.append(f"--memperf-layouts={layouts} did nothing: it needs --memperf-isolation=process")
        return
    hindrance = next((flag for flag, option in _IN_THIS_PROCESS if getattr(config.option, option, False)), None)
    if hindrance:
        for item in isolated:
            item.stash[NOTE] = f"ran inline, not in a process of its own: {hindrance} needs this one"
        terminal = config.pluginmanager.get_plugin("terminalreporter")
        if terminal is not None:
            terminal.write_line(f"memperf: {hindrance} needs this process: tests of process isolation run inline")
        return
    from pytest_memperf.isolation.child import path_of
    from pytest_memperf.isolation.driver import Driver, Limits

    limits = Limits(
        cow_limit=resolve(config, "cow-limit"),
        layouts=layouts,
        template_plugins=resolve(config, "template-plugins"),
        metrics=registry_of(config).requested,
    )
    driver = Driver(config, limits)
    config.pluginmanager.register(driver, "memperf-driver")
    seen: Counter[tuple[str, ...]] = Counter()
    for item in isolated:
        name = (str(item.path), *path_of(item))
        item.stash[ISOLATED] = True
        driver.isolate(item, seen[name], item.stash[SETTINGS].timeout or resolve(config, "timeout"))
        seen[name] += 1


def settings_of(item: pytest.Item, registry: Registry) -> Settings:
    """Return the settings that the marks and defaults of a test amount to. UsageMistake for a wrong one."""
    settings = _parsed(item.config, keywords_of(item), registry)
    own = {name for mark in item.own_markers if mark.name == MARKER for name in mark.kwargs}
    if own & {"rounds", "warmup"} and "memperf" not in getattr(item, "fixturenames", ()):
        raise UsageMistake("rounds and warmup repeat a call: take the memperf fixture and write memperf(function, ...)")
    return settings


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


def registry_of(config: pytest.Config) -> Registry:
    """Return the session's registry: the built-in metrics and those of other plugins."""
    if REGISTRY not in config.stash:
        from pytest_memperf.metrics import BUILT_IN, Registry

        registry = Registry(BUILT_IN)
        for probes in config.hook.pytest_memperf_probes():
            for probe in probes:
                registry.register(probe)
        config.stash[REGISTRY] = registry
    return config.stash[REGISTRY]


def measurement_of(item: pytest.Item) -> Measurement:
    """Return the measurement under way."""
    if MEASUREMENT not in item.stash:
        begin_measurement(item)
    return item.stash[MEASUREMENT]


def begin_measurement(item: pytest.Item) -> Measurement:
    """Return a new measurement of the test. UsageMistake for a test that nobody knew would be measured."""
    from pytest_memperf.measure.measurement import Measurement

    registry = registry_of(item.config)
    settings = item.stash.get(SETTINGS, None)
    if settings is None:
        if not resolve(item.config, "disable"):
            raise UsageMistake(
                "the memperf fixture came too late to measure this test: take it as an argument, or mark the test"
            )
        settings = settings_of(item, registry)
    measurement = item.stash[MEASUREMENT] = Measurement(item.nodeid, settings, registry)
    if NOTE in item.stash:
        measurement.notes.append(item.stash[NOTE])
    return measurement
