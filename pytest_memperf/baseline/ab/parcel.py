"""What of a repository goes to another machine: some states, with all that a build of them asks git for.

Of the history those are the commits, without their files: versions are made from tags, and from the commits since.
Nothing is written to the user's repository, not even an object.
"""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pytest_memperf.baseline.ab.repository import (
    Repository,
    State,
    git,
    git_done,
    is_submodule,
    submodules,
    without_git_variables,
)
from pytest_memperf.model.errors import UsageMistake

CHUNK = 1 << 18
"""Bytes that are sent at once."""


@dataclass(frozen=True, slots=True)
class Piece:
    """One repository of a parcel: the user's own, or that of a submodule."""

    place: str
    """Where it is kept, below the folder of git."""
    file: str
    """The pack of its objects, on the machine that sends it."""
    size: int
    """Of the pack, in bytes."""
    references: Mapping[str, str]
    shallow: Sequence[str]
    """The commits whose parents are not among it."""

    def chunks(self) -> Iterator[bytes]:
        """Yield the pack."""
        with open(self.file, "rb") as file:
            while chunk := file.read(CHUNK):
                yield chunk


@dataclass(frozen=True, slots=True)
class Parcel:
    """What is sent: this, then the chunks of its pieces."""

    pieces: Sequence[Piece]
    origin: str | None
    """What the addresses of submodules may be relative to."""
    commit: str | None
    """The one whose files are wanted too, for they are changed or run as they are."""
    tree: str | None
    """Those files with the changes."""

    @property
    def size(self) -> int:
        """Of all its packs, in bytes."""
        return sum(piece.size for piece in self.pieces)

    def chunks(self) -> Iterator[bytes]:
        """Yield what follows the parcel itself."""
        for piece in self.pieces:
            yield from piece.chunks()

    def as_json(self) -> dict[str, Any]:
        """Return it as plain data, without the packs."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Parcel:
        """Return what ``as_json`` wrote."""
        return cls(**{**data, "pieces": [Piece(**piece) for piece in data["pieces"]]})


def pack(repository: Repository, states: Sequence[State], folder: Path, with_files: bool = False) -> Parcel:
    """Write what is to be sent to a folder. UsageMistake where git cannot.

    Args:
        with_files: also have the files of the last state there, as they are.
    """
    packing = _Packing(folder)
    changed = next((state for state in states if state.changes), None)
    tree = packing.tree(repository) if changed else None
    packing.add(repository.kept, "", [state.commit for state in states], tree)
    shown = changed or (states[-1] if with_files else None)
    return Parcel(packing.pieces, repository.origin, shown.commit if shown else None, tree)


class _Packing:
    """Pieces on their way into a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._objects = folder / "objects"
        self._objects.mkdir(parents=True)
        self.pieces: list[Piece] = []

    def _beside(self, kept: Path) -> dict[str, str]:
        """Return the variables with which git reads that repository's objects, and writes others to this folder."""
        return {"GIT_OBJECT_DIRECTORY": str(self._objects), "GIT_ALTERNATE_OBJECT_DIRECTORIES": str(kept / "objects")}

    def tree(self, repository: Repository) -> str:
        """Return the tree of the working tree's files, made beside the repository and its index."""
        variables = {**self._beside(repository.kept), "GIT_INDEX_FILE": str(self._folder / "index")}
        git_done("read-tree", "HEAD", folder=repository.top, variables=variables)
        changed = repository.changed()
        for name in changed:
            if is_submodule(repository.top / name):
                raise UsageMistake(f"--tx: changes in the submodule {name} are not sent: commit them, there and here")
        told = "".join(f"{name}\0" for name in changed).encode(errors="surrogateescape")
        update = ("update-index", "--add", "--remove", "--replace", "-z", "--stdin")
        git_done(*update, folder=repository.top, variables=variables, told=told)
        return git_done("write-tree", folder=repository.top, variables=variables).decode().strip()

    def add(self, kept: Path, place: str, commits: Sequence[str], tree: str | None = None) -> None:
        """Add the piece of a repository with these commits, and those of its submodules as far as they are here.

        Args:
            kept: the folder of git that has it.
            place: of the piece.
        """
        wanted = [*dict.fromkeys(commits), *filter(None, [tree])]
        objects = self._asked(kept, "rev-list", "--objects", "--no-walk", *wanted)
        shallow, references = [*dict.fromkeys(commits)], {}
        if not place:  # versions are made of this one alone
            objects += self._asked(kept, "rev-list", *commits)
            shallow = self._shallow(kept, objects)
            if shallow:  # of such a one git makes whole copies, so it must have all files
                objects += self._asked(kept, "rev-list", "--objects", *commits)
            references = self._tags(kept, commits)
        references |= {f"refs/heads/memperf-{number}": commit for number, commit in enumerate(dict.fromkeys(commits))}
        file = self._folder / f"{len(self.pieces)}.pack"
        self._write(kept, file, [*objects, *references.values()])
        self.pieces.append(Piece(place, str(file), file.stat().st_size, references, shallow))
        for name, found in self._submodules(kept, commits).items():
            self.add(kept / "modules" / name, f"{place}/modules/{name}".lstrip("/"), found)

    def _asked(self, kept: Path, *words: str) -> list[str]:
        return git_done(*words, folder=kept, variables=self._beside(kept)).decode(errors="surrogateescape").splitlines()

    def _shallow(self, kept: Path, objects: Iterable[str]) -> list[str]:
        file = kept / "shallow"
        known = {line.partition(" ")[0] for line in objects}
        return [line for line in file.read_text().split() if line in known] if file.exists() else []

    def _tags(self, kept: Path, commits: Iterable[str]) -> dict[str, str]:
        """Return the tags that lead to these commits."""
        found: dict[str, str] = {}
        for commit in commits:
            command = ("for-each-ref", f"--merged={commit}", "--format=%(refname) %(objectname)", "refs/tags")
            for line in self._asked(kept, *command):
                name, _, target = line.rpartition(" ")
                found[name] = target
        return found

    def _submodules(self, kept: Path, commits: Iterable[str]) -> dict[str, list[str]]:
        """Return the commits of each submodule, by its name, that is here; others come from their origin."""
        found: dict[str, list[str]] = {}
        for commit in commits:
            for name, path in submodules("--blob", f"{commit}:.gitmodules", folder=kept):
                told = git("rev-parse", f"{commit}:{path}", folder=kept)
                wanted, here = told.stdout.decode().strip(), kept / "modules" / name
                if told.returncode == 0 and here.is_dir() and not git("cat-file", "-e", wanted, folder=here).returncode:
                    found.setdefault(name, []).append(wanted)
        return found

    def _write(self, kept: Path, file: Path, objects: Iterable[str]) -> None:
        """Write these objects as a pack, each once."""
        told = "\n".join(dict.fromkeys(objects)).encode(errors="surrogateescape")
        with file.open("wb") as opened:
            done = subprocess.run(
                ["git", "pack-objects", "--quiet", "--stdout", "--delta-base-offset"],
                cwd=kept, env={**without_git_variables(), **self._beside(kept)}, input=told, stdout=opened,
                stderr=subprocess.PIPE,
            )  # fmt: skip
        if done.returncode:
            raise UsageMistake(f"git pack-objects failed: {done.stderr.decode(errors='replace').strip()[-200:]}")


