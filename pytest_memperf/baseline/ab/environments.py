"""An environment for each side: the project of one state, installed into a virtual environment of its own, and kept."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from importlib.metadata import distributions
from pathlib import Path

from cyx.process import die_with_parent
from pytest_memperf import __version__
from pytest_memperf.baseline.ab.deciding import digest, included, with_included
from pytest_memperf.baseline.ab.interpreter import OWN, Interpreter
from pytest_memperf.baseline.ab.repository import Repository, State, without_git_variables
from pytest_memperf.baseline.ab.unused import READY, delete_unused
from pytest_memperf.environment.installed import editable, modules, paths_added, top_level
from pytest_memperf.environment.locks import locked
from pytest_memperf.model.errors import UsageMistake
from pytest_memperf.report.whole_file import write_text

INSTALL = "pip install ."
_SEARCHED = ("PYTHONPATH", "PYTHONHOME")
"""Variables through which an environment would have what is not installed in it."""
_WHOLE = 'trap "kill -KILL 0" TERM; "$@" & wait $!'
"""Runs a command; by SIGTERM, which the kernel sends it where this process is killed, all of its group ends."""
_PATIENCE = 2.0
"""Seconds to wait for processes that are killed: where nobody buries them, they stay."""


def cache_folder() -> Path:
    """Return where environments are kept: the folder itself, not by a link to it, for so installers note it."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").resolve() / "pytest-memperf" / "ab"


@dataclass(frozen=True, slots=True)
class Built:
    """An environment with the project in it."""

    python: Path
    packages: tuple[str, ...]
    """Top-level modules that the project has installed."""


def build(repository: Repository, state: State, project: str, install: str, python: Interpreter = OWN) -> Built:
    """Return the environment of a state, built now unless an earlier run has.

    UsageMistake with the last lines of the command where that fails; nothing is kept then.

    Args:
        project: the project's folder in the repository.
        install: the command, run there with the environment's own ``pip`` and ``python``.
    """
    key = (state.key, repository.called, project, install)
    return _kept(key, python, lambda made: _build(repository, state, project, install, made))


def build_of_requirements(requirements: str, python: Interpreter = OWN, called: str = "") -> Built:
    """Return an environment with these requirements, or those of a file, installed now unless an earlier run has.

    UsageMistake with the last lines of pip where that fails; nothing is kept then.

    Args:
        called: what it is kept under, where that is not the current folder: it is a passing copy.
    """
    try:
        is_file = os.path.isfile(requirements)
        words = ["-r", os.path.abspath(requirements)] if is_file else shlex.split(requirements)
        text = Path(requirements).read_text(encoding="utf-8") if is_file else requirements
    except (OSError, ValueError) as error:
        raise UsageMistake(f"--requirement={requirements}: {error}: give requirements, or a file of them") from None
    if not is_file and (path := next(filter(_is_path, words), None)):
        raise UsageMistake(
            f"--requirement={requirements}: what lies in {path} may change: name a wheel by --side, or two commits"
        )
    files = included(text, os.path.dirname(requirements) if is_file else "")
    key = ("requirements", called or str(Path.cwd()), text, *with_included(files))
    return _kept(key, python, lambda made: _pip(made, words))


def _is_path(word: str) -> bool:
    return word.startswith((".", "/")) or word.endswith((".whl", ".tar.gz", ".zip"))


def build_of_wheel(wheel: Path, python: Interpreter = OWN) -> Built:
    """Return an environment with a wheel and what it requires, installed now unless an earlier run has.

    UsageMistake with the last lines of pip where that fails; nothing is kept then.
    """
    key = ("wheel", hashlib.sha256(wheel.read_bytes()).hexdigest())
    return _kept(key, python, lambda made: _pip(made, [str(wheel.resolve())]))


@dataclass(frozen=True, slots=True)
class _Making:
    """An environment that is being made, in a folder of its own."""

    folder: Path
    lock: int
    """Its descriptor: whoever holds it makes the environment."""

    @property
    def venv(self) -> Path:
        return self.folder / "venv"

    def start(self, python: Interpreter) -> None:
        """Make the virtual environment; one that cannot import this plugin as it is here gets its own."""
        self.folder.mkdir(parents=True)
        _run([python.path, "-m", "venv", str(self.venv)], self.folder, "python -m venv", self.lock)
        if python.is_foreign:
            _pip(self, [f"pytest-memperf=={__version__}"])


def _pip(made: _Making, words: Sequence[str]) -> tuple[str, ...]:
    pip = [str(made.venv / "bin" / "python"), "-m", "pip", "install", "--disable-pip-version-check", *words]
    _run(pip, Path.cwd(), f"pip install {shlex.join(words)}", made.lock)
    return ()


