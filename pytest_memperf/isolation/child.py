"""The child: runs one test as if alone, measures it settled, and tells the driver what happened."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from typing import Any, NoReturn

import pytest

from cyx import copy_on_write, settling
from pytest_memperf.isolation.protocol import Connection
from pytest_memperf.measure.conditions import CONDITIONS
from pytest_memperf.selection import registry_of

LOST = 70
"""The exit status of a child that could not say what went wrong."""


class Settling:
    """Makes the pages and the heaps of a fork those of a fresh process, right before a window."""

    def __init__(self, pages_of_files: list[tuple[int, int]], limit: int) -> None:
        self._pages_of_files = pages_of_files
        self._limit = limit
        self._own = False
        self.left = 0

    def __call__(self) -> None:
        """Break copy-on-write, once, and take all free memory."""
        if not self._own:
            self._own = True
            writable = [
                (start, end) for start, end, _, writable, private, _ in copy_on_write.mappings() if writable and private
            ]
            copy_on_write.populate(self._pages_of_files, False, sys.maxsize)
            self.left = copy_on_write.populate(copy_on_write.present_pages(writable, False), True, self._limit)
            del writable
        settling.settle()


class Forwarding:
    """Sends on to the driver what a session would show."""

    def __init__(self, config: pytest.Config, connection: Connection) -> None:
        self._config = config
        self._connection = connection
        self._pid = os.getpid()
        self._report: object = None

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(self) -> Any:
        """Keep the report of the phase: what is logged besides comes from subtests and the like."""
        self._report = yield
        return self._report

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Send a report."""
        data = self._config.hook.pytest_report_to_serializable(config=self._config, report=report)
        self._send({"report": data, "phase": report is self._report})

    def pytest_warning_recorded(self, warning_message: Any, when: str) -> None:
        """Send a warning; those of the collection, which pytest repeats here, the driver has seen for itself."""
        if when != "runtest":
            return
        category = warning_message.category
        self._send(
            {
                "warning": str(warning_message.message),
                "category": [category.__module__, category.__qualname__],
                "file": warning_message.filename,
                "line": warning_message.lineno,
                "when": when,
            }
        )

    def _send(self, message: dict[str, Any]) -> None:
        if os.getpid() == self._pid:  # else a process that the test forked has found its way back here
            self._connection.send(plain(message))


def plain(value: Any) -> Any:
    """Return the value as JSON can carry it, text standing in for what it cannot."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if value is None or type(value) in (str, int, float, bool):
        return value
    try:
        json.dumps(value)
    except (TypeError, ValueError, RecursionError):
        return str(value)
    return value


def path_of(item: pytest.Item) -> list[str]:
    """Return the names that lead from the test's file to the test."""
    return [node.name for node in item.listchain() if isinstance(node, pytest.Item) or node.path == item.path][1:]


def find(items: list[pytest.Item], names: list[str], position: int) -> pytest.Item | None:
    """Return the test of these names; the position tells those of the same names apart."""
    found = [item for item in items if path_of(item) == names]
    return found[position] if position < len(found) else None


def run(session: pytest.Session, connection: Connection, pages_of_files: list[tuple[int, int]]) -> NoReturn:
    """Run the test that the driver names; ends the process, whatever happens."""
    status = LOST
    pid = os.getpid()
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.setpgid(0, 0)
        request = connection.receive()
        _run(session, connection, request, pages_of_files)
        status = 0
    except pytest.exit.Exception as ended:
        connection.send({"exit": str(ended.msg), "status": ended.returncode})
        status = 0
    except KeyboardInterrupt:
        connection.send({"interrupt": True})
        status = 0
    except BaseException as error:
        connection.send({"lost": f"{type(error).__name__}: {error}"})
    finally:
        if os.getpid() == pid:
            for stream in (sys.stdout, sys.stderr):
                with contextlib.suppress(Exception):
                    stream.flush()
        os._exit(status)


def _run(
    session: pytest.Session, connection: Connection, request: dict[str, Any], pages_of_files: list[tuple[int, int]]
) -> None:
    config = session.config
    item = find(session.items, request["names"], request["position"])
    if item is None:
        connection.send({"missing": True})
        return
    registry_of(config).request(request["metrics"])
    CONDITIONS.isolation = "process"
    CONDITIONS.collect = "collect"
    CONDITIONS.settle = Settling(pages_of_files, request["cow_limit"])
    CONDITIONS.wide_frames = True
    config.pluginmanager.register(Forwarding(config, connection), "memperf-forwarding")
    owners = [
        implementation.plugin
        for implementation in config.hook.pytest_runtest_protocol.get_hookimpls()
        if not (implementation.hookwrapper or implementation.wrapper)
        and not getattr(implementation.plugin, "__name__", "").startswith("_pytest.")
    ]
    protocol = config.pluginmanager.subset_hook_caller("pytest_runtest_protocol", owners)
    protocol(item=item, nextitem=None)
    stops = {
        name: plain(getattr(session, name)) for name in ("shouldstop", "shouldfail") if getattr(session, name, False)
    }
    connection.send({"done": stops})
