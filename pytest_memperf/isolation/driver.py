"""The driver: pytest's own process, or a worker of xdist. It has each isolated test run in a fork of a template."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_memperf.isolation.child import path_of
from pytest_memperf.isolation.launch import BaseTemplate, ModuleTemplate, TemplateFailure
from pytest_memperf.isolation.playback import ChildRun
from pytest_memperf.isolation.plugins import plugins_for
from pytest_memperf.isolation.recipe import dump, recipe_for

_RUN = pytest.StashKey[ChildRun]()


class Driver:
    """The plugin that replaces the phases of isolated tests; registered in a session that has any."""

    def __init__(
        self,
        config: pytest.Config,
        *,
        cow_limit: int,
        named_plugins: tuple[str, ...] | None,
        metrics: tuple[str, ...] = (),
    ) -> None:
        self._config = config
        self._cow_limit = cow_limit
        self._metrics = metrics
        self._named_plugins = named_plugins
        self._bases: dict[str, BaseTemplate | TemplateFailure] = {}
        self._modules: dict[tuple[str, str], ModuleTemplate | TemplateFailure] = {}

    def isolate(self, item: pytest.Item, position: int, timeout: float) -> None:
        """Let this test run in a child.

        Args:
            position: of the test among those of the same names in its module.
            timeout: seconds that it may take.
        """

        def setup() -> None:
            item.stash[_RUN] = self._start(item, position, timeout)
            item.stash[_RUN].phase("setup")

        def runtest() -> None:
            item.stash[_RUN].phase("call")

        def teardown() -> None:
            if _RUN in item.stash:
                item.stash[_RUN].phase("teardown")
                item.stash[_RUN].finish()

        item.setup = setup  # type: ignore[method-assign]
        item.runtest = runtest  # type: ignore[method-assign]
        item.teardown = teardown  # type: ignore[method-assign]

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> pytest.TestReport | None:
        """Take the child's report of the phase, unless something happened to the driver in it."""
        if _RUN not in item.stash:
            return None
        report = item.stash[_RUN].report(call.when)
        return report if call.excinfo is None else None

    def pytest_unconfigure(self) -> None:
        """Let the templates end."""
        for template in (*self._modules.values(), *self._bases.values()):
            if not isinstance(template, TemplateFailure):
                template.close()

    def _start(self, item: pytest.Item, position: int, timeout: float) -> ChildRun:
        try:
            template = self._module_template(item)
        except TemplateFailure as failure:
            pytest.fail(str(failure), pytrace=False)
        request: dict[str, Any] = {
            "names": path_of(item),
            "position": position,
            "cow_limit": self._cow_limit,
            "metrics": self._metrics,
        }
        return ChildRun(item, template, request, timeout)

    def _module_template(self, item: pytest.Item) -> ModuleTemplate:
        recipe = recipe_for(self._config, plugins_for(item, self._named_plugins))
        text = dump(recipe)
        key = (text, str(item.path))
        if key not in self._modules:
            try:
                self._modules[key] = ModuleTemplate(self._base(text, recipe), {"module": str(item.path)})
            except TemplateFailure as failure:
                self._modules[key] = failure
        template = self._modules[key]
        if isinstance(template, TemplateFailure):
            raise template
        return template

    def _base(self, text: str, recipe: dict[str, Any]) -> BaseTemplate:
        if text not in self._bases:
            try:
                self._bases[text] = BaseTemplate(recipe, self._config.option.capture)
            except TemplateFailure as failure:
                self._bases[text] = failure
        base = self._bases[text]
        if isinstance(base, TemplateFailure):
            raise base
        return base