def unpack(parcel: Parcel, chunks: Iterator[bytes], top: Path) -> None:
    """Make a repository of a parcel. UsageMistake where git cannot.

    Args:
        chunks: those of its pieces.
    """
    top.mkdir()
    git_done("init", "--quiet", folder=top)
    for piece in parcel.pieces:
        kept = top / ".git" / piece.place
        if piece.place:
            kept.mkdir(parents=True)
            git_done("init", "--quiet", "--bare", folder=kept)
            git_done("config", "core.bare", "false", folder=kept)
        _index(piece, chunks, kept)
        lines = [f"{commit} {name}\n" for name, commit in sorted(piece.references.items())]
        (kept / "packed-refs").write_text("".join(lines), errors="surrogateescape")
        if piece.shallow:
            (kept / "shallow").write_text("".join(f"{commit}\n" for commit in piece.shallow))
    git_done("config", "core.excludesFile", "/dev/null", folder=top)  # what has been sent is no file to be ignored
    if parcel.origin:
        git_done("config", "remote.origin.url", parcel.origin, folder=top)
    if parcel.commit:
        git_done("checkout", "--quiet", "--detach", parcel.commit, folder=top)
        repository = Repository(top)
        repository.copy_submodules(repository.kept, top)
        if parcel.tree:
            git_done("read-tree", "-m", "-u", "HEAD", parcel.tree, folder=top)
            git_done("read-tree", "HEAD", folder=top)


def _index(piece: Piece, chunks: Iterator[bytes], kept: Path) -> None:
    """Take the piece's pack from the chunks."""
    left = piece.size
    command = ["git", "index-pack", "--stdin"]
    process = subprocess.Popen(
        command, cwd=kept, env=without_git_variables(), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    with contextlib.suppress(BrokenPipeError), process:
        while left and process.stdin is not None:
            chunk = next(chunks)
            process.stdin.write(chunk)
            left -= len(chunk)
    if process.returncode:
        raise UsageMistake("git index-pack failed: is there room for it, and git 2.30 or newer?")
