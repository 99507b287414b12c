"""The templates: an interpreter that gets ready once, and then does nothing but fork.

The base template configures pytest and stops where a session would begin to collect. Each of its forks goes on from
there with a single test module, and stops where the session would begin to run tests. Each fork of that runs one.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import signal
import sys
import warnings
from collections.abc import Callable, Generator
from typing import Any

import pytest

from cyx import copy_on_write, process, settling
from pytest_memperf.isolation import coverage
from pytest_memperf.isolation.layout import Layout
from pytest_memperf.isolation.protocol import FAILED, Connection, connection_on_stdin, last_line
from pytest_memperf.isolation.recipe import from_plain

PLUGIN = "memperf-template"
"""The name by which the rest of the plugin knows that it runs in a template."""


class Template:
    """The plugin that makes a session a template."""

    def __init__(self, connection: Connection, recipe: dict[str, Any], layout: Layout) -> None:
        self._connection = connection
        self._recipe = recipe
        self._layout = layout
        self._uncollected: list[str] = []

    @pytest.hookimpl(tryfirst=True)
    def pytest_cmdline_parse(self, pluginmanager: pytest.PytestPluginManager, args: list[str]) -> pytest.Config:
        """Configure pytest by the recipe instead of a command line, and load the plugins that it names."""
        pluginmanager.register(object(), PLUGIN)
        config: pytest.Config = pluginmanager.get_plugin("pytestconfig")  # type: ignore[assignment]
        options = {name: from_plain(value) for name, value in self._recipe["options"].items()}
        vars(config.option).update(options)
        # Entry points are not searched: which distributions are installed would show in the heap.
        os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
        try:
            for name, module in self._recipe["plugins"]:
                if not pluginmanager.is_blocked(name) and not pluginmanager.has_plugin(name):
                    package = module.partition(".")[0]
                    if package not in sys.modules:
                        pluginmanager.rewrite_hook.mark_rewrite(package)
                    pluginmanager.register(importlib.import_module(module), name)
            config.parse(args, addopts=False)
        finally:
            del os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"]
        return config

    def pytest_configure(self, config: pytest.Config) -> None:
        """Know the marks of the plugins that are not loaded here: other tests of the module may bear them."""
        for name in self._recipe["markers"]:
            config.addinivalue_line("markers", f"{name}: of a plugin in the driver")

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection(self, session: pytest.Session) -> Generator[None, Any, Any]:
        """As the base, fork whenever asked; as a fork of it, collect one module."""
        self._connection.send({"notes": notes_on_this_process()})
        self._connection = serve(self._connection, _forget)
        session.config.args = [self._connection.receive()["module"]]
        self._layout.disturb("before the module")
        outcome = yield
        self._layout.disturb("after the module")
        return outcome

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Keep what could not be collected."""
        if report.failed:
            self._uncollected.append(report.longreprtext)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> None:
        """As a module template, fork whenever asked; as a fork of it, run one test and end."""
        from pytest_memperf.isolation import child

        if self._uncollected:
            self._fail(self._uncollected[0])
        forwarding = child.Forwarding(session.config)
        if session.items:
            _ = session.items[0].location  # pytest remembers where the module is: else each child looks
        pages_of_files = prepare_for_forks()
        capture = session.config.pluginmanager.get_plugin("capturemanager")
        # A child that was killed leaves its output in the file that both write to.
        read_output = getattr(capture, "read_global_capture", None)
        self._connection.send({"notes": notes_on_this_process()})
        process.adopt_orphans()
        own = process.children(os.getpid())
        connection = serve(self._connection, lambda pid, driver: _wait_for(pid, driver, read_output, own))
        child.run(session, connection, forwarding, pages_of_files)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self) -> Generator[None, None, None]:
        """End here: writing caches and reports is the driver's business."""
        error = sys.exc_info()[1]
        self._fail(f"its session ended: {error}" if error else "its session ended")
        yield

    def pytest_internalerror(self, excrepr: Any) -> None:
        """Tell the driver what went wrong."""
        self._fail(str(excrepr))

    def _fail(self, text: str) -> None:
        try:
            self._connection.send({"failed": last_line(text) or "it did not say why"})
        finally:
            os._exit(FAILED)


