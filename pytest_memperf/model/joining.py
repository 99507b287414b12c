"""Results of one test from several memory layouts, joined to one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from pytest_memperf.model.budget import Check
from pytest_memperf.model.metric import Measured, Reading
from pytest_memperf.model.result import Result


def join_results(runs: Sequence[Sequence[Result]]) -> list[Result]:
    """Return the first run's results with the samples of all runs, one for each layout, judged anew.

    A window that not every run came to keeps the first run's samples, and says so in its notes. A metric that not
    every run has is unavailable, and its budget unchecked.
    """
    by_window = [{result.window: result for result in run} for run in runs]
    joined = []
    for first in runs[0]:
        same = [run[first.window] for run in by_window if first.window in run]
        notes = list(dict.fromkeys(note for result in same for note in result.notes))
        if len(same) < len(runs):
            notes.append(f"samples of one layout: {len(runs) - len(same)} others did not come to this window")
            joined.append(replace(first, notes=notes))
            continue
        lacking = {name: [result for result in same if name not in result.metrics] for name in first.metrics}
        metrics = {name: _join([result.metrics[name] for result in same]) for name, lack in lacking.items() if not lack}
        reasons = {name: _reason(name, lack, len(runs)) for name, lack in lacking.items() if lack}
        joined.append(
            replace(
                first,
                layouts=len(runs),
                metrics=metrics,
                unavailable={**first.unavailable, **reasons},
                notes=notes,
                checks=_judge_again(first.checks, metrics, reasons),
            )
        )
    return joined


def _join(measured: Sequence[Measured]) -> Measured:
    readings = [Reading(sample, each.uncertainty) for each in measured for sample in each.samples]
    return Measured.from_readings(measured[0].metric, readings)


def _reason(name: str, lack: Sequence[Result], layouts: int) -> str:
    """Return why a metric cannot be had that some of the layouts lack."""
    why = next((result.unavailable[name] for result in lack if name in result.unavailable), "not measured")
    return f"in {len(lack)} of {layouts} memory layouts: {why}"


def _judge_again(checks: Sequence[Check], metrics: Mapping[str, Measured], reasons: Mapping[str, str]) -> list[Check]:
    names = [check.budget.metric.name for check in checks]
    return [
        check if check.measured is None else check.budget.check(metrics.get(name), reasons.get(name, ""))
        for name, check in zip(names, checks, strict=True)
    ]
