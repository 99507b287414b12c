"""Which tests of a session are measured, and what the session needs for them."""

from __future__ import annotations

import pytest

from pytest_memperf.marker import check_defaults, is_measured, settings_of
from pytest_memperf.metrics.session import registry_of
from pytest_memperf.model.errors import UsageMistake
from pytest_memperf.options import resolve


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
    from pytest_memperf.isolation.handover import isolate
    from pytest_memperf.measure.conditions import CONDITIONS
    from pytest_memperf.measure.perturbation import notes_on_tracers
    from pytest_memperf.measure.settings import Settings, parse_settings
    from pytest_memperf.measuring import MISTAKE, SETTINGS, Measuring, RefusedTests
    from pytest_memperf.report.session import register_reporter

    CONDITIONS.allocator = (allocator() or "unknown").partition(" ")[0]
    CONDITIONS.notes = notes_on_tracers(config.getoption("trace", False))
    registry = registry_of(config)
    check_defaults(config, lambda keywords: parse_settings(keywords, registry))
    mistakes: list[str] = []
    parsed: list[tuple[pytest.Item, Settings]] = []
    for item in measured:
        try:
            settings = item.stash[SETTINGS] = settings_of(item, registry)
            parsed.append((item, settings))
        except UsageMistake as mistake:
            item.stash[MISTAKE] = mistake
            mistakes.append(f"{item.nodeid}: {mistake}")
    # A worker of xdist cannot end the run with a usage error; there the tests concerned fail with the same line.
    if mistakes and not hasattr(config, "workerinput"):
        raise UsageMistake("\n".join(mistakes))
    isolate(config, parsed)
    if mistakes:
        config.pluginmanager.register(RefusedTests(), "memperf-refused")
    config.pluginmanager.register(Measuring(config), "memperf-measuring")
    register_reporter(config)
