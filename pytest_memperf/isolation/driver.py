"""The driver: pytest's own process, or a worker of xdist. It has each isolated test run in a fork of a template.

It goes through set-up, call and tear-down as for any test, so that every plugin which drives tests (reruns, subtests,
-x, the reports of xdist) meets an ordinary one; but each phase is played back from the child.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, TypeVar

import pytest
from _pytest.skipping import xfailed_key

from pytest_memperf.isolation import benchmark, coverage
from pytest_memperf.isolation.child import path_of, plain
from pytest_memperf.isolation.launch import BaseTemplate, ModuleTemplate, TemplateFailure, TemplateGone
from pytest_memperf.isolation.playback import ChildRun, Timeout, live_log_level
from pytest_memperf.isolation.plugins import TemplatePlugins
from pytest_memperf.isolation.recipe import dump, environment_changes, recipe_for, with_seed
from pytest_memperf.lacking import lacking
from pytest_memperf.measure.measurement import RESULTS
from pytest_memperf.model.joining import join_results
from pytest_memperf.options import resolve

T = TypeVar("T", BaseTemplate, ModuleTemplate)


@dataclass(frozen=True, slots=True)
class Limits:
    """What a session allows its children, and asks of them."""

    cow_limit: int
    layouts: int
    template_plugins: tuple[str, ...] | None
    metrics: tuple[str, ...]
    """What the options show beyond what is always measured."""


@dataclass(slots=True)
class Isolated:
    """A test that runs in children."""

    position: int
    """Among the tests of the same names in its module."""
    timeout: Timeout
    allocator: str | None = None
    """The library that serves malloc; None for the one that is there."""
    counted: bool = False
    """Whether what goes through malloc is to be counted."""
    run: ChildRun | None = None
    """Of the run that is under way."""


_ISOLATED = pytest.StashKey[Isolated]()


class Driver:
    """The plugin that replaces the phases of isolated tests; registered in a session that has any."""

    def __init__(self, config: pytest.Config, limits: Limits) -> None:
        self._config = config
        self._limits = limits
        self._plugins = TemplatePlugins(config, limits.template_plugins)
        self._bases: dict[str, BaseTemplate | TemplateFailure] = {}
        self._modules: dict[tuple[str, str], ModuleTemplate | TemplateFailure] = {}
        self._recipes: dict[tuple[str | bool | None, ...], tuple[dict[str, Any], str]] = {}
        self._children = 0
        self.first_layout = 0
        """The seed of the layout that tests run in, the only one unless --memperf-layouts asks for more."""
        _share_log_file(config)

    def isolate(self, item: pytest.Item, isolated: Isolated) -> None:
        """Let this test run in a child."""
        item.stash[_ISOLATED] = isolated
        item.setup = lambda: self._setup(item)  # type: ignore[method-assign]
        item.runtest = lambda: self._call(item)  # type: ignore[method-assign]
        item.teardown = lambda: self._teardown(item)  # type: ignore[method-assign]

    def prepare(self, item: pytest.Item, seed: int, forked: bool) -> None:
        """Start the template that a test needs in a layout, unless it is there; a failure shows when the test runs.

        Args:
            forked: have the child wait, too, in which the test will run.
        """
        with contextlib.suppress(TemplateFailure):
            template = self._module_template(item, seed)
            if forked and _ISOLATED in item.stash:
                template.fork_ahead()

    def _setup(self, item: pytest.Item) -> None:
        isolated = item.stash[_ISOLATED]
        reason = _lack(isolated.allocator)
        if reason:
            lacking(self._config, reason)
        isolated.run = self._start(item, self.first_layout)
        isolated.run.phase("setup")

    def _call(self, item: pytest.Item) -> None:
        run = item.stash[_ISOLATED].run
        assert run is not None
        run.phase("call")
        report = run.reports.get("call")
        if report is None or not _came_through(report):
            return
        if _was_to_fail(report) and item.get_closest_marker("xfail") is None:
            item.add_marker(pytest.mark.xfail(strict=report.failed))  # as the test did in its child
        samples = [getattr(report, "memperf", [])]
        if self._limits.layouts > 1:
            run.finish()
            samples += [self._sample(item, run, seed) for seed in range(1, self._limits.layouts)]
        if samples[0] and _came_through(run.reports["call"]):
            item.stash[RESULTS] = join_results(samples)

    def _sample(self, item: pytest.Item, first: ChildRun, seed: int) -> Any:
        """Run the test in another layout; return its results. Its failure becomes the test's."""
        layout = f"{seed} of 0 to {self._limits.layouts - 1}"
        run = None
        try:
            run = self._start(item, seed, heard=False)
            run.finish()
        except pytest.fail.Exception as failure:
            first.output = run.output if run is not None else {}
            raise pytest.fail.Exception(f"{failure.msg} (memory layout {layout})", pytrace=False) from None
        for report in run.reports.values():
            if not _came_through(report) and report.failed and _came_through(first.reports["call"]):
                report.when = "call"
                report.sections.append(("Memory layout", layout))
                first.reports["call"] = report
        return getattr(run.reports.get("call"), "memperf", [])

    def _teardown(self, item: pytest.Item) -> None:
        run = item.stash[_ISOLATED].run
        if run is not None:
            run.phase("teardown")
            run.finish()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> pytest.TestReport | None:
        """Take the child's report of the phase; where something happened here, or the driver's own with its output."""
        isolated = item.stash.get(_ISOLATED, None)
        if isolated is None or isolated.run is None:
            return None
        report = isolated.run.reports.pop(call.when, None)
        if call.excinfo is None:
            item.stash[xfailed_key] = None  # the child has said what it amounts to
            return report
        own = pytest.TestReport.from_item_and_call(item, call)
        if report is not None:
            own.sections += report.sections
            own.user_properties = report.user_properties
        own.sections += [(f"Captured {name} {call.when}", text) for name, text in isolated.run.output.items() if text]
        isolated.run.output = {}
        return own

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Any:
        """Leave no child behind, however the test ended."""
        try:
            return (yield)
        finally:
            isolated = item.stash.get(_ISOLATED, None)
            if isolated is not None and isolated.run is not None:
                isolated.run.abandon()
                isolated.run = None

    def pytest_unconfigure(self) -> None:
        """Let the templates end."""
        for template in (*self._modules.values(), *self._bases.values()):
            if not isinstance(template, TemplateFailure):
                template.close()

    def _start(self, item: pytest.Item, seed: int, heard: bool = True, anew: int = 2) -> ChildRun:
        """Start the child; so many templates may turn out to be gone: that of the module, and then its base."""
        isolated = item.stash[_ISOLATED]
        try:
            return ChildRun(item, self._module_template(item, seed), self._request(item), isolated.timeout, heard)
        except TemplateGone as gone:
            if not anew:
                raise pytest.fail.Exception(str(gone), pytrace=False) from None
            self._drop(gone.template)
            return self._start(item, seed, heard, anew - 1)
        except TemplateFailure as failure:
            raise pytest.fail.Exception(str(failure), pytrace=False) from None

    def _drop(self, template: BaseTemplate | ModuleTemplate) -> None:
        """Forget a template that is gone, so that the next test gets a new one."""
        every: list[dict[Any, Any]] = [self._modules, self._bases]
        for made in every:
            for key in [key for key, each in made.items() if each is template]:
                del made[key]
        template.close()

    def _request(self, item: pytest.Item) -> dict[str, Any]:
        self._children += 1
        config = self._config
        factory = getattr(config, "_tmp_path_factory", None)
        measured = coverage.settings() is not None
        return {
            "names": path_of(item),
            "position": item.stash[_ISOLATED].position,
            "metrics": self._limits.metrics,
            "folder": factory and str(factory.getbasetemp() / f"process-{self._children:06}"),
            "environment": environment_changes(),
            "worker": plain(getattr(config, "workerinput", None)),
            "benchmarks_disabled": benchmark.is_disabled(config),
            "live_logs": live_log_level(config),
            "strict": resolve(config, "strict"),
            "coverage": str(config.rootpath / f".memperf-coverage.{os.getpid()}") if measured else None,
        }

    def _module_template(self, item: pytest.Item, seed: int) -> ModuleTemplate:
        plugins, lacking = self._plugins.chosen_for(item)
        if lacking:
            raise TemplateFailure(
                f"the test needs {' or '.join(lacking)}, which its template does not load: "
                f"add {lacking[0]!r} to memperf_template_plugins"
            )
        isolated = item.stash[_ISOLATED]
        reason = _lack(isolated.allocator)
        if reason:
            raise TemplateFailure(reason)
        recipe, text = self._recipe(plugins, seed, isolated)
        base = _once(self._bases, text, lambda: BaseTemplate(recipe, getattr(self._config.option, "capture", "no")))
        module = str(item.path)
        make = partial(ModuleTemplate, base, {"module": module}, self._limits.cow_limit)
        return _once(self._modules, (text, module), make)

    def _recipe(self, plugins: dict[str, Any], seed: int, isolated: Isolated) -> tuple[dict[str, Any], str]:
        """Return the recipe of a base template and its text, made once for each set of plugins, layout, allocator."""
        served = {"allocator": isolated.allocator, "counted": isolated.counted}
        key = (*plugins, str(seed), *served.values())
        if key not in self._recipes:
            recipe = recipe_for(self._config, plugins, self._plugins.installed)
            recipe = {**with_seed(recipe, seed), "coverage": coverage.settings(), **served}
            self._recipes[key] = recipe, dump(recipe)
        return self._recipes[key]


