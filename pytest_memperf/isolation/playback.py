"""One test in the driver: its phases are played back from the child that runs it.

The driver goes through set-up, call and tear-down as for any test, so every plugin that drives tests (reruns, subtests,
-x, the reports of xdist) meets an ordinary one; but set-up waits for the child's set-up, and so on.
"""

from __future__ import annotations

import contextlib
import importlib
import signal
import time
import warnings
from typing import Any

import pytest

from pytest_memperf.isolation.launch import ModuleTemplate, kill
from pytest_memperf.isolation.protocol import ConnectionEnded, TimeIsUp


class ChildRun:
    """A child from its start to its end."""

    def __init__(self, item: pytest.Item, template: ModuleTemplate, request: dict[str, Any], timeout: float) -> None:
        self._item = item
        self._template = template
        self._timeout = timeout
        self._deadline = time.monotonic() + timeout
        self._pid, self._connection = template.fork()
        self._connection.send(request)
        self._reports: dict[str, pytest.TestReport] = {}
        self._over = False

    def phase(self, when: str) -> None:
        """Wait until this phase is over in the child. Fails the test where the child did not come so far."""
        while when not in self._reports and not self._over:
            self._take_message()

    def report(self, when: str) -> pytest.TestReport | None:
        """Return the child's report of the phase, once."""
        return self._reports.pop(when, None)

    def finish(self) -> None:
        """Wait for the end of the child."""
        while not self._over:
            self._take_message()

    def abandon(self) -> None:
        """Kill the child; for when the session is about to end."""
        if not self._over:
            self._over = True
            kill(self._pid)
            with contextlib.suppress(ConnectionEnded, TimeIsUp):
                self._template.wait_for_child(time.monotonic() + 10)
            self._connection.close()

    def _take_message(self) -> None:
        try:
            message = self._connection.receive(self._deadline)
        except TimeIsUp:
            self._fail(f"the test took longer than --memperf-timeout={self._timeout:g} in its child, which was killed")
        except ConnectionEnded:
            self._fail(self._how_it_ended())
        except BaseException:
            self.abandon()
            raise
        self._take(message)

    def _take(self, message: dict[str, Any]) -> None:
        if "report" in message:
            self._take_report(message["report"], message["phase"])
        elif "warning" in message:
            self._take_warning(message)
        elif "done" in message:
            self._end()
            for name, value in message["done"].items():
                setattr(self._item.session, name, value)
        elif "exit" in message:
            self._end()
            pytest.exit(message["exit"], message["status"])
        elif "interrupt" in message:
            self._end()
            raise KeyboardInterrupt
        elif "missing" in message:
            self._fail(
                "the test is not among those that its module yields in a template: "
                "does its id depend on the order of a set, on time, or on what else was selected?"
            )
        elif "lost" in message:
            self._fail(f"the child could not go on: {message['lost']}")

    def _take_report(self, data: dict[str, Any], of_phase: bool) -> None:
        item = self._item
        data["location"] = tuple(data["location"])
        data["user_properties"] = [tuple(pair) for pair in data["user_properties"]]
        data["sections"] = [tuple(section) for section in data["sections"]]
        data["nodeid"] = item.nodeid
        report = item.config.hook.pytest_report_from_serializable(config=item.config, data=data)
        for result in getattr(report, "memperf", ()):
            result.test = item.nodeid
            result.notes += [note for note in self._template.notes if note not in result.notes]
        if of_phase:
            self._reports[report.when] = report
        else:
            _count_failed_subtest(item, report)
            item.ihook.pytest_runtest_logreport(report=report)

    def _take_warning(self, message: dict[str, Any]) -> None:
        category = _category(*message["category"])
        self._item.ihook.pytest_warning_recorded.call_historic(
            kwargs={
                "warning_message": warnings.WarningMessage(
                    message=category(message["warning"]) if category else UserWarning(message["warning"]),
                    category=category or UserWarning,
                    filename=message["file"],
                    lineno=message["line"],
                ),
                "nodeid": self._item.nodeid,
                "when": message["when"],
                "location": None,
            }
        )

    def _how_it_ended(self) -> str:
        try:
            status = self._template.wait_for_child(time.monotonic() + 10)
        except (ConnectionEnded, TimeIsUp):
            return "the child is gone, and its template with it"
        self._over = True
        if status < 0:
            return f"the child was killed by {_signal_name(-status)}"
        return f"the child ended itself with status {status} (os._exit or the like) before the test was over"

    def _fail(self, line: str) -> None:
        self.abandon()
        self._over = True
        pytest.fail(line, pytrace=False)

    def _end(self) -> None:
        self._over = True
        with contextlib.suppress(ConnectionEnded, TimeIsUp):
            self._template.wait_for_child(self._deadline)
        self._connection.close()


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _category(module: str, name: str) -> type[Warning] | None:
    try:
        category = getattr(importlib.import_module(module), name)
        category("")
    except Exception:
        return None
    return category if isinstance(category, type) and issubclass(category, Warning) else None


def _key(item: pytest.Item) -> Any:
    return getattr(item, "id", item.nodeid)  # a structured id since pytest 9.2


def _count_failed_subtest(item: pytest.Item, report: pytest.TestReport) -> None:
    """Let pytest know of a failed subtest, so that it fails the test as well (pytest 9.0 and newer)."""
    try:
        from _pytest.subtests import SubtestReport, failed_subtests_key
    except ImportError:
        return
    if isinstance(report, SubtestReport) and report.failed:
        item.config.stash[failed_subtests_key][_key(item)] += 1
