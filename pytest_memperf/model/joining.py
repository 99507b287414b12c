"""Results of one test from several memory layouts, joined to one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pytest_memperf.model.budget import Check
from pytest_memperf.model.metric import Measured, Reading
from pytest_memperf.model.result import Result


def join_results(runs: Sequence[Sequence[Result]]) -> list[Result]:
    """Return the first run's results with the samples of all runs, one for each layout, judged anew.

    A window that not every run came to keeps the first run's samples, and says so in its notes.
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
        metrics = {
            name: _join([result.metrics[name] for result in same])
            if all(name in result.metrics for result in same)
            else measured
            for name, measured in first.metrics.items()
        }
        checks = _judge_again(first.checks, metrics)
        joined.append(replace(first, layouts=len(runs), metrics=metrics, notes=notes, checks=checks))
    return joined


def _join(measured: Sequence[Measured]) -> Measured:
    readings = [Reading(sample, each.uncertainty) for each in measured for sample in each.samples]
    return Measured.from_readings(measured[0].metric, readings)


def _judge_again(checks: Sequence[Check], metrics: dict[str, Measured]) -> list[Check]:
    return [
        check.budget.check(metrics[check.budget.metric.name]) if check.measured is not None else check
        for check in checks
    ]
