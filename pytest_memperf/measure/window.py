"""A window: the stretch of a test that is measured, once or in rounds, and the result it comes to."""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable
from functools import cache
from typing import Any, TypeVar

from cyx.probes import Bracket, Interval
from pytest_memperf.measure.conditions import CONDITIONS
from pytest_memperf.measure.frame_room import with_frame_room
from pytest_memperf.measure.settings import Settings
from pytest_memperf.metrics import Observation, Probe, Registry
from pytest_memperf.model.budget import Check
from pytest_memperf.model.errors import UsageMistake
from pytest_memperf.model.metric import Measured, Reading
from pytest_memperf.model.result import Result

T = TypeVar("T")


class Round(Interval):
    """One pass through a window: the exact counters, with the probes of the window around them."""

    def __init__(self, settings: Settings, probes: tuple[type[Probe], ...]) -> None:
        self._settings = settings
        self._probes = [probe() for probe in probes]
        self._active = [probe for probe in self._probes if _acts_before(type(probe))]  # type: ignore[arg-type]
        self._collector_was_on = False
        self.readings: dict[str, Reading] = {}
        self.reasons: dict[str, str] = {}

    def before_start(self) -> None:
        """Prepare the collector and start the probes that have a reading to take."""
        mode = self._settings.gc or CONDITIONS.collect
        if mode == "collect":
            gc.collect()
        elif mode == "off":
            self._collector_was_on = gc.isenabled()
            gc.disable()
        for probe in self._active:
            probe.prepare(self, self._settings.requested)
            probe.start()
        if CONDITIONS.settle is not None and not self.is_nested():
            CONDITIONS.settle()

    def after_stop(self) -> None:
        """Stop the probes, in the opposite order, put the collector back, and take what the probes read."""
        for probe in reversed(self._active):
            probe.stop()
        if self._collector_was_on:
            gc.enable()
        self.take_time(Reading(self.wall_time))

    def take_time(self, wall_time: Reading | str) -> None:
        """Read the probes, with this as the time of the round (or the reason why there is none)."""
        observation = Observation(self, self._settings.bytes, self._settings.include_children, wall_time)
        readings, reasons = self.readings, self.reasons
        for probe in self._probes:
            for name, reading in probe.read(observation).items():
                if type(reading) is str:
                    reasons[name] = reading
                    readings.pop(name, None)
                else:
                    readings[name] = reading  # type: ignore[assignment]

    @property
    def notes(self) -> tuple[str, ...]:
        """What the probes noticed about this round."""
        return tuple(note for probe in self._active for note in probe.notes)


@cache
def _acts_before(probe: type[Probe]) -> bool:
    """Tell whether a probe does anything at the start: most only read the interval afterwards."""
    return probe.start is not Probe.start or probe.prepare is not Probe.prepare


