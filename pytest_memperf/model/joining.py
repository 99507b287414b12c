"""Results of one test from several runs, joined to one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pytest_memperf.model.budget import Check
from pytest_memperf.model.metric import Measured
from pytest_memperf.model.result import Result


def join_samples(measured: Sequence[Measured]) -> Measured:
    """Return all samples as one metric; half their spread is its uncertainty, where no single one's is larger."""
    samples = tuple(sample for each in measured for sample in each.samples)
    spread = (max(samples) - min(samples)) / 2
    whole = int(spread) if spread == int(spread) else spread
    return Measured(measured[0].metric, samples, max(whole, *(each.uncertainty for each in measured)))


def join_results(runs: Sequence[Sequence[Result]]) -> list[Result]:
    """Return the first run's results with the samples of all runs, judged anew.

    A window that not every run came to keeps the first run's samples, and says so in its notes.
    """
    by_window = [{result.window: result for result in run} for run in runs]
    joined = []
    for first in runs[0]:
        others = [run[first.window] for run in by_window[1:] if first.window in run]
        notes = list(dict.fromkeys(note for result in (first, *others) for note in result.notes))
        metrics = dict(first.metrics)
        if len(others) == len(runs) - 1:
            for name in first.metrics:
                if all(name in other.metrics for other in others):
                    metrics[name] = join_samples([first.metrics[name], *(other.metrics[name] for other in others)])
        else:
            notes.append(f"samples of one layout: {len(runs) - 1 - len(others)} others did not come to this window")
        joined.append(replace(first, metrics=metrics, notes=notes, checks=_judge_again(first.checks, metrics)))
    return joined


def _judge_again(checks: Sequence[Check], metrics: dict[str, Measured]) -> list[Check]:
    return [
        check.budget.check(metrics[check.budget.metric.name]) if check.measured is not None else check
        for check in checks
    ]
