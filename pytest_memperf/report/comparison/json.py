"""A comparison as JSON, for programs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any, TextIO

from pytest_memperf.model.comparison import Change, Comparison, Side
from pytest_memperf.model.outcome import Outcome
from pytest_memperf.model.result import Key, metric_from_json

FORMAT = "pytest-memperf-comparison/1"


def write(file: TextIO, outcomes: list[Outcome]) -> None:
    """Write all of it as one object."""
    json.dump({"format": FORMAT, "comparisons": [as_json(outcome) for outcome in outcomes]}, file, indent=1)
    file.write("\n")


def as_json(outcome: Outcome) -> dict[str, Any]:
    """Return an outcome as plain data."""
    return {
        **({"host": outcome.host} if outcome.host else {}),
        "base": outcome.base,
        "head": outcome.head,
        "counts": {change.value: outcome.counts[change] for change in Change if outcome.counts[change]},
        "regressions": len(outcome.failing),
        **({"interrupted": True} if outcome.interrupted else {}),
        **({"notes": outcome.notes} if outcome.notes else {}),
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
        **({"trust": metric.trust.value, "better": metric.better.value} if metric else {}),
        "verdict": comparison.change.value,
        "fails": comparison.failing,
        "reason": comparison.reason,
        **({"detail": comparison.detail} if comparison.detail else {}),
        "base": _side(comparison.base),
        "head": _side(comparison.head),
        "difference": comparison.difference,
        "ratio": comparison.ratio,
        "interval": list(interval) if interval else None,
        "smallest_change": comparison.smallest,
    }


def from_json(data: Mapping[str, Any]) -> Outcome:
    """Return the outcome that ``as_json`` wrote; its metrics are rows of their own."""
    outcome = Outcome(
        data["base"],
        data["head"],
        counts=Counter({Change(name): count for name, count in data["counts"].items()}),
        explanations={test: list(lines) for test, lines in data.get("explanations", {}).items()},
        failed=dict(data.get("failed", {})),
        interrupted=data.get("interrupted", False),
        notes=list(data.get("notes", ())),
        host=data.get("host", ""),
    )
    for row in data["metrics"]:
        name = row["metric"]
        metric = None if name is None else metric_from_json(name, row)
        outcome.metrics |= set() if name is None else {name}
        outcome.comparisons.append(
            Comparison(
                Key(row["test"], row["window"], row["allocator"], row["isolation"]), metric, Change(row["verdict"]),
                row["reason"], _side_from(row["base"]), _side_from(row["head"]), row["smallest_change"], row["fails"],
                row.get("detail", ""),
            )
        )  # fmt: skip
    return outcome


def _side_from(data: Mapping[str, Any] | None) -> Side | None:
    return None if data is None else Side(data["value"], data["low"], data["high"])


def _side(side: Side | None) -> dict[str, Any] | None:
    return None if side is None else {"value": side.value, "low": side.low, "high": side.high}
