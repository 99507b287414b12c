"""The templates: an interpreter that gets ready once, and then does nothing but fork.

The base template configures pytest and stops where a session would begin to collect. Each of its forks goes on from
there with a single test module, and stops where the session would begin to run tests. Each fork of that runs one.
"""

from __future__ import annotations

import gc
import importlib
import os
import signal
import sys
import threading
import warnings
from collections.abc import Generator
from typing import Any

import pytest

from cyx import copy_on_write, process, settling
from pytest_memperf.isolation.protocol import Connection, connection_on_stdin
from pytest_memperf.isolation.recipe import from_plain

PLUGIN = "memperf-template"


class Template:
    """The plugin that makes a session a template."""

    def __init__(self, connection: Connection, recipe: dict[str, Any]) -> None:
        self._connection = connection
        self._recipe = recipe
        self._collection_errors: list[str] = []
        self._collecting = False

    def pytest_configure(self, config: pytest.Config) -> None:
        """Take the name by which the rest of the plugin knows a template."""
        config.pluginmanager.register(object(), PLUGIN)

    @pytest.hookimpl(tryfirst=True)
    def pytest_cmdline_parse(self, pluginmanager: pytest.PytestPluginManager, args: list[str]) -> pytest.Config:
        """Configure pytest by the recipe instead of a command line, and load the plugins that it names."""
        config: pytest.Config = pluginmanager.get_plugin("pytestconfig")  # type: ignore[assignment]
        options = {name: from_plain(value) for name, value in self._recipe["options"].items()}
        vars(config.option).update(options)
        # Entry points are not searched: which distributions are installed would show in the heap.
        os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
        try:
            for name, module in self._recipe["plugins"]:
                if not pluginmanager.is_blocked(name) and not pluginmanager.has_plugin(name):
                    if module.partition(".")[0] not in sys.modules:
                        pluginmanager.rewrite_hook.mark_rewrite(module.partition(".")[0])
                    pluginmanager.register(importlib.import_module(module), name)
            config.parse(args, addopts=False)
        finally:
            del os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"]
        return config

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection(self, session: pytest.Session) -> Generator[None, Any, Any]:
        """As the base, fork whenever asked; as a fork of it, collect one module."""
        self._connection.send({"notes": self._notes()})
        self._connection = serve(self._connection, waits=False)
        request = self._connection.receive()
        session.config.args = [request["module"]]
        self._collecting = True
        outcome = yield
        self._collecting = False
        return outcome

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Keep what could not be collected."""
        if report.failed:
            self._collection_errors.append(report.longreprtext)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> None:
        """As a module template, fork whenever asked; as a fork of it, run one test and end."""
        from pytest_memperf.isolation import child

        if self._collection_errors:
            self._fail(self._collection_errors[0])
        kept = prepare_for_forks()
        self._connection.send({"notes": self._notes()})
        connection = serve(self._connection, waits=True)
        child.run(session, connection, kept)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self) -> Generator[None, None, None]:
        """End here: writing caches and reports is the driver's business."""
        self._fail("its session ended; see the output")
        yield

    def pytest_internalerror(self, excrepr: Any) -> None:
        """Tell the driver what went wrong."""
        self._fail(str(excrepr))

    def _fail(self, text: str) -> None:
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        try:
            self._connection.send({"failed": lines[-1] if lines else text})
        finally:
            os._exit(1)

    def _notes(self) -> list[str]:
        others = [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
        notes = [f"threads alive at the fork: {', '.join(others)}"] if others else []
        if not process.addresses_are_fixed():
            notes.append("the address layout could not be fixed (personality(2) is forbidden here): counts may vary")
        return notes


def prepare_for_forks() -> list[tuple[int, int]]:
    """Leave nothing to collect, trim, and return the pages of files in memory, which a fork will not have."""
    settling.watch_arenas()
    gc.collect()
    gc.freeze()
    settling.trim()
    files = [
        (start, end)
        for start, end, readable, _, private, of_file in copy_on_write.mappings()
        if readable and (of_file or not private)
    ]
    return copy_on_write.present_pages(files, True)


def serve(connection: Connection, waits: bool) -> Connection:
    """Fork whenever asked; return in each fork, with its own connection. Ends the process with the connection.

    Args:
        waits: wait for each fork and tell how it ended, before the next.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # CPython warns of threads after the fork, in the parent: an error there would end the template.
    warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
    while True:
        end = connection.wait_for_fork()
        if end is None:
            os._exit(0)
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            process.die_with_parent(signal.SIGKILL)
            if os.getppid() != parent:
                os._exit(0)
            connection.close()
            return Connection(end)
        end.close()
        connection.send_number(pid)
        if waits:
            _, status = os.waitpid(pid, 0)
            connection.send_number(os.waitstatus_to_exitcode(status))


def main() -> None:
    """Be a template, told what to do over standard input; ends the process."""
    try:
        connection = connection_on_stdin()
        recipe = connection.receive()
        sys.path[:] = recipe["path"]
        sys.argv[:] = ["pytest"]
        arguments = [f"--rootdir={recipe['root']}", "-p", "no:terminal"]
        arguments += ["-c", recipe["ini"]] if recipe["ini"] else []
        for flag, values in (("-p", recipe["named"]), ("-o", recipe["overrides"]), ("-W", recipe["warnings"])):
            arguments += [part for value in values for part in (flag, value)]
        pytest.main([*arguments, *recipe["anchors"]], plugins=[Template(connection, recipe)])
    finally:
        sys.stderr.flush()
        os._exit(1)
