"""A folder of results as a side of a comparison, such as the artefacts of a CI matrix: one baseline an environment."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pytest_memperf.baseline.compatibility import DECIDES_COUNTS, DECIDES_TIMES, differences
from pytest_memperf.baseline.reference import Baseline
from pytest_memperf.model.environment import Environment
from pytest_memperf.model.errors import UsageMistake
from pytest_memperf.model.result import Key, Result
from pytest_memperf.model.run import Run
from pytest_memperf.report.json_reader import read
from pytest_memperf.report.result_lines import by_key


def is_folder(reference: str) -> bool:
    """Tell whether this is a folder with files that may hold results."""
    return Path(reference).is_dir() and any(Path(reference).rglob("*.json"))


def read_folder(reference: str) -> list[Baseline]:
    """Return what lies in a folder and those below, joined by environment. UsageMistake where no file has results.

    What cannot be read is a remark of the first.
    """
    found: dict[tuple[Any, ...], list[tuple[str, Run]]] = {}
    remarks = []
    for path in sorted(Path(reference).rglob("*.json")):
        try:
            run = read(str(path))
        except UsageMistake as mistake:
            remarks.append(f"left out: {mistake}")
        else:
            same = found.setdefault(tuple(_values(run.environment, DECIDES_COUNTS)), [])
            if len(same) == 1:  # joined they become objects, and need not keep their files open until then
                same[0] = _in_memory(*same[0])
            same.append(_in_memory(str(path), run) if same else (str(path), run))
    if not found:
        raise UsageMistake(f"{reference}: no file in this folder has results: name one with files of --memperf-json")
    baselines = [_baseline(reference, runs) for runs in found.values()]
    return [replace(baselines[0], remarks=remarks), *baselines[1:]]


def _in_memory(path: str, run: Run) -> tuple[str, Run]:
    return path, replace(run, results=list(run.results))


def _values(environment: Environment, names: Sequence[str]) -> Iterator[Any]:
    for name in names:
        value = getattr(environment, name)
        yield tuple(sorted(value.items())) if isinstance(value, Mapping) else value


def _baseline(folder: str, found: list[tuple[str, Run]]) -> Baseline:
    """Return runs of one environment: the newest result of each test first, then the one before it, and so on.

    So the jobs that share the tests of a suite make one run, and repeated runs make a band.
    """
    found = sorted(found, key=lambda each: each[1].created, reverse=True)
    (path, newest), more = found[0], len(found) - 1
    if not more:
        return Baseline([newest], path)  # its results may stay in the file
    environment = newest.environment
    if len({tuple(_values(run.environment, DECIDES_TIMES)) for _, run in found}) > 1:
        environment = replace(environment, machine=f"several in {folder}")  # no time of theirs can be compared
    layers: list[list[Result]] = [[]]
    depths: Counter[Key] = Counter()
    for _, run in found:
        for key, result in by_key(run.results).items():
            if depths[key] == len(layers):
                layers.append([])
            layers[depths[key]].append(result)
            depths[key] += 1
    runs = [replace(newest, environment=environment, results=layer) for layer in layers]
    return Baseline(runs, f"{path} and {more:,} more")


def pairs(
    bases: Sequence[Baseline], heads: Sequence[Baseline]
) -> tuple[list[tuple[Baseline, Baseline]], list[Baseline]]:
    """Return the baselines whose counts compare, and those without a partner. One on each side is a pair anyway."""
    if len(bases) == len(heads) == 1:
        return [(bases[0], heads[0])], []
    found, left = [], list(bases)
    alone = []
    for head in heads:
        environment = head.runs[0].environment
        base = next((each for each in left if not differences(each.runs[0].environment, environment).counts), None)
        if base is None:
            alone.append(head)
        else:
            left.remove(base)
            found.append((base, head))
    return found, [*left, *alone]
