"""A side of the comparison while it runs: its interpreter, and the session that serves there."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_memperf import __version__
from pytest_memperf.baseline.ab.serving import TOOLS
from pytest_memperf.isolation.protocol import Connection, ConnectionEnded, TimeIsUp, last_line
from pytest_memperf.metrics.interference import spoiling
from pytest_memperf.model.errors import UsageMistake
from pytest_memperf.model.result import Result

START_UP = 600.0
"""Seconds that a side may take to collect its tests."""
_MAIN = (
    "import os, sys; sys.path[:] = [*filter(None, sys.path), os.environ[{tools!r}]]; "
    "from pytest_memperf.baseline.ab.serving import main; sys.exit(main(sys.argv[1:]))"
)
_ERROR = re.compile("^ERROR: (?!usage: )|: error: ")
_LEFT_OUT = ("PYTHONPATH", "PYTHONHOME", "PYTEST_ADDOPTS", "PYTEST_PLUGINS", "VIRTUAL_ENV")


@dataclass(frozen=True, slots=True)
class Sample:
    """One run of one test in one layout."""

    results: list[Result] = field(default_factory=list)
    failed: str | None = None
    """The last line of what was raised."""
    over_budget: bool = False
    """Whether that was a budget, so that the results are good."""
    skipped: str | None = None
    attribution: dict[str, Any] | None = None
    """Where its faults and bytes come from, where that was asked: see ``Attribution.as_json``."""

    @property
    def failure(self) -> str | None:
        """Why the test did not come to its end; a budget that it is over is no such reason."""
        return None if self.over_budget else self.failed

    @property
    def spoilt(self) -> list[str]:
        """By what the machine may have moved its counts and bytes, in words."""
        return spoiling(note for result in self.results for note in result.notes)


class Side:
    """The session of one side. ``close`` ends it and all that it started.

    Args:
        name: for messages, ``base`` or ``head``.
        python: its interpreter.
        folder: where its tests are.
        tools: see ``tools.link_tools``; beside it the tests' temporary folders are made.
        arguments: those of pytest.
    """

    def __init__(self, name: str, python: Path, folder: Path, tools: Path, arguments: Sequence[str]) -> None:
        self.name = name
        self._output = tempfile.TemporaryFile()  # noqa: SIM115
        self._connection, there = Connection.pair()
        environment = {key: value for key, value in os.environ.items() if key not in _LEFT_OUT}
        # Of one length for both, as all paths that a test sees, and gone with the run.
        own = ("--basetemp", str(tools.parent / f"temporary-{name}"))
        command = [str(python), "-c", _MAIN.format(tools=TOOLS), *_OPTIONS, *own, *arguments]
        try:
            self._process = subprocess.Popen(
                command,
                stdin=there.fileno(), stdout=self._output, stderr=subprocess.STDOUT, cwd=folder, start_new_session=True,
                env={**environment, TOOLS: str(tools), "PYTHONNOUSERSITE": "1"},
            )  # fmt: skip
        except OSError as error:
            self._connection.close()
            self._output.close()
            raise UsageMistake(f"{name}: {python} cannot be started ({error.strerror}): name an interpreter") from None
        finally:
            there.close()
        self._busy = True
        self._prepared: set[tuple[str, int]] = set()
        self.runs = 0
        self.retaken = 0
        """The runs that the machine spoilt and that were taken again."""
        self.tests: list[str] = []
        self.uncollected: dict[str, str] = {}
        self.versions: dict[str, str] = {}
        """Of Python, and of what is installed there beside the project."""

    def collect(self) -> None:
        """Wait until the side has collected its tests. UsageMistake where it cannot."""
        try:
            told = self._connection.receive(time.monotonic() + START_UP)
        except (ConnectionEnded, TimeIsUp):
            raise UsageMistake(f"{self.name}: its pytest did not come to running tests: {self._last_words()}") from None
        self._busy = False
        if told["version"] != __version__:
            raise UsageMistake(
                f"{self.name} has pytest-memperf {told['version']}, here it is {__version__}: "
                "install the same there, or none"
            )
        if told["editable"]:
            raise UsageMistake(
                f"{self.name} has {told['editable'][0]}, installed in place: both sides would run what is there now; "
                "install it there, not editable"
            )
        self.tests, self.uncollected = told["tests"], told["uncollected"]
        self.versions = told["versions"]

    def run(self, test: str, layout: int, retakes: int = 0) -> Sample:
        """Run a test in a layout, and so often again while the machine spoils it.

        UsageMistake where the side is not what it claims to be.
        """
        sample = self._run(test, layout)
        while sample.spoilt and retakes:
            retakes -= 1
            self.retaken += 1
            sample = self._run(test, layout)
        return sample

    def attribute(self, test: str) -> dict[str, Any] | None:
        """Run a test once more, followed line by line, which changes what it measures: see ``Attribution.as_json``."""
        return self._run(test, 0, attributed=True).attribution

    def _run(self, test: str, layout: int, attributed: bool = False) -> Sample:
        self.runs += 1
        self._ask({"test": test, "layout": layout, "attributed": attributed})
        told = self._answer(test)
        if told["elsewhere"]:
            raise UsageMistake(
                f"{self.name}: {test} imported {told['elsewhere'][0]}, which is not what that side has installed: "
                "install it there, not editable, and start in a folder without it"
            )
        results = [Result.from_json(each) for each in told["results"]]
        return Sample(results, told["failed"], told["over_budget"], told["skipped"], told["attribution"])

    def prepare(self, test: str, layouts: Iterable[int]) -> None:
        """Have the templates of a test's module started in these layouts, where they are not: ``wait`` for them."""
        module = test.partition("::")[0]
        lacking = [layout for layout in layouts if (module, layout) not in self._prepared]
        if lacking:
            self._prepared.update((module, layout) for layout in lacking)
            self._ask({"test": test, "prepared": lacking, "forked": False})

    def fork_ahead(self, test: str, layout: int) -> None:
        """Have the process wait in which the test will run next in this layout: ``wait`` for it."""
        self._ask({"test": test, "prepared": [layout], "forked": True})

    def wait(self) -> None:
        """Wait until what was started is ready. UsageMistake where the session ended over it."""
        if self._busy:
            self._answer("its templates")

    def _ask(self, message: dict[str, Any]) -> None:
        self._busy = True
        with suppress(ConnectionEnded):  # the answer will not come either
            self._connection.send(message)

    def _answer(self, what: str) -> dict[str, Any]:
        try:
            told: dict[str, Any] = self._connection.receive()
        except ConnectionEnded:
            raise UsageMistake(f"{self.name} ended while it ran {what}: {self._last_words()}") from None
        self._busy = False
        return told

    def close(self) -> None:
        """End the session, in the midst of whatever it does."""
        self._connection.close()
        if self._busy:
            self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._output.close()

    def _last_words(self) -> str:
        try:
            status = self._process.wait(10)
        except subprocess.TimeoutExpired:
            return "it does not answer"
        self._output.seek(0)
        said = self._output.read().decode(errors="replace")
        # Below what pytest says of a wrong argument it tells of its folders.
        error = next((line.strip() for line in said.splitlines() if _ERROR.search(line)), None)
        return error or last_line(said) or f"it ended with status {status}"


_OPTIONS = (
    "-p", "memperf", "-p", "no:cacheprovider", "--memperf-isolation=process", "--memperf-layouts=1", "--memperf-only",
    "--continue-on-collection-errors", "-q",
    # The session is one of this plugin's from its first line on: so it says where warnings are errors.
    "-W", "ignore::pytest.PytestAssertRewriteWarning",
)  # fmt: skip