def notes_on_this_process() -> list[str]:
    """Return what a result of a fork of this process has to say."""
    notes = []
    others = process.other_threads()
    if others:
        notes.append(f"threads alive at the fork, which the child does not have: {', '.join(others)}")
    if not process.addresses_are_fixed():
        notes.append("the address layout could not be fixed (personality(2) is forbidden here): counts may vary")
    kept = copy_on_write.left_as_they_are()
    if kept:
        sizes = ", ".join(f"{kind} {size // 1024} KiB" for kind, size in sorted(kept.items()))
        notes.append(f"memory that a fork does not get as its own: {sizes}")
    return notes


def prepare_for_forks() -> list[tuple[int, int]]:
    """Leave nothing to collect, trim, and return the pages of files in memory, which a fork will not have."""
    settling.watch_arenas()
    gc.collect()
    gc.freeze()
    settling.trim()
    copy_on_write.note_huge_pages()
    return copy_on_write.pages_of_files()


def serve(connection: Connection, forked: Callable[[int, Connection], None]) -> Connection:
    """Fork whenever asked; return in each fork, with its own connection. Ends the process with the connection.

    Args:
        connection: to the driver.
        forked: called after each fork with its process id, before the next.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # CPython warns of threads after the fork, in the parent: as an error it would end the template.
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
        forked(pid, connection)


def _forget(pid: int, driver: Connection) -> None:
    """Let this fork live on, and bury those that have ended."""
    while os.waitpid(-1, os.WNOHANG)[0]:
        pass


def _wait_for(pid: int, driver: Connection, read_output: Callable[[], tuple[str, str]] | None, own: list[int]) -> None:
    # While the child is not buried, nobody else can have the number of its group.
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    end_group(pid)
    for orphan in process.children(os.getpid()):
        if orphan != pid and orphan not in own:  # what the module started when it was imported
            end_outside(pid, orphan)
            os.waitpid(orphan, os.WNOHANG)
    _, status = os.waitpid(pid, 0)
    output = {}
    if status and read_output is not None:
        output = dict(zip(("stdout", "stderr"), read_output(), strict=True))
    driver.send_ending(os.waitstatus_to_exitcode(status), output)


def end_group(pid: int) -> None:
    """End what a child has started and left running.

    By SIGTERM, which spares the process in which multiprocessing cleans up what is shared: that ends by itself.
    """
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGTERM)


def end_outside(group: int, pid: int) -> None:
    """End a process that a child left in a session or group of its own, and likewise what that has started."""
    started = process.children(pid)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if os.getpgid(pid) != group:
            os.kill(pid, signal.SIGTERM)
    for each in started:
        end_outside(group, each)


def _check_allocator(connection: Connection, name: str) -> None:
    """Go on only where this library serves malloc here: its forks are served by what serves their template."""
    from pytest_memperf.malloc import named, proof

    reason = proof.refuted_apart(named(name))
    if reason:
        connection.send({"failed": reason})
        os._exit(FAILED)


def main() -> None:
    """Be a template, told what to do over standard input; ends the process."""
    try:
        connection = connection_on_stdin()
        recipe = connection.receive()
        if recipe["allocator"] is not None:
            _check_allocator(connection, recipe["allocator"])
        layout = Layout(recipe["seed"])
        layout.disturb("before plugins")
        sys.path[:] = recipe["path"]
        sys.argv[:] = ["pytest"]
        coverage.start(recipe["coverage"])
        arguments = [f"--rootdir={recipe['root']}", "-p", "no:terminal"]
        arguments += ["-c", recipe["ini"]] if recipe["ini"] else []
        for flag, values in (("-p", recipe["named"]), ("-o", recipe["overrides"]), ("-W", recipe["warnings"])):
            arguments += [part for value in values for part in (flag, value)]
        pytest.main([*arguments, *recipe["anchors"]], plugins=[Template(connection, recipe, layout)])
    finally:
        sys.stderr.flush()
        os._exit(FAILED)
