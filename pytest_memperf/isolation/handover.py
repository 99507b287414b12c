"""Which tests run in a process of their own, and their handing over to the driver."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import pytest

from pytest_memperf.measure.conditions import CONDITIONS
from pytest_memperf.measure.measurement import NOTE
from pytest_memperf.measure.settings import Settings
from pytest_memperf.metrics.malloc_calls import needs_counting
from pytest_memperf.metrics.session import registry_of
from pytest_memperf.options import resolve

ISOLATED = pytest.StashKey[bool]()
"""Set for a test that is measured in a process of its own."""


class Under(NamedTuple):
    """The library that is to serve malloc for a test, which then runs in a process of its own."""

    name: str
    among: tuple[str, ...] = ()
    """All that the test runs under, the one first that the others are compared with; nothing where it is but one."""


UNDER = pytest.StashKey[Under]()
_IN_THIS_PROCESS = (
    ("--pdb", "usepdb"),
    ("--trace", "trace"),
    ("--setup-show", "setupshow"),
    ("--setup-only", "setuponly"),
    ("--setup-plan", "setupplan"),
)
"""Flags that need the terminal of this process, each with the name of its option."""


def isolate(config: pytest.Config, measured: Sequence[tuple[pytest.Item, Settings]]) -> None:
    """Hand the tests over that are to run in a process of their own; in a template there are none."""
    by_default = resolve(config, "isolation")
    isolated = [
        (item, settings)
        for item, settings in measured
        if (settings.isolation or by_default) == "process" or UNDER in item.stash
    ]
    if config.pluginmanager.hasplugin("memperf-template"):
        return
    layouts = resolve(config, "layouts")
    if not isolated:
        if layouts > 1:
            CONDITIONS.notes.append(f"--memperf-layouts={layouts} did nothing: it needs --memperf-isolation=process")
        return
    hindrance = next((flag for flag, option in _IN_THIS_PROCESS if getattr(config.option, option, False)), None)
    if hindrance:
        for item, _ in isolated:
            under = f", nor under {item.stash[UNDER].name}" if UNDER in item.stash else ""
            item.stash[NOTE] = f"ran inline, not in a process of its own{under}: {hindrance} needs this one"
        terminal = config.pluginmanager.get_plugin("terminalreporter")
        if terminal is not None:
            terminal.write_line(f"memperf: {hindrance} needs this process: tests of process isolation run inline")
        return
    from pytest_memperf.isolation.child import path_of
    from pytest_memperf.isolation.driver import Driver, Isolated, Limits
    from pytest_memperf.isolation.playback import Timeout

    limits = Limits(
        cow_limit=resolve(config, "cow-limit"),
        layouts=layouts,
        template_plugins=resolve(config, "template-plugins"),
        metrics=registry_of(config).requested,
    )
    driver = Driver(config, limits)
    config.pluginmanager.register(driver, "memperf-driver")
    by_option = Timeout(resolve(config, "timeout"), "--memperf-timeout")
    seen: Counter[tuple[str, ...]] = Counter()
    for item, settings in isolated:
        name = (str(item.path), *path_of(item))
        item.stash[ISOLATED] = True
        by_argument = Timeout(settings.timeout, "timeout") if settings.timeout else None
        allocator = item.stash[UNDER].name if UNDER in item.stash else None
        counted = needs_counting((*settings.requested, *limits.metrics))
        driver.isolate(item, Isolated(seen[name], by_argument or by_option, allocator, counted))
        seen[name] += 1
