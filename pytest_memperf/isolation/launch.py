"""The driver's side of the templates: starting them, asking them for forks, ending them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from typing import IO, Any

from cyx import process
from pytest_memperf.isolation.protocol import Connection, ConnectionEnded, TimeIsUp
from pytest_memperf.isolation.recipe import environment_of, interpreter_flags, package_folder

START_UP = 120.0
"""Seconds that a template may take to get ready: it imports plugins, conftest files or a test module."""

_MAIN = "import sys; sys.path.insert(0, {folder!r}); from pytest_memperf.isolation.template import main; main()"


class TemplateFailure(Exception):
    """A template could not get ready; the text is one line for the user."""


class TemplateGone(TemplateFailure):
    """A template that was ready is there no longer; another can be started in its place."""

    def __init__(self, text: str, template: BaseTemplate | ModuleTemplate) -> None:
        super().__init__(text)
        self.template = template


@contextlib.contextmanager
def _addresses_fixed() -> Iterator[None]:
    """Let what this thread executes meanwhile have a fixed address layout, where the machine allows it."""
    try:
        former = process.set_personality(process.fixed_addresses(process.personality_flags()))
    except OSError:
        yield  # the template says in its greeting what it got
        return
    try:
        yield
    finally:
        process.set_personality(former)


def _last_line(output: IO[bytes]) -> str:
    output.seek(0)
    lines = [line.strip() for line in output.read().decode(errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"


class ModuleTemplate:
    """A fork of the base in which one test module has been collected; it forks a child for each test."""

    def __init__(self, base: BaseTemplate, request: Mapping[str, Any]) -> None:
        self._connection = base.fork()
        try:
            self._connection.send(dict(request))
            greeting = self._connection.receive(time.monotonic() + START_UP)
        except (ConnectionEnded, TimeIsUp):
            self._connection.close()
            raise TemplateFailure(f"the template of {request['module']} ended before it was ready") from None
        if "failed" in greeting:
            self._connection.close()
            raise TemplateFailure(f"the template of {request['module']} could not get ready: {greeting['failed']}")
        self.notes: list[str] = [*base.notes, *greeting["notes"]]

    def fork(self) -> tuple[int, Connection]:
        """Return the process id of a new child, and the connection to it."""
        here, there = Connection.pair()
        try:
            self._connection.ask_for_fork(there)
            return self._connection.receive_number(time.monotonic() + START_UP), here
        except (ConnectionEnded, TimeIsUp):
            here.close()
            raise TemplateGone("the template of the module is gone: something killed it", self) from None

    def listen_to(self, child: Connection, deadline: float) -> dict[str, Any]:
        """Return the next message of the child. ConnectionEnded once the child has ended, or TimeIsUp."""
        return child.receive(deadline, self._connection)

    def wait_for_child(self, deadline: float) -> tuple[int, dict[str, str]]:
        """Return how the child ended (see os.waitstatus_to_exitcode), and the output it left where that was bad."""
        return self._connection.receive_ending(deadline)

    def close(self) -> None:
        """Let the template end."""
        self._connection.close()


class BaseTemplate:
    """An interpreter with pytest configured and nothing collected."""

    def __init__(self, recipe: Mapping[str, Any], capture: str) -> None:
        self._connection, there = Connection.pair()
        # With --capture=fd the templates capture for themselves; with the others the output is meant for the terminal.
        self._output = tempfile.TemporaryFile() if capture == "fd" else None  # noqa: SIM115
        with _addresses_fixed():
            self._process = subprocess.Popen(
                [sys.executable, *interpreter_flags(), "-c", _MAIN.format(folder=package_folder())],
                stdin=there.fileno(),
                stdout=self._output,
                stderr=self._output,
                env=environment_of(recipe["seed"]),
                cwd=recipe["folder"],
                start_new_session=True,
            )
        there.close()
        try:
            self._connection.send(dict(recipe))
            self.notes: list[str] = self._connection.receive(time.monotonic() + START_UP)["notes"]
            if recipe["lost"]:
                self.notes.append(f"could not be carried over to the child: {', '.join(recipe['lost'])}")
        except (ConnectionEnded, TimeIsUp):
            self._connection.close()
            self._process.kill()
            self._process.wait()
            said = "see its output" if self._output is None else _last_line(self._output)
            if self._output is not None:
                self._output.close()
            raise TemplateFailure(f"the template interpreter could not start: {said}") from None

    def fork(self) -> Connection:
        """Return the connection to a new fork."""
        here, there = Connection.pair()
        try:
            self._connection.ask_for_fork(there)
            self._connection.receive_number(time.monotonic() + START_UP)
        except (ConnectionEnded, TimeIsUp):
            here.close()
            raise TemplateGone("the template interpreter is gone: something killed it", self) from None
        return here

    def close(self) -> None:
        """Let the template end, and with it whatever it forked."""
        self._connection.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._output is not None:
            self._output.close()


def kill(pid: int) -> None:
    """Kill a child and what it started."""
    for target in (-pid, pid):  # its process group first, which it may not have made yet
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(target, signal.SIGKILL)
