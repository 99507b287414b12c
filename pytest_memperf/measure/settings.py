"""The settings of a window: what a marker, ``memperf.window`` and ``memperf.measure`` take, checked and parsed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pytest_memperf.metrics import Registry
from pytest_memperf.model.budget import Bound, Budget
from pytest_memperf.model.errors import UsageMistake, nearest
from pytest_memperf.model.units import parse_size

GC_MODES = ("as-is", "collect", "off")
ISOLATIONS = ("inline", "process")


@dataclass(frozen=True, slots=True)
class Settings:
    """What is measured in a window, how often, and against which budgets."""

    budgets: tuple[Budget, ...] = ()
    metrics: tuple[str, ...] = ()
    """Metrics asked for beyond those that are always taken."""
    bytes: int | None = None
    rounds: int = 1
    warmup: int = 0
    setup: Callable[[], Any] | None = None
    gc: str | None = None
    """None: as-is inline, collect in a child."""
    include_children: bool = False
    soft: bool = False
    isolation: str | None = None
    timeout: float | None = None
    """Seconds that a child may take; None: the option's."""
    requested: tuple[str, ...] = ()
    """The metrics that a budget or ``metrics=`` asks for."""


def _whole(name: str, value: Any, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise UsageMistake(f"{name}={value!r}: give a whole number from {least} up")
    return value


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise UsageMistake(f"{name}={value!r}: give True or False")
    return value


def _choice(name: str, value: Any, choices: tuple[str, ...]) -> str:
    if value not in choices:
        raise UsageMistake(f"{name}={value!r}: choose from {', '.join(map(repr, choices))}")
    return str(value)


def _names(name: str, value: Any, registry: Registry) -> tuple[str, ...]:
    if isinstance(value, str) or not hasattr(value, "__iter__"):
        raise UsageMistake(f"{name}={value!r}: give a list of metrics, such as {name}=['working_set']")
    return tuple(registry[item].name for item in value)


def _setup(value: Any) -> Callable[[], Any]:
    if not callable(value):
        raise UsageMistake(f"setup={value!r}: give a function that takes no arguments")
    return value  # type: ignore[no-any-return]


def _seconds(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
        raise UsageMistake(f"timeout={value!r}: give a number of seconds above 0")
    return float(value)


def _bytes(value: Any) -> int:
    try:
        size = parse_size(value)
    except UsageMistake as mistake:
        raise UsageMistake(f"bytes: {mistake}") from None
    if size <= 0:
        raise UsageMistake(f"bytes={value!r}: give the bytes that one call moves, above 0")
    return size


# One row for each keyword that is no budget.
_KEYWORDS: dict[str, Callable[[Any, Registry], Any]] = {
    "metrics": lambda value, registry: _names("metrics", value, registry),
    "bytes": lambda value, _: _bytes(value),
    "rounds": lambda value, _: _whole("rounds", value, 1),
    "warmup": lambda value, _: _whole("warmup", value, 0),
    "setup": lambda value, _: _setup(value),
    "gc": lambda value, _: _choice("gc", value, GC_MODES),
    "include_children": lambda value, _: _flag("include_children", value),
    "soft": lambda value, _: _flag("soft", value),
    "isolation": lambda value, _: _choice("isolation", value, ISOLATIONS),
    "timeout": lambda value, _: _seconds(value),
}


def parse_settings(keywords: Mapping[str, Any], registry: Registry) -> Settings:
    """Check and parse the keywords; None lifts one. UsageMistake with the nearest valid name for an unknown one."""
    soft = keywords.get("soft") is True
    budgets: list[Budget] = []
    values: dict[str, Any] = {}
    for name, value in keywords.items():
        bound, _, metric = name.partition("_")
        if name in _KEYWORDS:
            if value is not None:
                values[name] = _KEYWORDS[name](value, registry)
        elif bound in ("max", "min") and metric in registry:
            if value is not None:
                budgets.append(Budget.parse(registry[metric], Bound(bound), value, soft))
        else:
            valid = [*_KEYWORDS, *(f"{side}_{row.name}" for side in ("max", "min") for row in registry)]
            what = f"there is no metric {metric!r}" if bound in ("max", "min") and metric else "no such argument"
            raise UsageMistake(f"{name}: {what}{nearest(name, valid)}")
    for budget in budgets:
        if budget.metric.needs_bytes and "bytes" not in values:
            raise UsageMistake(f"{budget.keyword} needs bytes=..., the bytes that one call moves")
    requested = (*values.get("metrics", ()), *(budget.metric.name for budget in budgets))
    return Settings(budgets=tuple(budgets), requested=requested, **values)
