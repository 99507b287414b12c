"""The driver's side of the templates: starting them, asking them for forks, ending them."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cyx import process
from pytest_memperf.isolation.protocol import FAILED, Connection, ConnectionEnded, TimeIsUp, last_line
from pytest_memperf.isolation.recipe import environment_of, interpreter_flags, package_folder
from pytest_memperf.model.signals import name_of_signal

START_UP = 120.0
"""Seconds that a template may take to get ready: it imports plugins, conftest files or a test module."""

LAST_WORDS = 10.0
"""Seconds between the end of a process's connection and that of the process."""

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


def _environment_for(recipe: Mapping[str, Any]) -> dict[str, str]:
    """Return the environment of a base template."""
    environment = environment_of(recipe["seed"])
    if recipe["allocator"] is not None:
        from pytest_memperf.malloc import named, preload  # which most sessions can do without

        environment = preload.environment_under(named(recipe["allocator"]), environment)
    if recipe["counted"]:
        from pytest_memperf.malloc.counting import environment_counted

        environment = environment_counted(environment)
    return environment


def _how_it_ended(status: int | None) -> str:
    if status is None:
        return "it is gone, nobody knows how"
    return f"it was killed by {name_of_signal(-status)}" if status < 0 else f"it ended itself with status {status}"


def _status_of_the_dead(pid: int) -> int | None:
    """Return how another's child ended that its parent has not buried (see os.waitstatus_to_exitcode)."""
    with contextlib.suppress(OSError):
        process_end = os.pidfd_open(pid)
        try:
            waiting = select.poll()
            waiting.register(process_end, select.POLLIN)
            if waiting.poll(LAST_WORDS * 1000):
                exit_code = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[-1]
                return os.waitstatus_to_exitcode(int(exit_code))
        finally:
            os.close(process_end)
    return None


def _forked(connection: Connection, template: BaseTemplate | ModuleTemplate, called: str) -> tuple[int, Connection]:
    """Return the process id of a new fork of a template, and the connection to it."""
    here, there = Connection.pair()
    try:
        connection.ask_for_fork(there)
        return connection.receive_number(time.monotonic() + START_UP), here
    except (ConnectionEnded, TimeIsUp):
        here.close()
        raise TemplateGone(f"{called} is gone: something killed it", template) from None


class ModuleTemplate:
    """A fork of the base in which one test module has been collected; it forks a child for each test."""

    def __init__(self, base: BaseTemplate, request: Mapping[str, Any], cow_limit: int) -> None:
        """Start it.

        Args:
            base: is forked.
            request: see Template.pytest_collection.
            cow_limit: bytes that a child may have copied for itself.
        """
        self._cow_limit = cow_limit
        self._ahead: tuple[int, Connection] | None = None
        pid, self._connection = base.fork()
        failure = f"the template of {request['module']} could not get ready"
        try:
            self._connection.send(dict(request))
            greeting = self._connection.receive(time.monotonic() + START_UP)
        except ConnectionEnded:
            self._connection.close()
            raise TemplateFailure(f"{failure}: {_how_it_ended(_status_of_the_dead(pid))}") from None
        except TimeIsUp:
            self._connection.close()
            kill(pid)
            raise TemplateFailure(f"{failure}: it took longer than {START_UP:g} seconds") from None
        if "failed" in greeting:
            self._connection.close()
            raise TemplateFailure(f"{failure}: {greeting['failed']}")
        self.notes: list[str] = [*base.notes, *greeting["notes"]]

    def fork_ahead(self) -> None:
        """Have the next child wait for its request already, its pages its own."""
        if self._ahead is None:
            self._ahead = self._fork()

    def fork(self) -> tuple[int, Connection]:
        """Return the process id of a new child, and the connection to it."""
        child, self._ahead = self._ahead or self._fork(), None
        return child

    def _fork(self) -> tuple[int, Connection]:
        pid, here = _forked(self._connection, self, "the template of the module")
        try:
            here.send({"cow_limit": self._cow_limit})
            here.receive(time.monotonic() + START_UP)
        except ConnectionEnded:
            pass  # it is gone, and whoever has a request for it will see how
        except TimeIsUp:
            kill(pid)
            here.close()
            line = f"a child of the module's template took longer than {START_UP:g} seconds to get pages of its own"
            raise TemplateGone(line, self) from None
        return pid, here

    def listen_to(self, child: Connection, deadline: float) -> dict[str, Any]:
        """Return the next message of the child. ConnectionEnded once the child has ended, or TimeIsUp."""
        return child.receive(deadline, self._connection)

    def wait_for_child(self, deadline: float) -> tuple[int, dict[str, str]]:
        """Return how the child ended (see os.waitstatus_to_exitcode), and the output it left where that was bad."""
        return self._connection.receive_ending(deadline)

    def close(self) -> None:
        """Let the template end, and the child that nobody came for."""
        if self._ahead is not None:
            self._ahead[1].close()
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
                env=_environment_for(recipe),
                cwd=recipe["folder"],
                start_new_session=True,
            )
        there.close()
        try:
            self._connection.send(dict(recipe))
            greeting = self._connection.receive(time.monotonic() + START_UP)
        except ConnectionEnded:
            raise TemplateFailure(f"the template interpreter could not start: {self._last_words()}") from None
        except TimeIsUp:
            self._process.kill()
            self._last_words()
            raise TemplateFailure(f"the template interpreter took longer than {START_UP:g} seconds to start") from None
        if "failed" in greeting:
            self._last_words()
            raise TemplateFailure(f"the template interpreter could not start: {greeting['failed']}")
        self.notes: list[str] = greeting["notes"]
        if recipe["lost"]:
            self.notes.append(f"could not be carried over to the child: {', '.join(recipe['lost'])}")

    def _last_words(self) -> str:
        """Wait for the end, and return why it ended: what it said, where it ended as a template does that fails."""
        status = self._close()
        said = "see its output"
        if self._output is not None:
            self._output.seek(0)
            said = last_line(self._output.read().decode(errors="replace")) or ""
            self._output.close()
        return said if status == FAILED and said else _how_it_ended(status)

    def fork(self) -> tuple[int, Connection]:
        """Return the process id of a new fork, and the connection to it."""
        return _forked(self._connection, self, "the template interpreter")

    def close(self) -> None:
        """Let the template end, and with it whatever it forked."""
        self._close()
        if self._output is not None:
            self._output.close()

    def _close(self) -> int:
        self._connection.close()
        try:
            return self._process.wait(LAST_WORDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()


def kill(pid: int) -> None:
    """Kill a child and what it started."""
    for target in (-pid, pid):  # its process group first, which it may not have made yet
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(target, signal.SIGKILL)
