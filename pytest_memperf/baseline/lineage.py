"""Which of the saved runs make the history of a branch, and in which order.

A series has to follow commits: a run of another branch between two of this one would be a step there and a step back,
and runs that were made afterwards, by bisection for example, belong where their commits are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_memperf.environment.commit import line_of_commits
from pytest_memperf.model.errors import UsageMistake, nearest
from pytest_memperf.model.run import Run
from pytest_memperf.report.plural import counted

HEAD = "HEAD"


@dataclass(frozen=True, slots=True)
class Lineage:
    """Runs in their order, and what their reader has to know of that."""

    numbers: Sequence[int]
    remark: str = ""


def lineage(runs: Mapping[int, Run], branch: str | None, project: Path) -> Lineage:
    """Return the runs of a branch in the order of its commits, and of one commit in the order in which they were saved.

    Where git does not know the branch, or has no more than a part of it, these are the runs that were saved on it, in
    that order. UsageMistake for a branch of which there is no run.

    Args:
        runs: what the first lines of their files say, by number.
        branch: or any other name of a commit; None for what is checked out, and for all runs where git knows none
            of their commits.
        project: a folder of the repository.
    """
    commits = line_of_commits(branch or HEAD, project) or []
    places = {commit: place for place, commit in enumerate(commits)}
    numbers = [number for number, run in runs.items() if run.commit and run.commit.id in places]
    if numbers:
        numbers.sort(key=lambda number: (places[_commit(runs[number])], number))
    elif branch is not None:
        numbers = [number for number, run in runs.items() if run.branch == branch]
        if not numbers:
            branches = _branches(runs.values())
            raise UsageMistake(f"--branch={branch}: no run is of that{nearest(branch, branches)}")
    else:
        branches = _branches(runs.values())
        several = f"in the order in which they were saved, of {', '.join(branches)}: --branch NAME shows one"
        return Lineage(list(runs), several if len(branches) > 1 else "")
    chosen = set(numbers)
    others = [run for number, run in runs.items() if number not in chosen]
    return Lineage(numbers, _left_out(others, branch or HEAD) if others else "")


def _left_out(others: Sequence[Run], branch: str) -> str:
    branches = _branches(others)
    of = f" ({', '.join(branches)})" if branches else ""
    return f"{counted(len(others), 'run')} not of {branch}{of} left out: --branch NAME shows another branch"


def _commit(run: Run) -> str:
    return run.commit.id if run.commit else ""


def _branches(runs: Iterable[Run]) -> list[str]:
    """Return the names of the branches that runs were saved on, in the order of the runs."""
    return [name for name in dict.fromkeys(run.branch for run in runs) if name]
