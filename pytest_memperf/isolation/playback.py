"""A child in the driver: what it says is taken in as if it had happened here."""

from __future__ import annotations

import contextlib
import importlib
import logging
import signal
import time
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from pytest_memperf.isolation import benchmark, coverage, remains
from pytest_memperf.isolation.child import LOST
from pytest_memperf.isolation.launch import LAST_WORDS, ModuleTemplate, kill
from pytest_memperf.isolation.protocol import ConnectionEnded, TimeIsUp
from pytest_memperf.model.signals import name_of_signal


class Timeout(NamedTuple):
    """How long a child may take."""

    seconds: float
    source: str
    """The option or the argument that says so."""


class ChildRun:
    """One child from its start to its end."""

    def __init__(
        self, item: pytest.Item, template: ModuleTemplate, request: dict[str, Any], timeout: Timeout, heard: bool = True
    ) -> None:
        """Start the child.

        Args:
            item: the test, in the driver.
            template: of its module.
            request: see child._run.
            timeout: from now to the end of the child.
            heard: take in what comes besides the reports: subtests, warnings, logs, benchmarks.
        """
        self.reports: dict[str, pytest.TestReport] = {}
        """The child's report of each phase that is over."""
        self.output: dict[str, str] = {}
        """What a child that died had written."""
        self._item = item
        self._template = template
        self._request = request
        self._timeout = timeout
        self._heard = heard
        self._deadline = time.monotonic() + timeout.seconds
        self._over = False
        self._lingered = False
        self._deaths_by_memory = deaths_by_memory()
        self._pid, self._connection = template.fork()
        with contextlib.suppress(ConnectionEnded):  # then it is gone, and that will be seen
            self._connection.send(request)

    def phase(self, when: str) -> None:
        """Wait until this phase is over in the child. Fails the test where the child did not come so far."""
        while when not in self.reports and not self._over:
            self._take_message()

    def finish(self) -> None:
        """Wait for the end of the child."""
        while not self._over:
            self._take_message()

    def abandon(self) -> None:
        """Kill the child, and what it started, where it still runs."""
        if not self._over:
            kill(self._pid)
            self._end()

    def _take_message(self) -> None:
        try:
            message = self._template.listen_to(self._connection, self._deadline)
        except TimeIsUp:
            self.abandon()
            limit = f"{self._timeout.source}={self._timeout.seconds:g} seconds"
            line = f"the child was killed: the test took longer than {limit}"
            raise pytest.fail.Exception(line, pytrace=False) from None
        except ConnectionEnded:
            raise pytest.fail.Exception(self._how_it_ended(), pytrace=False) from None
        except BaseException:
            self.abandon()
            raise
        self._take(message)

    def _take(self, message: dict[str, Any]) -> None:
        if "report" in message:
            self._take_report(message["report"], message["phase"])
        elif "warning" in message:
            if self._heard:
                self._take_warning(message)
        elif "benchmark" in message:
            if self._heard:
                benchmark.join(self._item, message["benchmark"])
        elif "log" in message:
            if self._heard:
                show_live(self._item.config, message["log"])
        else:
            self._take_last(message)

    def _take_last(self, message: dict[str, Any]) -> None:
        self._end()
        if "exit" in message:
            pytest.exit(message["exit"], message["status"])
        elif "interrupt" in message:
            raise KeyboardInterrupt
        elif "missing" in message:
            pytest.fail(
                "the test is not among those that its module yields in a template: "
                "does its id depend on the order of a set, on time, or on what else was selected?",
                pytrace=False,
            )
        elif "lost" in message:
            pytest.fail(f"the child could not go on: {message['lost']}", pytrace=False)
        else:
            for name, reason in message["done"].items():
                setattr(self._item.session, name, reason)

    def _take_report(self, data: dict[str, Any], of_phase: bool) -> None:
        item = self._item
        data["nodeid"] = item.nodeid
        data["location"] = item.location
        data["user_properties"] = [tuple(pair) for pair in data["user_properties"]]
        data["sections"] = [tuple(section) for section in data["sections"]]
        if isinstance(data["longrepr"], list):  # that of a skip, which pytest's -rs takes apart
            data["longrepr"] = tuple(data["longrepr"])
        report = item.config.hook.pytest_report_from_serializable(config=item.config, data=data)
        for result in getattr(report, "memperf", ()):
            result.test = item.nodeid
            result.notes += [note for note in self._template.notes if note not in result.notes]
        if of_phase:
            self.reports[report.when] = report
        elif self._heard:
            _count_failed_subtest(item, report)
            item.ihook.pytest_runtest_logreport(report=report)

    def _take_warning(self, message: dict[str, Any]) -> None:
        category = _category(*message["category"]) or UserWarning
        self._item.ihook.pytest_warning_recorded.call_historic(
            kwargs={
                "warning_message": warnings.WarningMessage(
                    category(message["warning"]), category, message["file"], message["line"]
                ),
                "nodeid": self._item.nodeid,
                "when": message["when"],
                "location": None,
            }
        )

    def _how_it_ended(self) -> str:
        status = self._end()
        if self._lingered:
            return "the child closed its connection and ran on until it was killed: did the test close all descriptors?"
        if status is None:
            return "the child is gone, and its template with it: something killed them"
        if status == LOST:
            return f"the child could not go on, nor say why (status {LOST}): did the test close all descriptors?"
        if status >= 0:
            return f"the test ended its process itself, with status {status} (os._exit or the like)"
        line = f"the child was killed by {name_of_signal(-status)}"
        if -status == signal.SIGKILL and deaths_by_memory() > self._deaths_by_memory:
            line += ": it was out of memory, and the kernel chose it"
        return line

    def _end(self) -> int | None:
        """Take leave of the child; return its exit status, None where its template is gone."""
        self._over = True
        status = None
        try:
            status, self.output = self._template.wait_for_child(max(self._deadline, time.monotonic() + LAST_WORDS))
        except TimeIsUp:
            self._lingered = True
            kill(self._pid)
            self._template.close()  # what it still has to say of this child must not be taken for the next one's
        except ConnectionEnded:
            pass
        self._connection.close()
        if self._request["folder"]:
            remains.delete_all(Path(self._request["folder"]))
        remains.give_back_huge_pages()
        if self._request["coverage"]:
            coverage.merge(self._request["coverage"])
        return status


