"""Runs from one store to another, as they are."""

from __future__ import annotations

import contextlib
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pytest_memperf.baseline.store import Store, StoredRun
from pytest_memperf.model.errors import UsageMistake
from pytest_memperf.model.run import Run


@dataclass(frozen=True, slots=True)
class Copied:
    """What became of a run."""

    source: str
    """Where it is, for a reader."""
    target: str | None = None
    """Where the copy is; None where there is none."""
    new: bool = False
    """Whether it was made now, and not there before."""
    damage: str = ""
    """Why the run cannot be read."""


def copy(source: Store, target: Store) -> Iterator[Copied]:
    """Save each run of a store in another one, the oldest first, and yield what became of it.

    The copies get the numbers after the target's last one. A run that is there already is left out, so a copy that was
    broken off can be made again. UsageMistake where the target cannot be read or written.
    """
    there: dict[str, list[StoredRun]] = defaultdict(list)
    for run in target.runs():
        with contextlib.suppress(UsageMistake):
            there[_text(run.head.head)].append(run)
    for run in source.runs():
        try:
            key, document = _text(run.head.head), run.document()
        except UsageMistake as mistake:
            yield Copied(run.described, damage=str(mistake))
            continue
        twin = next((each for each in there[key] if _is_of(each, document)), None)
        if twin is None:
            yield Copied(run.described, _save(document, target), new=True)
        else:
            there[key].remove(twin)  # one that was saved twice is there twice
            yield Copied(run.described, twin.described)


def _text(data: Mapping[str, Any]) -> str:
    return json.dumps(data, sort_keys=True)


def _is_of(run: StoredRun, document: Mapping[str, Any]) -> bool:
    try:
        return _text(run.document()) == _text(document)
    except UsageMistake:
        return False


def _save(document: Mapping[str, Any], target: Store) -> str:
    """Return where the copy is."""
    place = list(document).index("results")
    run = Run.from_json(document)
    # What tells runs apart stands before the results, wherever it stood.
    head = {**{name: value for name, value in list(document.items())[:place] if name != "format"}, **run.head}
    saved = target.save(run, head)
    try:
        for result in document["results"]:
            saved.add(result)
        saved.finish({name: value for name, value in list(document.items())[place + 1 :] if name not in head})
    except OSError as error:
        raise saved.cannot_be_written(error) from error
    finally:
        saved.abandon()
    return saved.path