@cache
def _lack(allocator: str | None) -> str | None:
    """Return why no template can be had under this library; None where one can."""
    if allocator is None:
        return None
    from pytest_memperf.malloc import named, preload  # which most sessions can do without

    return preload.lack(named(allocator))


def _came_through(report: pytest.TestReport) -> bool:
    """Tell whether the test raised nothing: a strict xfail calls that a failure."""
    return report.passed or (report.failed and _was_to_fail(report))


def _was_to_fail(report: pytest.TestReport) -> bool:
    """Tell whether the test raised nothing although it was expected to; a budget may yet make it fail."""
    return (report.passed and hasattr(report, "wasxfail")) or str(report.longrepr or "").startswith("[XPASS(strict)]")


def _once(made: dict[Any, Any], key: object, make: Callable[[], T]) -> T:
    """Return what was made for this key, or make it; a template that could not get ready is not tried again."""
    if key not in made:
        try:
            made[key] = make()
        except TemplateGone:
            raise  # that is the base
        except TemplateFailure as failure:
            made[key] = failure
    if isinstance(made[key], TemplateFailure):
        raise made[key]
    return made[key]  # type: ignore[no-any-return]


def _share_log_file(config: pytest.Config) -> None:
    """Let children append to the driver's ``--log-file`` without either writing over the other."""
    handler = getattr(config.pluginmanager.get_plugin("logging-plugin"), "log_file_handler", None)
    with contextlib.suppress(AttributeError, OSError):
        descriptor = handler.stream.fileno()  # type: ignore[union-attr]
        fcntl.fcntl(descriptor, fcntl.F_SETFL, fcntl.fcntl(descriptor, fcntl.F_GETFL) | os.O_APPEND)
