"""Which saved run is meant: a file, the latest, a number, a name, a branch, a commit, a pattern, a git reference."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

from pytest_memperf.baseline.judging import NOISY_BAND
from pytest_memperf.baseline.store import Store, StoredRun
from pytest_memperf.environment.commit import commit_named
from pytest_memperf.model.errors import UsageMistake
from pytest_memperf.model.run import LATEST, Commit, Run
from pytest_memperf.report.json_reader import read


@dataclass(frozen=True, slots=True)
class Baseline:
    """The runs that a reference names, the one that counts first, and what that is in words; none without any."""

    runs: Sequence[Run]
    described: str
    remarks: Sequence[str] = ()
    """Runs of the store that could not be read."""


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A saved run, and what its head says; a damaged one is known by its name alone."""

    saved: StoredRun
    head: Run = field(default_factory=lambda: Run(""))
    damage: UsageMistake | None = None

    @property
    def commit(self) -> Commit | None:
        """The commit; None where the tree had changes, for that is no state of the commit."""
        return None if self.head.commit is None or self.head.commit.dirty else self.head.commit

    def read(self) -> Run:
        """Return all of the run. UsageMistake for a damaged file."""
        if self.damage is not None:
            raise self.damage
        return self.saved.read()

    @property
    def described(self) -> str:
        """The run in words."""
        commit = self.head.commit
        parts = [f"commit {commit.id[:12]}{' with changes' if commit.dirty else ''}"] if commit else []
        parts += [f"of {commit.branch}"] if commit and commit.branch else []
        parts += [f"saved as {self.head.name}"] if self.head.name else []
        return f"run {self.saved.number:04}, {' '.join([*parts, self.head.created[:16].replace('T', ' ')])}"


def find(reference: str, store: Store, project: Path) -> Baseline:
    """Return the first that exists of what the reference may name; no runs where nothing does.

    UsageMistake where the run that would count cannot be read.

    Args:
        project: a folder of the repository, which knows tags and other names of commits.
    """
    return of_file(reference) if os.path.isfile(reference) else find_saved(reference, store, project)


def of_file(path: str) -> Baseline:
    """Return the run in a file. UsageMistake where it cannot be read."""
    return Baseline([read(path)], f"the file {path}")


def find_saved(reference: str, store: Store, project: Path) -> Baseline:
    """Return the same of the store alone, whatever files there are."""
    candidates = list(_candidates(store))
    remarks = [str(candidate.damage) for candidate in candidates if candidate.damage]
    for is_meant in _meanings(reference, project):
        meant = [candidate for candidate in candidates if is_meant(candidate)]
        if meant and reference == LATEST:  # those of other branches are no band of its
            meant = [candidate for candidate in meant if candidate.head.branch == meant[0].head.branch]
        runs: list[Run] = []
        for candidate in meant[:NOISY_BAND]:
            try:
                runs.append(candidate.read())
            except UsageMistake as mistake:
                if not runs:
                    raise
                if str(mistake) not in remarks:
                    remarks.append(str(mistake))
        if runs:
            return Baseline(runs, meant[0].described, remarks)
    return Baseline([], "", remarks)


def names(store: Store) -> set[str]:
    """Return the words that name a run of the store: names and branches."""
    heads = [candidate.head for candidate in _candidates(store)]
    return {LATEST, *(name for head in heads for name in (head.name, head.branch) if name)}


def none_kept(reference: str) -> str:
    """Return the beginning of what is told where there is no baseline yet."""
    return f"no run is kept yet that {reference!r} names"


def _candidates(store: Store) -> Iterator[_Candidate]:
    """Yield the runs of the store, the newest first."""
    for saved in reversed(store.runs()):
        try:
            yield _Candidate(saved, saved.head)
        except UsageMistake as mistake:
            yield _Candidate(saved, damage=mistake)


def _meanings(reference: str, project: Path) -> Iterator[Callable[[_Candidate], bool]]:
    """Yield what the reference may mean, the likeliest first."""
    if reference == LATEST:
        yield lambda candidate: candidate.damage is None
    if reference.isdecimal():
        digits = reference.lstrip("0")
        yield lambda candidate: str(candidate.saved.number) == digits
    yield lambda candidate: candidate.head.name == reference
    yield lambda candidate: candidate.commit is not None and candidate.commit.branch == reference
    if re.fullmatch(r"[0-9a-f]{4,64}", reference):
        yield lambda candidate: candidate.commit is not None and candidate.commit.id.startswith(reference)
    yield lambda candidate: fnmatch(candidate.saved.name, reference)
    commit = commit_named(reference, project)
    if commit is not None:
        yield lambda candidate: candidate.commit is not None and candidate.commit.id == commit
