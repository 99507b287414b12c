"""Results of a session go to a file as the reports arrive: that of --memperf-json, or one of a store."""

from __future__ import annotations

import datetime
import sys
from collections.abc import Mapping
from typing import Any, Protocol

import pytest

from pytest_memperf.environment import collect
from pytest_memperf.environment.commit import commit_of
from pytest_memperf.model.errors import UsageMistake
from pytest_memperf.model.result import Result
from pytest_memperf.model.run import Run
from pytest_memperf.report.json_file import JsonFile, check_target

_FROM_WORKER = "memperf_environment"
BROKEN_OFF = (pytest.ExitCode.USAGE_ERROR, pytest.ExitCode.INTERNAL_ERROR)
"""The exit codes of sessions whose results say nothing."""


def begun(config: pytest.Config, name: str | None = None) -> Run:
    """Return the session as a run without results: when it began, and of which commit it is."""
    created = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    return Run(created, commit_of(config.rootpath), name=name)


class MeasuredElsewhere:
    """Where the reports arrive: in the only process, or in the controller of xdist's workers, where no test has run."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._of_a_worker: dict[str, Any] | None = None

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Keep a worker's environment: the tests ran there."""
        self._of_a_worker = self._of_a_worker or getattr(node, "workeroutput", {}).get(_FROM_WORKER)

    def environment(self) -> dict[str, Any]:
        """Return the environment of the tests as plain JSON data; at the end, when it is known."""
        return self._of_a_worker or environment_of(self._config)


class Destination(Protocol):
    """Where results go: a file, or a run of a store. ``add`` and ``finish`` may raise OSError and UsageMistake."""

    path: str
    """What it is called, for a reader."""

    def add(self, result: Mapping[str, Any]) -> None:
        """Take a result. ValueError for one with a value that JSON has no form of."""

    def finish(self, tail: Mapping[str, Any]) -> None:
        """Take the end, and be there from now on."""

    def abandon(self) -> None:
        """Leave nothing behind; after ``finish`` that does nothing."""

    def cannot_be_written(self, error: OSError) -> UsageMistake:
        """Return the error of another method as one line with its mend."""


class JsonReport(MeasuredElsewhere):
    """Writes the results to a file as the reports arrive.

    Args:
        file: where they go.
        option: what asked for it, for the message where that cannot be written.
    """

    def __init__(self, config: pytest.Config, file: Destination, option: str) -> None:
        super().__init__(config)
        self._file = file
        self._option = option
        self._mistake: str | None = None

    def takes(self, result: Result) -> bool:
        """Tell whether the file is to have this result."""
        return True

    def refusal(self, exitstatus: int) -> str | None:
        """Return why a session that ended like this leaves no file; None where it does."""
        return "it broke off" if exitstatus in BROKEN_OFF else None

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Write the results that a report carries; a run that is repeated leaves none, the last one is the test's."""
        if report.outcome == "rerun":  # type: ignore[comparison-overlap]  # by pytest-rerunfailures
            return
        for result in getattr(report, "memperf", ()):
            if self._mistake is None and self.takes(result):
                self._try(self._file.add, result.as_json())

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Finish the file; a session that broke off leaves the older one. A failure to write is exit code 4."""
        if self.refusal(exitstatus):
            self._file.abandon()
            return
        if self._mistake is None:
            self._try(self._file.finish, {"environment": self.environment()})
        # As others have left it: a regression is the stronger news, as failed tests are.
        if self._mistake is not None and session.exitstatus in (
            pytest.ExitCode.OK,
            pytest.ExitCode.NO_TESTS_COLLECTED,
        ):
            session.exitstatus = pytest.ExitCode.USAGE_ERROR

    def pytest_unconfigure(self) -> None:
        """Say what went wrong as the last line, whatever is shown of the rest."""
        self._file.abandon()
        if self._mistake is not None:
            sys.stderr.write(f"ERROR: {self._option}: {self._mistake}\n")

    def _try(self, action: Any, data: dict[str, Any]) -> None:
        try:
            action(data)
        except OSError as error:
            self._mistake = str(self._file.cannot_be_written(error))
        except UsageMistake as mistake:
            self._mistake = str(mistake)
        except ValueError as error:  # readings are finite, but the mean of two may not be
            self._mistake = f"{self._file.path} cannot be written ({data['test']}: {error}): mend the metric"


def environment_of(config: pytest.Config) -> dict[str, Any]:
    """Return the environment of this process and its pytest plugins as plain JSON data."""
    plugins = {
        str(distribution.metadata["Name"]): str(distribution.version)
        for _, distribution in config.pluginmanager.list_plugin_distinfo()
    }
    return collect(dict(sorted(plugins.items()))).as_json()


class WorkerEnvironment:
    """In a worker: sends its environment to the controller, at the end, when everything is loaded."""

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Put the environment where xdist carries it along."""
        session.config.workeroutput[_FROM_WORKER] = environment_of(session.config)  # type: ignore[attr-defined]


def register_worker(config: pytest.Config) -> bool:
    """Return whether this is a worker of xdist, and have it send its environment then; once will do."""
    if not hasattr(config, "workerinput"):
        return False
    if not config.pluginmanager.hasplugin("memperf-worker-environment"):
        config.pluginmanager.register(WorkerEnvironment(), "memperf-worker-environment")
    return True


def register_json(config: pytest.Config, path: str) -> None:
    """Write the session's results to this file. UsageMistake at once where that is bound to fail."""
    if register_worker(config):
        return
    try:
        check_target(path)
    except UsageMistake as mistake:
        raise UsageMistake(f"--memperf-json: {mistake}") from None
    report = JsonReport(config, JsonFile(path, begun(config).head), "--memperf-json")
    config.pluginmanager.register(report, "memperf-json")