class Window(Bracket):
    """What ``memperf.window`` returns: a context manager for one pass, whose metrics are attributes afterwards."""

    def __init__(self, name: str, settings: Settings, registry: Registry, finished: Callable[[Window], None]) -> None:
        self.name = name
        self.settings = settings
        self.bytes = settings.bytes
        self.rounds: list[Round] = []
        self._registry = registry
        self._probes = registry.probes_for(settings.requested)
        self._finished = finished

    def opening(self) -> Round:
        """Return the round of a ``with`` statement. UsageMistake for a window that was used before."""
        if self.rounds:
            raise UsageMistake(f"window {self.name!r} was used before: take a new one from memperf.window(...)")
        return self._new_round()

    def closed(self) -> None:
        """Tell the test that its window has ended."""
        self._finished(self)

    def _new_round(self) -> Round:
        current = Round(self.settings, self._probes)
        self.rounds.append(current)
        return current

    def call(self, function: Callable[..., T], arguments: tuple[Any, ...], keywords: dict[str, Any]) -> T:
        """Measure one call and return its result. UsageMistake for a window that was used before."""
        current = self.opening()
        try:
            return current.call(function, arguments, keywords)
        finally:
            self.closed()

    def repeat(self, function: Callable[..., T], arguments: tuple[Any, ...], keywords: dict[str, Any]) -> T:
        """Call the function in each round, after the warm-up and each time after the set-up; return the last result."""
        settings = self.settings
        self._refuse_second_use()
        for _ in range(settings.warmup):
            self._set_up()
            function(*arguments, **keywords)
        try:
            for done in range(1, settings.rounds + 1):
                self._set_up()
                result: T = with_frame_room(self._new_round().call, function, arguments, keywords)
                self._tell_progress(done)
        finally:
            self.closed()
        return result

    async def repeat_async(
        self, function: Callable[..., Awaitable[T]], arguments: tuple[Any, ...], keywords: dict[str, Any]
    ) -> T:
        """Await the function's call in each round, as ``repeat`` does."""
        settings = self.settings
        self._refuse_second_use()
        for _ in range(settings.warmup):
            self._set_up()
            await function(*arguments, **keywords)
        try:
            for done in range(1, settings.rounds + 1):
                self._set_up()
                with self._new_round():
                    result = await function(*arguments, **keywords)
                self._tell_progress(done)
        finally:
            self.closed()
        return result

    def _refuse_second_use(self) -> None:
        if self.rounds:
            raise UsageMistake(f"window {self.name!r} was used before: take a new one from memperf.window(...)")

    def _tell_progress(self, done: int) -> None:
        if CONDITIONS.progress is not None:
            CONDITIONS.progress(self.name, done, self.settings.rounds)

    def _set_up(self) -> None:
        if self.settings.setup is not None:
            self.settings.setup()

    def take_time(self, wall_time: Reading | str) -> None:
        """Take the time from elsewhere: a benchmark's median for one call, or the reason why there is none."""
        for each in self.rounds:
            each.take_time(wall_time)

    @property
    def ended(self) -> bool:
        """Whether there is a round and none is under way."""
        return bool(self.rounds) and self.rounds[-1].finished

    def measured(self) -> dict[str, Measured]:
        """Return the metrics that every round could read."""
        registry = self._registry
        rounds = [each for each in self.rounds if each.finished]
        if len(rounds) == 1:
            readings = rounds[0].readings
            return {name: Measured(registry[name], (value,), slack) for name, (value, slack) in readings.items()}
        return {
            name: Measured.from_readings(registry[name], [each.readings[name] for each in rounds])
            for name in (rounds[0].readings if rounds else ())
            if all(name in each.readings for each in rounds)
        }

    def unavailable(self) -> dict[str, str]:
        """Return the reason for each metric that some round could not read."""
        return {name: reason for each in self.rounds for name, reason in each.reasons.items()}

    def result(self, test: str) -> Result:
        """Return the metrics and the verdicts of this window."""
        measured, unavailable = self.measured(), self.unavailable()
        checks: list[Check] = []
        for budget in self.settings.budgets:
            name = budget.metric.name
            checks.append(budget.check(measured.get(name), unavailable.get(name, "it was not measured")))
        return Result(
            test=test,
            window=self.name,
            isolation=CONDITIONS.isolation,
            allocator=CONDITIONS.allocator,
            rounds=len(self.rounds),
            metrics=measured,
            unavailable=unavailable,
            checks=checks,
            notes=[*CONDITIONS.notes, *dict.fromkeys(note for each in self.rounds for note in each.notes)],
        )

    def __getattr__(self, name: str) -> Any:
        """Return the value of a metric. UsageMistake before the end; AttributeError where there is no such metric."""
        if name.startswith("_") or name not in self._registry:
            raise AttributeError(f"a window has no metric {name!r}")
        if not self.ended:
            raise UsageMistake(f"window {self.name!r} has not ended yet: read {name} after its with block")
        value = self.measured().get(name)
        if value is None:
            reason = self.unavailable().get(name, f"ask for it: memperf.window({self.name!r}, metrics=[{name!r}])")
            raise UsageMistake(f"{name} was not measured in window {self.name!r}: {reason}")
        return value.value
