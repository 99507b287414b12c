"""What one window of one test came to; the same form in memory, between processes, in JSON and in the store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from math import isfinite
from typing import Any, NamedTuple, TypeVar

from pytest_memperf.model.budget import Bound, Budget, Check, Status
from pytest_memperf.model.errors import shown
from pytest_memperf.model.metric import Better, Cost, Measured, Metric, Trust
from pytest_memperf.model.units import Number, unit_named

FORMAT = "pytest-memperf/1"
UNNAMED = ("call", "memperf")
"""The windows of the test function and of the measured call; tests name the others."""
PERTURBED = "perturbed: "
"""What the note begins with of a result that a tracing tool changed: it is neither saved nor compared."""
V = TypeVar("V")


class Deferred(Mapping[str, V]):
    """A mapping that is made when somebody first looks into it: of most results nobody sees more than the verdict."""

    __slots__ = ("_made", "_make")

    def __init__(self, make: Callable[[], Mapping[str, V]]) -> None:
        self._make: Callable[[], Mapping[str, V]] | None = make
        self._made: Mapping[str, V] = {}

    def _mapping(self) -> Mapping[str, V]:
        if self._make is not None:
            self._made, self._make = self._make(), None
        return self._made

    def __getitem__(self, key: str) -> V:
        return self._mapping()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._mapping())

    def __len__(self) -> int:
        return len(self._mapping())


class Key(NamedTuple):
    """What tells the results of a run apart."""

    test: str
    window: str
    allocator: str
    isolation: str

    @property
    def place(self) -> str:
        """The test and, where the test gave it a name, the window."""
        return self.test if self.window in UNNAMED else f"{self.test}, window {self.window!r}"


def names_of(keys: Collection[Key]) -> dict[Key, str]:
    """Return a name for each: its place, and what tells it from others of the same place."""
    places = Counter(key.place for key in keys)
    return {
        key: f"{key.place}, {key.allocator}, {key.isolation}" if places[key.place] > 1 else key.place for key in keys
    }


@dataclass(slots=True)
class Result:
    """The metrics and checks of one window."""

    test: str
    window: str
    isolation: str = "inline"
    allocator: str = "unknown"
    rounds: int = 1
    """In each layout."""
    layouts: int = 1
    """Memory layouts that the samples are of."""
    metrics: Mapping[str, Measured] = field(default_factory=dict)
    unavailable: Mapping[str, str] = field(default_factory=dict)
    checks: list[Check] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What spoilt or coloured the samples, in words: interference, a perturbing tool, a mode that was not had."""
    requested: tuple[str, ...] = ()
    """The metrics that ``metrics=`` asked for."""

    @property
    def failed(self) -> list[Check]:
        """The checks that failed."""
        return [check for check in self.checks if check.status is Status.FAILED]

    @property
    def key(self) -> Key:
        """What no other result of the run has."""
        return Key(self.test, self.window, self.allocator, self.isolation)

    @property
    def place(self) -> str:
        """The test and, where the test gave it a name, the window."""
        return self.key.place

    @property
    def perturbed(self) -> str | None:
        """The note that says so, where a debugger, coverage or their like changed the values."""
        return next((note for note in self.notes if note.startswith(PERTURBED)), None)

    def sentence(self, check: Check) -> str:
        """Return the verdict of one of the checks in one line, with the window where the test gave it a name."""
        return check.sentence if self.window in UNNAMED else f"{self.window!r}: {check.sentence}"

    def as_json(self) -> dict[str, Any]:
        """Return the result as plain JSON data (see the published schema)."""
        return {
            "test": self.test,
            "window": self.window,
            "isolation": self.isolation,
            "allocator": self.allocator,
            "rounds": self.rounds,
            **({"layouts": self.layouts} if self.layouts > 1 else {}),
            "metrics": {
                name: {
                    "value": measured.value,
                    "unit": measured.metric.unit.name,
                    "trust": measured.metric.trust.value,
                    "better": measured.metric.better.value,
                    "uncertainty": measured.uncertainty,
                    **({"floor": measured.metric.floor} if measured.metric.floor else {}),
                    **({"level": True} if measured.metric.level else {}),
                    "samples": list(measured.samples),
                }
                for name, measured in self.metrics.items()
            },
            "unavailable": dict(self.unavailable),
            "checks": [
                {
                    "metric": check.budget.metric.name,
                    "bound": check.budget.bound.value,
                    "limit": check.budget.limit,
                    "status": check.status.value,
                    "unit": check.budget.metric.unit.name,
                    **({"soft": True} if check.budget.soft else {}),
                    **({"reason": check.reason} if check.reason else {}),
                }
                for check in self.checks
            ],
            **({"notes": list(self.notes)} if self.notes else {}),
            **({"requested": list(self.requested)} if self.requested else {}),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Result:
        """Return the result that ``as_json`` wrote; its metrics are rows of their own, for third parties' are not
        registered where it is read."""
        metrics = metrics_from_json(data["metrics"])
        checks = []
        for row in data["checks"]:
            measured = metrics.get(row["metric"])
            metric = measured.metric if measured else _metric(row["metric"], row["unit"], "neither", "noisy", 0, False)
            checks.append(
                Check(
                    Budget(metric, Bound(row["bound"]), row["limit"], row.get("soft", False)),
                    Status(row["status"]),
                    None if row["status"] == Status.UNCHECKED else measured,
                    row.get("reason", ""),
                )
            )
        return cls(
            data["test"],
            data["window"],
            data["isolation"],
            data["allocator"],
            data["rounds"],
            data.get("layouts", 1),
            metrics,
            dict(data["unavailable"]),
            checks,
            list(data.get("notes", ())),
            tuple(data.get("requested", ())),
        )


def metrics_from_json(data: Mapping[str, Any]) -> dict[str, Measured]:
    """Return the metrics of a result as ``as_json`` wrote them, by name."""
    return {
        name: Measured(metric_from_json(name, row), _samples(row), _number(row["uncertainty"]))
        for name, row in data.items()
    }


def _samples(row: Mapping[str, Any]) -> tuple[Number, ...]:
    samples = tuple(map(_number, row["samples"]))
    if not samples:
        raise ValueError("a metric without samples")
    return samples


def _number(value: Any) -> Number:
    if type(value) is int or (type(value) is float and isfinite(value)):
        return value
    raise ValueError(f"{shown(value)} is no number")


def metric_from_json(name: str, row: Mapping[str, Any]) -> Metric:
    """Return the row of a metric, of what is written of it beside its values."""
    return _metric(name, row["unit"], row["better"], row["trust"], row.get("floor", 0), row.get("level", False))


@lru_cache(maxsize=1000)
def _metric(name: str, unit: str, better: str, trust: str, floor: Number, level: bool) -> Metric:
    """Return a row of its own; most results have the same ones."""
    return Metric(
        name, unit_named(unit), Better(better), Trust(trust), Cost.ON_REQUEST, "", "", floor=floor, level=level
    )
