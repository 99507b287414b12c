"""``memperf ab --tx``: what goes to other machines, and what is said of those that come to no verdict."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pytest_memperf.baseline.ab.gate import Gate
from pytest_memperf.baseline.ab.parcel import pack
from pytest_memperf.baseline.ab.repository import Repository
from pytest_memperf.baseline.ab.task import Task, Tell
from pytest_memperf.baseline.ab.workplace import workplace
from pytest_memperf.cli.command import INTERRUPTED, MISTAKE
from pytest_memperf.cli.sides import tell as remark
from pytest_memperf.model.errors import UsageMistake
from pytest_memperf.report.table import printable


def on_hosts(specifications: Sequence[str], task: Task, tell: Tell) -> tuple[list[Gate], list[int]]:
    """Run the gate on these machines; return also an exit code for each that has no verdicts, and has said why."""
    try:
        from pytest_memperf.baseline.ab.hosts import named, run_on
    except ImportError as error:
        raise UsageMistake(f"--tx needs execnet ({error}): pip install pytest-memperf[remote]") from None
    hosts = named(specifications)
    if task.sides:
        raise UsageMistake("--side names what is on this machine: with --tx name two commits, or --requirement twice")
    if task.python and os.sep in task.python:
        raise UsageMistake(f"--python={task.python} is a path of this machine: with --tx name a version, such as 3.12")
    here = Path.cwd()
    try:
        repository = Repository(here)
    except UsageMistake:
        raise UsageMistake(f"{here} is in no repository: with --tx the tests go along as git knows them") from None
    folder = ""
    states = task.states or (repository.working_tree(),)
    if task.requirements:
        folder = str(here.resolve().relative_to(repository.top))
        task = replace(task, requirements=[_sent(each, repository) for each in task.requirements])
    task = replace(task, keep_same=True, called=str(here) if folder else repository.called)
    with workplace() as place:
        parcel = pack(repository, states, place / "parcel", with_files=bool(task.requirements))
        endings = run_on(hosts, parcel, folder, task, tell)
    tell("")
    codes = []
    for ending in endings:
        if ending.mistake is not None:
            why, *details = ending.mistake.splitlines()  # such as the last lines of a build
            remark(f"{ending.host}: {why}")
            for line in details:
                print(printable(line), file=sys.stderr)
        if ending.gate is None:
            codes.append(INTERRUPTED if ending.mistake is None else MISTAKE)
    return [ending.gate for ending in endings if ending.gate is not None], codes


def _sent(requirement: str, repository: Repository) -> str:
    """Return a requirement as it is on another machine: a file of them by its path from here."""
    if not os.path.isfile(requirement):
        return requirement
    if not repository.has(Path(requirement)):
        raise UsageMistake(f"--requirement={requirement}: git knows no such file: with --tx have it in the repository")
    return os.path.relpath(os.path.realpath(requirement), os.path.realpath("."))
