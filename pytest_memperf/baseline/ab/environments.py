"""An environment for each side: the project of one state, installed into a virtual environment of its own, and kept."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path

from pytest_memperf.baseline.ab.repository import Repository, State
from pytest_memperf.model.errors import UsageMistake

INSTALL = "pip install ."
_READY = "ready"
_FLAGS = ("CFLAGS", "CXXFLAGS", "CPPFLAGS", "LDFLAGS", "CC", "CXX", "PIP_CONSTRAINT", "PIP_INDEX_URL")
"""Variables that decide what a build comes to."""


def cache_folder() -> Path:
    """Return where environments are kept."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pytest-memperf" / "ab"


@dataclass(frozen=True, slots=True)
class Built:
    """An environment with the project in it."""

    python: Path
    packages: tuple[str, ...]
    """Top-level modules that the project has installed."""


def build(repository: Repository, state: State, project: str, install: str) -> Built:
    """Return the environment of a state, built now unless an earlier run has.

    UsageMistake with the last lines of the command where that fails; nothing is kept then.

    Args:
        project: the project's folder in the repository.
        install: the command, run there with the environment's own ``pip`` and ``python``.
    """
    key = (state.key, str(repository.top), project, install)
    folder = _kept(key, lambda folder: _build(repository, state, project, install, folder))
    return Built(folder / "venv" / "bin" / "python", _packages(folder))


def build_of_requirements(requirements: str) -> Built:
    """Return an environment with these requirements, or those of a file, installed now unless an earlier run has.

    UsageMistake with the last lines of pip where that fails; nothing is kept then.
    """
    file = Path(requirements)
    is_file = file.is_file()
    words = ["-r", str(file.resolve())] if is_file else shlex.split(requirements)

    def make(folder: Path) -> None:
        folder.mkdir(parents=True)
        venv = folder / "venv"
        _run([sys.executable, "-m", "venv", str(venv)], folder, "python -m venv")
        pip = [str(venv / "bin" / "python"), "-m", "pip", "install", "--disable-pip-version-check", *words]
        _run(pip, Path.cwd(), f"pip install {requirements}")

    folder = _kept(("requirements", file.read_text() if is_file else requirements), make)
    return Built(folder / "venv" / "bin" / "python", ())


def _kept(key: Sequence[str], make: Callable[[Path], None]) -> Path:
    """Return the folder of an environment, made now unless it is kept; what could not be made whole is not."""
    flags = [f"{name}={os.environ.get(name)}" for name in _FLAGS]
    words = (*key, sys.version, sys.executable, *flags)
    # The digest alone makes up the name: the paths of both sides are of one length.
    folder = cache_folder() / hashlib.sha256("\n".join(words).encode()).hexdigest()[:16]
    with _locked(folder):
        if not (folder / _READY).exists():
            shutil.rmtree(folder, ignore_errors=True)
            try:
                make(folder)
                (folder / _READY).touch()
            finally:
                shutil.rmtree(folder / "source", ignore_errors=True)
                if not (folder / _READY).exists():
                    shutil.rmtree(folder, ignore_errors=True)
        os.utime(folder)
    return folder


def _build(repository: Repository, state: State, project: str, install: str, folder: Path) -> None:
    source, venv = folder / "source", folder / "venv"
    folder.mkdir(parents=True)
    repository.copy(state, source)
    _run([sys.executable, "-m", "venv", str(venv)], folder, "python -m venv")
    before = _names(venv)
    path = f"{venv / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    variables = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    variables |= {"PATH": path, "VIRTUAL_ENV": str(venv), "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    _run(["/bin/sh", "-c", install], source / project, f"--install {install!r} for {state.described}", variables)
    if _names(venv) <= before:
        raise UsageMistake(f"--install {install!r} installed nothing: give the command that installs the project")


def _run(command: Sequence[str], folder: Path, what: str, variables: dict[str, str] | None = None) -> None:
    try:
        done = subprocess.run(
            command, cwd=folder, env=variables, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, errors="replace",
        )  # fmt: skip
    except OSError as error:
        raise UsageMistake(f"{what} cannot be run ({error.strerror}): see --project and --install") from None
    if done.returncode:
        told = [line for line in done.stdout.splitlines() if line.strip()][-15:]
        raise UsageMistake("\n".join([f"{what} failed (status {done.returncode}); it said", *told]))


def _site(venv: Path) -> list[str]:
    return [str(path) for path in venv.glob("lib*/python3.*/site-packages")]


def _names(venv: Path) -> set[str]:
    return {str(each.metadata["Name"]) for each in distributions(path=_site(venv))}


def _packages(folder: Path) -> tuple[str, ...]:
    """Return the top-level modules of what was installed from the project's own folder: pip notes where from."""
    found: set[str] = set()
    for each in distributions(path=_site(folder / "venv")):
        if str(folder / "source") in (each.read_text("direct_url.json") or ""):
            tops = {Path(file).parts[0] for file in each.files or () if ".." not in Path(file).parts}
            found |= {top.partition(".")[0] for top in tops if not top.endswith((".dist-info", ".pth", "__pycache__"))}
    return tuple(sorted(found))


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keep another run waiting that wants the same environment; the kernel takes the lock from whoever is killed."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
