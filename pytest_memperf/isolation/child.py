"""The child: runs one test as if alone, measures it settled, and tells the driver what happened."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import resource
import signal
import sys
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, NoReturn

import pytest

from cyx import copy_on_write, settling
from pytest_memperf.isolation import benchmark, coverage
from pytest_memperf.isolation.protocol import Connection
from pytest_memperf.measure.conditions import CONDITIONS
from pytest_memperf.metrics.session import registry_of

LOST = 70
"""The exit status of a child that could not go on."""

_NOT_SETTLED = {
    1: "free small blocks were left in place (PYTHONMALLOC sets another allocator than pymalloc): counts may vary",
    2: "free blocks of malloc were left in place on pages in use (it is not glibc's): counts may vary",
}


class Settling:
    """Makes the pages and the heaps of a fork those of a process of its own, right before a window."""

    def __init__(self, pages_of_files: list[tuple[int, int]], limit: int) -> None:
        self._pages_of_files = pages_of_files
        self._limit = limit
        self._own = False
        self._began = False
        self.left = 0
        """Bytes that stayed shared with the template."""
        self.missing = 0
        """What ``settle`` could not do."""

    def __call__(self) -> None:
        """Take all free memory, of pages that are its own. What this allocates is free again before the taking."""
        if not self._began:
            self._began = True
            if not self._own or _has_forked():
                self.break_copy_on_write()
        if CONDITIONS.purge is not None:
            CONDITIONS.purge()
        self.missing = settling.settle()

    def break_copy_on_write(self) -> None:
        """Have all pages as its own, those of files too; done again before the window where set-up has forked."""
        self._own = True
        huge = copy_on_write.copy_huge_pages(self._limit)
        writable = [(start, end) for start, end, _, write, private, _ in copy_on_write.mappings() if write and private]
        pages = copy_on_write.present_pages(copy_on_write.without(writable, huge), False)
        copied = sum(end - start for start, end in huge)
        self.left = copy_on_write.populate(pages, True, self._limit - copied)
        copy_on_write.populate(self._pages_of_files, False, sys.maxsize)

    def note(self, report: pytest.TestReport) -> None:
        """Add to the results of a report what could not be done."""
        notes = [text for bit, text in _NOT_SETTLED.items() if self.missing & bit]
        if self.left:
            notes.append(
                f"{self.left >> 20} MiB stayed shared with the template (--memperf-cow-limit), "
                "and each page of it may have cost a fault"
            )
        for result in getattr(report, "memperf", ()):
            result.notes += notes
            faults = result.metrics.get("minor_faults")
            if self.left and faults is not None:
                pages = self.left // os.sysconf("SC_PAGE_SIZE")
                bounded = faults._replace(uncertainty=faults.uncertainty + pages)
                result.metrics = {**result.metrics, "minor_faults": bounded}


def _has_forked() -> bool:
    """Tell whether this process may have forked: it has a child, or has waited for one, or would never know."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        waited_for = resource.getrusage(resource.RUSAGE_CHILDREN).ru_minflt > 0
        return waited_for or signal.getsignal(signal.SIGCHLD) == signal.SIG_IGN
    return True


def measure_settled(settled: Settling) -> None:
    """Have the windows of this process, a fork, measured as those of a process of its own."""
    CONDITIONS.isolation = "process"
    CONDITIONS.collect = "collect"
    CONDITIONS.settle = settled
    CONDITIONS.wide_frames = True


class Forwarding(logging.Handler):
    """Sends on to the driver what a session would show; registered in the template, for that takes a while."""

    def __init__(self, config: pytest.Config) -> None:
        super().__init__()
        self._config = config
        self._report: object = None
        config.pluginmanager.register(self, "memperf-forwarding")

    def begin(self, connection: Connection, settled: Settling) -> None:
        """In a child: send over this connection."""
        self._connection = connection
        self._settled = settled
        self._pid = os.getpid()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(self) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Keep the report of the phase: what is logged besides comes from subtests and the like."""
        self._report = report = yield
        return report

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Send a report."""
        self._settled.note(report)
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

    def emit(self, record: logging.LogRecord) -> None:
        """Send a record that the driver shows at once (``--log-cli-level``)."""
        shown = ("name", "levelno", "levelname", "pathname", "filename", "module", "lineno", "funcName", "created")
        text = record.getMessage()
        if record.exc_info:
            text += "\n" + logging.Formatter().formatException(record.exc_info)
        self._send({"log": {**{name: getattr(record, name) for name in shown}, "msg": text}})

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
    """Return the names that lead from the test's file to the test; ids may differ between driver and template."""
    return [node.name for node in item.listchain() if isinstance(node, pytest.Item) or node.path == item.path][1:]


