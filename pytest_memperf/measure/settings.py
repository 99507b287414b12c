"""The settings of a window: what a marker, ``memperf.window`` and ``memperf.measure`` take, checked and parsed."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pytest_memperf.metrics import Registry
from pytest_memperf.model.budget import Bound, Budget
from pytest_memperf.model.errors import UsageMistake, nearest, shown
from pytest_memperf.model.metric import Better
from pytest_memperf.model.units import parse_size
from pytest_memperf.model.values import ISOLATIONS, choice, duration, switch, whole

GC_MODES = ("as-is", "collect", "off")
SIDES = tuple(bound.value for bound in Bound)


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

    @property
    def repeats(self) -> bool:
        """Whether a call is to be repeated or prepared: the call phase cannot be."""
        return self.rounds > 1 or self.warmup > 0 or self.setup is not None


def _names(value: Any, registry: Registry) -> tuple[str, ...]:
    if isinstance(value, str) or not hasattr(value, "__iter__") or not all(isinstance(name, str) for name in value):
        raise UsageMistake("give a list of metrics, such as ['working_set']")
    return tuple(registry[name].name for name in value)


def _function(value: Any) -> Callable[[], Any]:
    if not callable(value):
        raise UsageMistake("give a function that takes no arguments")
    if inspect.iscoroutinefunction(value):
        raise UsageMistake("give a function that is not async: nothing awaits it")
    return value  # type: ignore[no-any-return]


def _bytes(value: Any) -> int:
    size = parse_size(value)
    if size <= 0:
        raise UsageMistake("give the bytes that one call moves, above 0")
    return size


# One row for each keyword that is no budget.
_KEYWORDS: dict[str, Callable[[Any, Registry], Any]] = {
    "metrics": _names,
    "bytes": lambda value, _: _bytes(value),
    "rounds": lambda value, _: whole(value, 1),
    "warmup": lambda value, _: whole(value, 0),
    "setup": lambda value, _: _function(value),
    "gc": lambda value, _: choice(value, GC_MODES),
    "include_children": lambda value, _: switch(value),
    "soft": lambda value, _: switch(value),
    "isolation": lambda value, _: choice(value, ISOLATIONS),
    "timeout": lambda value, _: duration(value),
}


def is_setting(name: str, registry: Registry) -> bool:
    """Tell whether a window has a keyword of this name."""
    side, _, metric = name.partition("_")
    return name in _KEYWORDS or (side in SIDES and metric in registry)


def parse_settings(keywords: Mapping[str, Any], registry: Registry) -> Settings:
    """Check and parse the keywords; None lifts one. UsageMistake with the nearest valid name for an unknown one."""
    soft = keywords.get("soft") is True
    budgets: list[Budget] = []
    values: dict[str, Any] = {}
    for name, value in keywords.items():
        if not is_setting(name, registry):
            raise _unknown(name, registry)
        if value is None:
            continue
        if name in _KEYWORDS:
            try:
                values[name] = _KEYWORDS[name](value, registry)
            except UsageMistake as mistake:
                raise UsageMistake(f"{name}={shown(value)}: {mistake}") from None
        else:
            side, _, metric = name.partition("_")
            budgets.append(Budget.parse(registry[metric], Bound(side), value, soft))
    for budget in budgets:
        if budget.metric.needs_bytes and "bytes" not in values:
            raise UsageMistake(f"{budget.keyword} needs bytes=..., the bytes that one call moves")
    requested = (*values.get("metrics", ()), *(budget.metric.name for budget in budgets))
    return Settings(budgets=tuple(budgets), requested=requested, **values)


def _unknown(name: str, registry: Registry) -> UsageMistake:
    """Return the mistake of a keyword that there is not: with the nearest one, of the side that it names if it does."""
    side, _, metric = name.partition("_")
    names_a_side = side in SIDES

    def as_keyword(near: str) -> str:
        if near in _KEYWORDS:
            return near
        usual = Bound.MIN if registry[near].better is Better.HIGHER else Bound.MAX
        return f"{side if names_a_side else usual.value}_{near}"

    near = nearest(metric if names_a_side else name, [*_KEYWORDS, *(row.name for row in registry)], as_keyword)
    if names_a_side:
        return UsageMistake(f"{name}: there is no metric {metric!r}{near or ': memperf doctor lists them'}")
    others = f": choose from {', '.join(_KEYWORDS)}, max_METRIC and min_METRIC"
    return UsageMistake(f"{name}: no such argument{near or others}")
