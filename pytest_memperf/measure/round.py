"""One pass through a window: the exact counters, with the probes round them."""

from __future__ import annotations

import gc
from collections.abc import Mapping
from math import isfinite
from numbers import Integral, Real
from typing import Any

from cyx.probes import Interval
from pytest_memperf.measure.conditions import CONDITIONS
from pytest_memperf.measure.settings import Settings
from pytest_memperf.measure.watch import WATCH
from pytest_memperf.metrics import Observation, Probe, Probes
from pytest_memperf.metrics.probe import failure
from pytest_memperf.model.metric import Reading

__tracebackhide__ = True  # pytest shows what the measured function does


class Round(Interval):
    """The counters of one pass, and what the probes read of it: each probe that fails costs its own metrics only."""

    __slots__ = (  # there is a round for each test
        "_acting",
        "_collector_was_on",
        "_failed",
        "_looks_back",
        "_outcomes",
        "_probes",
        "_requested",
        "_settings",
        "_settles",
        "_time",
        "events_after",
        "events_before",
    )

    def __init__(
        self, settings: Settings, probes: Probes, requested: tuple[str, ...], *, settles: bool, looks_back: bool
    ) -> None:
        self.events_before = WATCH.look()
        self._settings = settings
        self._probes = probes
        self._requested = requested
        self._settles = settles
        self._looks_back = looks_back
        self._failed = probes.failed
        self._collector_was_on = False
        self._time: Reading | str | None = None
        self._outcomes: dict[str, Reading | str] | None = None
        self.events_after: Mapping[str, int] | None = None
        """The machine's events at the end, where the round is judged later than that."""
        self.count_children = settings.include_children
        self._acting: list[Probe] = []
        for probe in probes.acting:
            try:
                self._acting.append(probe())
            except Exception as error:
                self._failed = {**self._failed, **failure(probe, "__init__", error)}

    def before_start(self) -> None:
        """Prepare the collector and the interval, and start the probes."""
        alone = self._settles or not self.is_nested()
        mode = self._settings.gc or (CONDITIONS.collect if alone else "as-is")
        try:
            if mode == "collect":
                gc.collect()
            elif mode == "off":
                self._collector_was_on = gc.isenabled()
                gc.disable()
            for probe in (*self._probes.preparing, *self._acting):
                try:
                    probe.prepare(self, self._requested)
                    probe.start()
                except Exception as error:
                    self._leave_out(probe, "start", error)
            if CONDITIONS.settle is not None and alone:
                CONDITIONS.settle()
                self.drained = True
        except BaseException:  # an interrupt: there will be no stop
            self._let_go()
            raise

    def after_stop(self) -> None:
        """Stop the probes, in the opposite order, and put the collector back."""
        self._let_go()
        if self._looks_back:
            self.events_after = WATCH.now()

    def _let_go(self) -> None:
        for probe in self._acting[::-1]:
            try:
                probe.stop()
            except Exception as error:
                self._leave_out(probe, "stop", error)
        if self._collector_was_on:
            gc.enable()

    def _leave_out(self, probe: Probe, act: str, error: Exception) -> None:
        self._acting = [each for each in self._acting if each is not probe]
        self._failed = {**self._failed, **failure(type(probe), act, error)}

    def take_time(self, wall_time: Reading | str) -> None:
        """Take the time of the round from elsewhere, or the reason why there is none."""
        self._time = wall_time
        self._outcomes = None

    def outcome(self, name: str) -> Reading | str | None:
        """Return the reading of one metric, or the reason why there is none; None for one that nobody asked for."""
        if self._outcomes is None and not self._failed:
            probe = self._probes.by_metric.get(name) or next((each for each in self._acting if each.reads(name)), None)
            if probe is None:
                return None
            outcomes = self._read(probe)
            return _plain(probe, outcomes[name]) if name in outcomes else None
        return self.outcomes().get(name)

    def outcomes(self) -> Mapping[str, Reading | str]:
        """Return a reading, or the reason why there is none, for each metric. Read when somebody first asks."""
        if self._outcomes is None:
            found: dict[str, Reading | str] = {}
            for probe in (*self._probes.shared, *self._acting):
                for name, outcome in self._read(probe).items():
                    if probe.reads(name):
                        found[name] = _plain(probe, outcome)
            self._outcomes = {**found, **self._failed}
        return self._outcomes

    def _read(self, probe: Probe) -> Mapping[str, Any]:
        time = Reading(self.wall_time) if self._time is None else self._time
        observation = Observation(self, self._settings.bytes, self._settings.include_children, time)
        try:
            return dict(probe.read(observation))
        except Exception as error:
            return failure(type(probe), "read", error)

    @property
    def notes(self) -> tuple[str, ...]:
        """What the probes noticed about this round."""
        notes: list[str] = []
        for probe in self._acting:
            try:
                notes += probe.notes
            except Exception as error:
                notes += failure(type(probe), "notes", error).values()
        return tuple(notes)


def _plain(probe: Probe, outcome: Any) -> Reading | str:
    """Return a reason as it is and a reading in Python's own finite numbers; anything else becomes a reason."""
    if type(outcome) is Reading:
        value, uncertainty = outcome
        if _is_plain(value) and _is_plain(uncertainty):
            return outcome
        if _is_number(value) and _is_number(uncertainty):
            return Reading(_number(value), _number(uncertainty))
    elif isinstance(outcome, str):
        return outcome
    return f"{type(probe).__name__} read {outcome!r}, no Reading of finite numbers and no reason: mend the probe"


def _is_plain(value: Any) -> bool:
    return type(value) is int or (type(value) is float and isfinite(value))


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and isfinite(value)


def _number(value: Any) -> int | float:
    return int(value) if isinstance(value, Integral) else float(value)