def deaths_by_memory() -> int:
    """Return how many processes of this machine the kernel has killed for want of memory; see oom_kill in vmstat."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/vmstat").read_text().splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    return 0


def live_log_level(config: pytest.Config) -> int | None:
    """Return from which level logs are shown while a test runs; None where they are not."""
    handler = getattr(config.pluginmanager.get_plugin("logging-plugin"), "log_cli_handler", None)
    if not isinstance(handler, logging.StreamHandler):
        return None
    level = getattr(config.pluginmanager.get_plugin("logging-plugin"), "log_cli_level", None)
    return int(level or logging.NOTSET)


def show_live(config: pytest.Config, fields: dict[str, Any]) -> None:
    """Show a log record of a child at once."""
    handler = getattr(config.pluginmanager.get_plugin("logging-plugin"), "log_cli_handler", None)
    if handler is not None:
        handler.handle(logging.makeLogRecord(fields))


def _category(module: str, name: str) -> type[Warning] | None:
    """Return the class of a warning; None where the driver cannot make one of it from a text."""
    try:
        category = getattr(importlib.import_module(module), name)
        category("")
    except Exception:
        return None
    return category if isinstance(category, type) and issubclass(category, Warning) else None


def _count_failed_subtest(item: pytest.Item, report: pytest.TestReport) -> None:
    """Let pytest know of a failed subtest, so that it fails the test as well (pytest 9.0 and newer)."""
    try:
        from _pytest.subtests import SubtestReport, failed_subtests_key
    except ImportError:
        return
    if isinstance(report, SubtestReport) and report.failed:
        key: Any = getattr(item, "id", item.nodeid)  # a structured one since pytest 9.2
        item.config.stash[failed_subtests_key][key] += 1
