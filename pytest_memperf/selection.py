"""Which tests of a session are measured, and what the session needs for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from pytest_memperf.allocators import under_which
from pytest_memperf.marker import check_defaults, is_measured, settings_of
from pytest_memperf.metrics.session import registry_of
from pytest_memperf.model.errors import UsageMistake
from pytest_memperf.options import is_compared, resolve


def select(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Apply ``-only`` and ``-skip``, and prepare each measured test. UsageMistake lists every wrong marker."""
    measured = _choose(config, items)
    try:
        if resolve(config, "columns") or resolve(config, "sort"):
            from pytest_memperf.report.columns import shown_metrics

            registry_of(config).request(shown_metrics(config))
        if is_compared(config):
            registry_of(config).request_narrow()
            if resolve(config, "compare") is not None and not config.pluginmanager.hasplugin("memperf-template"):
                from pytest_memperf.baseline.session import check_limits

                check_limits(config)
        if measured and not resolve(config, "disable"):
            prepare(config, measured)
    except UsageMistake as mistake:
        if _ends_with_a_mistake(config):
            raise
        refuse(config, dict.fromkeys(measured, mistake))


def _ends_with_a_mistake(config: pytest.Config) -> bool:
    """Tell whether the session can end with a usage error. Where it cannot, the tests concerned fail with its line.

    A worker of xdist cannot end the run; a template has tests that the driver did not select, and these others can run.
    """
    return not (hasattr(config, "workerinput") or config.pluginmanager.hasplugin("memperf-template"))


def _choose(config: pytest.Config, items: list[pytest.Item]) -> list[pytest.Item]:
    """Leave in the list what ``-only`` and ``-skip`` leave, and return those that are measured."""
    only, skip = resolve(config, "only"), resolve(config, "skip")
    measure_all = resolve(config, "all")
    measured = [item for item in items if measure_all or is_measured(item)]
    if only or skip:
        chosen = {id(item) for item in measured}
        left_out = [item for item in items if (id(item) in chosen) is bool(skip)]
        if left_out:
            config.hook.pytest_deselected(items=left_out)
            items[:] = [item for item in items if (id(item) in chosen) is bool(only)]
        measured = measured if only else []
    return measured


def refuse(config: pytest.Config, mistakes: Mapping[pytest.Item, UsageMistake]) -> None:
    """Have each of these tests fail with what is wrong."""
    from pytest_memperf.measuring import MISTAKE, RefusedTests
    from pytest_memperf.report.mistakes import register_mistakes

    for item, mistake in mistakes.items():
        item.stash[MISTAKE] = mistake
    config.pluginmanager.register(RefusedTests(), "memperf-refused")
    register_mistakes(config)


def prepare(config: pytest.Config, measured: list[pytest.Item]) -> None:
    """Parse the settings of each test and register what measures and reports. UsageMistake lists every wrong marker."""
    from pytest_memperf.environment.lists import anything_listed
    from pytest_memperf.environment.process import serving
    from pytest_memperf.isolation.handover import UNDER, isolate
    from pytest_memperf.measure.conditions import CONDITIONS
    from pytest_memperf.measure.perturbation import notes_on_tracers
    from pytest_memperf.measure.settings import Settings, parse_settings
    from pytest_memperf.measuring import SETTINGS, Measuring
    from pytest_memperf.report.session import register_reporter

    if anything_listed():
        from pytest_memperf.isolation import remains

        remains.delete_left_behind()
        remains.give_back_huge_pages()
    CONDITIONS.allocator = serving()
    CONDITIONS.purge = _purging(CONDITIONS.allocator)
    CONDITIONS.notes = notes_on_tracers(config.getoption("trace", False))
    registry = registry_of(config)
    for_all = resolve(config, "allocator")
    check_defaults(config, lambda keywords: parse_settings(keywords, registry))
    mistakes: dict[pytest.Item, UsageMistake] = {}
    parsed: list[tuple[pytest.Item, Settings]] = []
    for item in measured:
        try:
            settings = item.stash[SETTINGS] = settings_of(item, registry)
            under = under_which(item, settings.isolation, for_all)
            if under is not None:
                item.stash[UNDER] = under
            parsed.append((item, settings))
        except UsageMistake as mistake:
            mistakes[item] = mistake
    if mistakes and _ends_with_a_mistake(config):
        raise UsageMistake("\n".join(f"{item.nodeid}: {mistake}" for item, mistake in mistakes.items()))
    isolate(config, parsed)
    config.pluginmanager.register(Measuring(config), "memperf-measuring")
    if mistakes:
        refuse(config, mistakes)
    register_reporter(config)


def _purging(allocator: str) -> Callable[[], object] | None:
    """Return what has the library that serves malloc here give its free memory back; None for glibc."""
    if allocator == "glibc":
        return None
    from pytest_memperf.malloc import MALLOCS, purging

    return purging(MALLOCS[allocator]) if allocator in MALLOCS else None
