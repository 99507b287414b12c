"""A window: the stretch of a test that is measured, once or in rounds, and the result it comes to."""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from cyx.probes import Interval
from pytest_memperf.measure.frame_room import with_frame_room
from pytest_memperf.measure.settings import Settings
from pytest_memperf.metrics import Observation, Probe, Registry
from pytest_memperf.model.budget import Check
from pytest_memperf.model.errors import UsageMistake, nearest
from pytest_memperf.model.metric import Measured, Reading
from pytest_memperf.model.result import Result

T = TypeVar("T")


class Round(Interval):
    """One pass through a window: the exact counters, with the probes of the window around them."""

    def __init__(self, settings: Settings, probes: tuple[type[Probe], ...]) -> None:
        self._settings = settings
        self._probes = [probe() for probe in probes]
        self._active = [probe for probe in self._probes if type(probe).start is not Probe.start]
        self.readings: dict[str, Reading] = {}
        self.reasons: dict[str, str] = {}

    def before_start(self) -> None:
        """Start the probes that have a reading to take; they stop in the opposite order."""
        for probe in self._active:
            probe.start()

    def after_stop(self) -> None:
        """Stop the probes and take what they read."""
        for probe in reversed(self._active):
            probe.stop()
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


class GarbageCollector:
    """The collector around a window: collects before it, or stays off in it, or is left as it is."""

    def __init__(self, mode: str | None) -> None:
        self._mode = mode
        self._was_enabled = False

    def __enter__(self) -> None:
        """Prepare the collector."""
        if self._mode == "collect":
            gc.collect()
        elif self._mode == "off":
            self._was_enabled = gc.isenabled()
            gc.disable()

    def __exit__(self, *exception: object) -> None:
        """Put the collector back."""
        if self._was_enabled:
            gc.enable()


class Window(Round):
    """What ``memperf.window`` returns: a context manager for one pass, whose metrics are attributes afterwards."""

    def __init__(
        self,
        name: str,
        settings: Settings,
        registry: Registry,
        finished: Callable[[Window], None],
    ) -> None:
        super().__init__(settings, registry.probes_for(settings.requested))
        self.name = name
        self.settings = settings
        self.bytes = settings.bytes
        self.rounds: list[Round] = []
        self._registry = registry
        self._finished = finished
        self._collector = GarbageCollector(settings.gc)

    def before_start(self) -> None:
        """See Round. UsageMistake for a window that was used before."""
        if self.finished or self.rounds:
            raise UsageMistake(f"window {self.name!r} was used before: take a new one from memperf.window(...)")
        self._collector.__enter__()
        super().before_start()

    def after_stop(self) -> None:
        """See Round; the test is told of the finished window."""
        super().after_stop()
        self._collector.__exit__()
        self.rounds.append(self)
        self._finished(self)

    def repeat(self, function: Callable[..., T], arguments: tuple[Any, ...], keywords: dict[str, Any]) -> T:
        """Call the function in each round, after the warm-up and each time after the set-up; return the last result."""
        self._refuse_second_use()
        settings, probes = self.settings, tuple(type(probe) for probe in self._probes)
        for _ in range(settings.warmup):
            if settings.setup:
                settings.setup()
            function(*arguments, **keywords)
        for _ in range(settings.rounds):
            if settings.setup:
                settings.setup()
            with GarbageCollector(settings.gc):
                current = Round(settings, probes)
                self.rounds.append(current)
                result = with_frame_room(current.call, function, arguments, keywords)
        self._finished(self)
        return result

    async def repeat_async(
        self, function: Callable[..., Awaitable[T]], arguments: tuple[Any, ...], keywords: dict[str, Any]
    ) -> T:
        """Await the function's call in each round, as ``repeat`` does."""
        self._refuse_second_use()
        settings, probes = self.settings, tuple(type(probe) for probe in self._probes)
        for _ in range(settings.warmup):
            if settings.setup:
                settings.setup()
            await function(*arguments, **keywords)
        for _ in range(settings.rounds):
            if settings.setup:
                settings.setup()
            with GarbageCollector(settings.gc):
                current = Round(settings, probes)
                self.rounds.append(current)
                with current:
                    result = await function(*arguments, **keywords)
        self._finished(self)
        return result

    def _refuse_second_use(self) -> None:
        if self.finished or self.rounds:
            raise UsageMistake(f"window {self.name!r} was used before: take a new one from memperf.window(...)")

    def measured(self) -> dict[str, Measured]:
        """Return the metrics that every round could read."""
        registry = self._registry
        if len(self.rounds) == 1:
            readings = self.rounds[0].readings
            return {name: Measured(registry[name], (value,), slack) for name, (value, slack) in readings.items()}
        return {
            name: Measured.from_readings(registry[name], [each.readings[name] for each in self.rounds])
            for name in self.rounds[0].readings
            if all(name in each.readings for each in self.rounds)
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
            rounds=len(self.rounds),
            metrics=measured,
            unavailable=unavailable,
            checks=checks,
        )

    def __getattr__(self, name: str) -> Any:
        """Return the value of a metric; RuntimeError before the end, AttributeError where there is no such metric."""
        if name.startswith("_") or name not in self._registry:
            raise AttributeError(f"a window has no {name!r}{nearest(name, (row.name for row in self._registry))}")
        if not self.rounds:
            raise UsageMistake(f"window {self.name!r} has not ended yet: read {name} after its with block")
        value = self.measured().get(name)
        if value is None:
            reason = self.unavailable().get(name, f"ask for it: memperf.window({self.name!r}, metrics=[{name!r}])")
            raise UsageMistake(f"{name} was not measured in window {self.name!r}: {reason}")
        return value.value
