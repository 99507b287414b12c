"""A comparison as JSON, for programs."""

from __future__ import annotations

import json
from typing import Any, TextIO

from pytest_memperf.model.comparison import Change, Comparison, Side
from pytest_memperf.model.outcome import Outcome

FORMAT = "pytest-memperf-comparison/1"


def write(file: TextIO, outcomes: list[Outcome]) -> None:
    """Write all of it as one object."""
    json.dump({"format": FORMAT, "comparisons": [_outcome(outcome) for outcome in outcomes]}, file, indent=1)
    file.write("\n")


def _outcome(outcome: Outcome) -> dict[str, Any]:
    return {
        "base": outcome.base,
        "head": outcome.head,
        "counts": {change.value: outcome.counts[change] for change in Change if outcome.counts[change]},
        "regressions": len(outcome.failing),
        **({"failed": outcome.failed} if outcome.failed else {}),
        **({"explanations": outcome.explanations} if outcome.explanations else {}),
        "metrics": [_comparison(comparison) for comparison in outcome.comparisons],
    }


def _comparison(comparison: Comparison) -> dict[str, Any]:
    metric, interval = comparison.metric, comparison.interval
    return {
        **comparison.key._asdict(),
        "metric": metric.name if metric else None,
        "unit": metric.unit.name if metric else None,
        "verdict": comparison.change.value,
        "fails": comparison.failing,
        "reason": comparison.reason,
        "base": _side(comparison.base),
        "head": _side(comparison.head),
        "difference": comparison.difference,
        "ratio": comparison.ratio,
        "interval": list(interval) if interval else None,
        "smallest_change": comparison.smallest,
    }


def _side(side: Side | None) -> dict[str, Any] | None:
    return None if side is None else {"value": side.value, "low": side.low, "high": side.high}
