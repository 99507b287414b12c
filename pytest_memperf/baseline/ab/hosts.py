"""The gate on other machines, each for itself and all at once: this end of execnet's channels; ``guest`` is the other.

Imported only where machines are named: it needs pytest-memperf[remote].
"""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace
from typing import IO, Any

import execnet

from cyx.process import die_with_parent
from pytest_memperf import __version__
from pytest_memperf.baseline.ab.gate import Gate
from pytest_memperf.baseline.ab.parcel import Parcel
from pytest_memperf.baseline.ab.task import Task
from pytest_memperf.isolation.protocol import last_line
from pytest_memperf.model.errors import UsageMistake, nearest

KEYS = ("chdir", "dont_write_bytecode", "id", "nice", "popen", "python", "ssh", "ssh_config", "vagrant_ssh")
"""What a specification may say, beside variables."""
WAYS = ("ssh", "popen", "vagrant_ssh")
UNNAMED = ("chdir", "dont_write_bytecode", "nice", "ssh_config")
"""What of a specification is no part of the machine's name, as variables are none: they may be secrets."""
UNREACHED = 255
"""The exit status of ssh where it does not get there."""
PATIENCE = 30.0
"""Seconds that a host has to tell what it has after an interrupt, and to tidy up at its end."""
# Before anything else of this plugin's is imported there, which may be another version's.
_THERE = """
try:
    from pytest_memperf import __version__ as version
except Exception:
    version = None
channel.send(version)
if channel.receive():
    from pytest_memperf.baseline.ab.guest import serve
    serve(channel)
"""


@dataclass(frozen=True, slots=True)
class Ending:
    """How a machine ended; with neither of both, before it had anything to tell."""

    host: str
    gate: Gate | None = None
    mistake: str | None = None
    """Why it has no verdicts, in one line."""


def named(specifications: Sequence[str]) -> dict[str, str]:
    """Return each specification by the name of its machine. UsageMistake for what is none, or twice."""
    found: dict[str, str] = {}
    for each in specifications:
        name = _name(each)
        if name in found:
            raise UsageMistake(f"--tx={each}: {name} twice: one gate runs on a machine; tell two apart by //id=NAME")
        found[name] = each
    return found


def _name(specification: str) -> str:
    """Return what a machine is called: its id if there is one, else where it is."""
    if specification.partition("*")[0].isdecimal():
        raise UsageMistake(f"--tx={specification}: one gate runs on a machine: write {specification.partition('*')[2]}")
    parts = [part.partition("=") for part in specification.split("//")]
    for key, _, _ in parts:
        if key not in KEYS and not key.startswith("env:"):
            mend = f"there is no {key!r}{nearest(key, KEYS)}: write such as ssh=user@host//python=python3"
            raise UsageMistake(f"--tx={specification}: {mend}")
    if sum(key in WAYS for key, _, _ in parts) != 1:
        raise UsageMistake(f"--tx={specification}: say how to get there, such as ssh=user@host")
    try:
        spec = execnet.XSpec(specification)
    except (ValueError, AttributeError) as error:
        raise UsageMistake(f"--tx={specification}: {error}") from None
    if isinstance(spec.id, str) and spec.id:
        return spec.id
    return "//".join("".join(part) for part in parts if part[0] not in UNNAMED and not part[0].startswith("env:"))