def find(items: list[pytest.Item], names: list[str], position: int) -> pytest.Item | None:
    """Return the test of these names; the position tells those of the same names apart."""
    found = [item for item in items if item.name == names[-1] and path_of(item) == names]
    return found[position] if position < len(found) else None


def run(
    session: pytest.Session, connection: Connection, forwarding: Forwarding, pages_of_files: list[tuple[int, int]]
) -> NoReturn:
    """Run the test that the driver names; ends the process, whatever happens."""
    status = LOST
    pid = os.getpid()
    request: dict[str, Any] = {}
    last: dict[str, Any] = {}
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.setpgid(0, 0)
        settled = Settling(pages_of_files, connection.receive()["cow_limit"])
        settled.break_copy_on_write()
        connection.send({"ready": True})
        request = connection.receive()
        last = _run(session, connection, request, forwarding, settled)
        status = 0
    except pytest.exit.Exception as ended:
        last, status = {"exit": str(ended.msg), "status": ended.returncode}, 0
    except KeyboardInterrupt:
        last, status = {"interrupt": True}, 0
    except BaseException as error:
        last = {"lost": f"{type(error).__name__}: {error}"}
    finally:
        if os.getpid() == pid:
            with contextlib.suppress(Exception):
                if request.get("coverage"):
                    coverage.save(request["coverage"])
            for stream in (sys.stdout, sys.stderr):
                with contextlib.suppress(Exception):
                    stream.flush()
            with contextlib.suppress(Exception):
                connection.send(last)
        os._exit(status)


def _run(
    session: pytest.Session,
    connection: Connection,
    request: dict[str, Any],
    forwarding: Forwarding,
    settled: Settling,
) -> dict[str, Any]:
    """Run the test; return the last message."""
    config = session.config
    item = find(session.items, request["names"], request["position"])
    if item is None:
        return {"missing": True}
    registry_of(config).request(request["metrics"])
    measure_settled(settled)
    _become_part_of(config, request)
    forwarding.begin(connection, settled)
    if request["live_logs"] is not None:
        forwarding.setLevel(request["live_logs"])
        logging.getLogger().addHandler(forwarding)
    if request["benchmarks_disabled"]:
        benchmark.disable(config)
    _protocol(config)(item=item, nextitem=None)
    for timed in benchmark.statistics(config):
        connection.send({"benchmark": plain(timed)})
    stops = {name: getattr(session, name) for name in ("shouldstop", "shouldfail")}
    return {"done": {name: str(reason) for name, reason in stops.items() if reason}}


def _become_part_of(config: pytest.Config, request: dict[str, Any]) -> None:
    """Take on what the driver of this session has, and templates must not: its folder, environment, place in xdist."""
    for name, value in request["environment"].items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    factory = getattr(config, "_tmp_path_factory", None)
    if factory is not None and request["folder"] is not None:
        factory._given_basetemp, factory._basetemp = Path(request["folder"]), None
    if request["worker"] is not None:
        config.workerinput = request["worker"]  # type: ignore[attr-defined]
    config.option.memperf_strict = request["strict"]  # for fixtures that find something lacking


def _protocol(config: pytest.Config) -> Callable[..., Any]:
    """Return pytest's way to run a test, without the plugins that repeat tests: that is done in the driver."""
    hook = config.hook.pytest_runtest_protocol
    repeating = [
        implementation.plugin
        for implementation in hook.get_hookimpls()
        if not (implementation.hookwrapper or implementation.wrapper)
        and not getattr(implementation.plugin, "__name__", "").startswith("_pytest.")
    ]
    return config.pluginmanager.subset_hook_caller("pytest_runtest_protocol", repeating)