def _kept(key: Sequence[str], python: Interpreter, make: Callable[[_Making], tuple[str, ...]]) -> Built:
    """Return an environment, made now unless it is kept; what could not be made whole is not.

    Args:
        make: installs what belongs there, and returns the modules of the project.
    """
    folder = cache_folder() / digest(key, python)  # and nothing else: the paths of both sides are of one length
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageMistake(
            f"{folder.parent} cannot be made ({error.strerror}): name another folder by XDG_CACHE_HOME"
        ) from None
    lock_file = folder.with_suffix(".lock")
    with locked(lock_file) as lock:
        if not (folder / READY).exists():
            shutil.rmtree(folder, ignore_errors=True)
            try:
                made = _Making(folder, lock)
                made.start(python)
                packages = make(made)
                write_text(folder / READY, json.dumps(packages))
            finally:
                shutil.rmtree(folder / "source", ignore_errors=True)
                if not (folder / READY).exists():
                    shutil.rmtree(folder, ignore_errors=True)
                    lock_file.unlink()
            delete_unused(folder.parent)
        os.utime(folder)
        return Built(folder / "venv" / "bin" / "python", tuple(json.loads((folder / READY).read_text())))


def _build(repository: Repository, state: State, project: str, install: str, made: _Making) -> tuple[str, ...]:
    """Install the project, and return the top-level modules that it has installed."""
    source, venv = made.folder / "source", made.venv
    repository.copy(state, source)
    if not (source / project).is_dir():
        raise UsageMistake(f"--project={project}: {state.described} has no such folder")
    before = _files(venv)
    path = f"{venv / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    variables = {name: value for name, value in without_git_variables().items() if name not in _SEARCHED}
    variables |= {"PATH": path, "VIRTUAL_ENV": str(venv), "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    _run(
        ["/bin/sh", "-c", install],
        source / project,
        f"--install {install!r} for {state.described}",
        made.lock,
        variables,
    )
    added = _files(venv) - before
    if not added:
        raise UsageMistake(f"--install {install!r} installed nothing: give the command that installs the project")
    in_place = _in_place(venv, source)
    if in_place:
        raise UsageMistake(
            f"--install {install!r} installed {in_place} in place, which would leave it without its sources: "
            "install it, not editable"
        )
    return _packages(venv, source) or tuple(sorted(modules(added)))


def _run(command: Sequence[str], folder: Path, what: str, lock: int, variables: dict[str, str] | None = None) -> None:
    """Run a command to its end; nothing that it starts in its group outlives that, an exception, or this process.

    It holds the lock too: should some of it get away, nobody builds meanwhile.
    """
    try:
        process = subprocess.Popen(
            ["/bin/sh", "-c", _WHOLE, "sh", *command],
            cwd=folder, env=variables, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, errors="replace", pass_fds=(lock,), start_new_session=True,
            preexec_fn=partial(die_with_parent, signal.SIGTERM),
        )  # fmt: skip
    except OSError as error:
        raise UsageMistake(f"{what} cannot be run ({error.strerror})") from None
    with process:
        try:
            said, _ = process.communicate()
        finally:
            _kill(process)
    if process.returncode:
        told = [line for line in said.splitlines() if line.strip()][-15:]
        raise UsageMistake("\n".join([f"{what} failed (status {process.returncode}); it said", *told]))


def _kill(leader: subprocess.Popen[str]) -> None:
    """Kill what is left of a group of processes, and wait until it is gone: it writes to what is deleted next."""
    until = time.monotonic() + _PATIENCE
    with suppress(ProcessLookupError, PermissionError):
        while time.monotonic() < until:
            os.killpg(leader.pid, signal.SIGKILL)
            leader.wait()
            time.sleep(0.01)


def _site(venv: Path) -> list[Path]:
    return [*venv.glob("lib*/python3.*/site-packages")]


def _files(venv: Path) -> set[str]:
    """Return what lies right below the search path; a distribution's entry names its version."""
    return {path.name for site in _site(venv) for path in site.iterdir()}


def _packages(venv: Path, source: Path) -> tuple[str, ...]:
    """Return the top-level modules of what was installed from the project's own folder: pip notes where from."""
    found: set[str] = set()
    for each in distributions(path=[*map(str, _site(venv))]):
        if source.as_uri() in (each.read_text("direct_url.json") or ""):
            found |= top_level(each)
    return tuple(sorted(found))


def _in_place(venv: Path, source: Path) -> str | None:
    """Return the name of what would be imported from the sources, which are deleted; None where nothing would."""
    folders = [*map(str, _site(venv))]
    for name, place in (*editable(folders), *paths_added(folders)):
        if Path(place).is_relative_to(source):
            return name
    return None