class Host:
    """One machine, and the gate that runs there."""

    def __init__(self, name: str, specification: str) -> None:
        self.name = name
        self._specification = specification
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115
        self._group = _Group(self._errors)
        self._channel: execnet.Channel | None = None
        self._interrupted = False

    def run(self, parcel: Parcel, folder: str, task: Task, tell: Callable[[str], None]) -> Ending:
        """Send a task and what it is about, and wait for what it comes to.

        Args:
            folder: to stand in there, below the repository's top.
        """
        try:
            channel = self._begin(tell)
            if self._interrupted:  # before there was a program to end
                return Ending(self.name)
            tell(f"{self.name}: sends {parcel.size:,} bytes")
            channel.send(json.dumps({"parcel": parcel.as_json(), "folder": folder, "task": task.as_json()}))
            for chunk in parcel.chunks():
                channel.send(chunk)
            self._channel = channel  # from now on it can be interrupted
            for message in self._messages(channel):
                if "told" in message:
                    tell(f"{self.name}: {message['told']}")
                elif "gate" in message:
                    gate = Gate.from_json(message["gate"])
                    gate.outcome.host = self.name
                    return Ending(self.name, gate)
                else:
                    return Ending(self.name, mistake=message.get("mistake"))
        except UsageMistake as mistake:
            return Ending(self.name, mistake=None if self._interrupted else str(mistake))
        except (EOFError, OSError):
            pass
        except execnet.RemoteError as error:
            return Ending(self.name, mistake=f"the gate ended there: {last_line(str(error))}")
        return Ending(self.name, mistake=None if self._interrupted else f"the connection ended: {self._last_words()}")

    def _begin(self, tell: Callable[[str], None]) -> execnet.Channel:
        """Return a channel at whose other end the same version of this plugin waits."""
        tell(f"{self.name}: connects")
        try:
            gateway = self._group.makegateway(f"{self._specification}//execmodel=main_thread_only")
            channel = gateway.remote_exec(_THERE)
            version = channel.receive()
        except FileNotFoundError as error:  # of a program here
            raise UsageMistake(
                f"{error.filename} cannot be started ({error.strerror}): install it, or name another"
            ) from None
        except (execnet.HostNotFound, execnet.RemoteError, EOFError, OSError, AssertionError):
            if self._group.status == UNREACHED:
                raise UsageMistake(f"it cannot be reached ({self._last_words()}): have ssh reach it first") from None
            why = self._last_words()
            raise UsageMistake(f"no Python can be started there ({why}): name one by //python=python3.12") from None
        channel.send(version == __version__)
        if version != __version__:
            found = f"has pytest-memperf {version}" if version else "has no pytest-memperf"
            raise UsageMistake(
                f"its Python {found}, here it is {__version__}: pip install pytest-memperf=={__version__} there"
            )
        return channel

    def _messages(self, channel: execnet.Channel) -> Iterator[dict[str, Any]]:
        while True:
            yield json.loads(channel.receive())

    def _last_words(self) -> str:
        self._errors.seek(0)
        return last_line(self._errors.read().decode(errors="replace")) or "it does not say why"

    def interrupt(self) -> None:
        """Have it tell what it has by now; without anything, end it."""
        self._interrupted = True
        if self._channel is None:
            self._group.kill()
            return
        with contextlib.suppress(OSError):
            self._channel.send("interrupt")

    def close(self, seconds: float = PATIENCE) -> None:
        """End whatever is left here and there: gently, and after so many seconds for good."""
        self._group.terminate(timeout=seconds)
        self._group.kill()
        self._errors.close()


class _Group(execnet.Group):
    """Starts the programs that lead to one machine, and knows them: execnet forgets one that has not answered yet.

    Args:
        errors: what they write to standard error, of which a user wants to see no more than what they failed of.
    """

    def __init__(self, errors: IO[bytes]) -> None:
        super().__init__()
        self._errors = errors
        self._programs: list[subprocess.Popen[bytes]] = []

    @property
    def execmodel(self) -> Any:
        """That of execnet, with a way of our own to start programs."""
        return _Model(super().execmodel, self._start)

    def _start(self, command: list[str], **more: Any) -> subprocess.Popen[bytes]:
        if command[0] == "ssh":  # it ends with its connection, but would wait for ever for one that is not made yet
            more["preexec_fn"] = partial(die_with_parent, signal.SIGTERM)
        program: subprocess.Popen[bytes] = subprocess.Popen(command, stderr=self._errors, **more)
        self._programs.append(program)
        return program

    @property
    def status(self) -> int | None:
        """With what the last of them ended, which it is about to do; None where it does not."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._programs[-1].wait(1)
        return None

    def kill(self) -> None:
        """End the programs at once."""
        for program in self._programs:
            program.kill()
            program.wait()


class _Model:
    """An execution model of execnet's, but for how programs are started."""

    def __init__(self, model: Any, start: Callable[..., subprocess.Popen[bytes]]) -> None:
        self._model = model
        self.subprocess = SimpleNamespace(PIPE=subprocess.PIPE, Popen=start)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)


def run_on(
    specifications: dict[str, str], parcel: Parcel, folder: str, task: Task, tell: Callable[[str], None]
) -> list[Ending]:
    """Run a task on machines at once, and return how each ended.

    Ctrl-C has each of them tell what it has; a second one ends them.

    Args:
        specifications: by name, see ``named``.
        folder: see ``Host.run``.
    """
    hosts = [Host(*each) for each in specifications.items()]
    # Programs that lead to a machine get the mask of the thread: Ctrl-C is for us, they are needed after it.
    masked = partial(signal.pthread_sigmask, signal.SIG_BLOCK, {signal.SIGINT})
    pool = ThreadPoolExecutor(len(hosts), initializer=masked)
    seconds = PATIENCE
    try:
        running = [pool.submit(host.run, parcel, folder, task, tell) for host in hosts]
        try:
            wait(running)
        except KeyboardInterrupt:
            _interrupt(hosts, running)
            wait(running, PATIENCE)
        seconds = PATIENCE if all(each.done() for each in running) else 0.0
    except KeyboardInterrupt:
        seconds = 0.0
        raise
    finally:
        for host in hosts:
            host.close(seconds)
        pool.shutdown()
    return [each.result() for each in running]


def _interrupt(hosts: Iterable[Host], running: Iterable[Future[Ending]]) -> None:
    for host, future in zip(hosts, running, strict=True):
        if not future.done():
            host.interrupt()
