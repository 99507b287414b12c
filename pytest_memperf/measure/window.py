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

__tracebackhide__ = True  # pytest shows what the measured function does
T = TypeVar("T")


class Round(Interval):
    """One pass through a window: the exact counters, with the probes of the window around them."""

    def __init__(
        self,
        settings: Settings,
        probes: tuple[type[Probe], ...],
        requested: tuple[str, ...] = (),
        settles: bool = False,
    ) -> None:
        self._settings = settings
        self._requested = requested
        self._settles = settles
        self._probes = [probe() for probe in probes]
        self._active = [probe for probe in self._probes if _acts_around(type(probe))]  # type: ignore[arg-type]
        self._collector_was_on = False
        self.readings: dict[str, Reading] = {}
        self.reasons: dict[str, str] = {}

    def before_start(self) -> None:
        """Prepare the collector and start the probes that have a reading to take."""
        alone = self._settles or not self.is_nested()
        mode = self._settings.gc or (CONDITIONS.collect if alone else "as-is")
        if mode == "collect":
            gc.collect()
        elif mode == "off":
            self._collector_was_on = gc.isenabled()
            gc.disable()
        try:
            for probe in tuple(self._active):
                try:
                    probe.prepare(self, self._requested)
                    probe.start()
                except Exception as error:
                    self._leave_out(probe, "start", error)
            if CONDITIONS.settle is not None and alone:
                CONDITIONS.settle()
                self.drained = True
        except BaseException:
            self._put_collector_back()
            raise

    def after_stop(self) -> None:
        """Stop the probes, in the opposite order, put the collector back, and take what the probes read."""
        for probe in self._active[::-1]:
            try:
                probe.stop()
            except Exception as error:
                self._leave_out(probe, "stop", error)
        self._put_collector_back()
        self.take_time(Reading(self.wall_time))

    def _put_collector_back(self) -> None:
        if self._collector_was_on:
            gc.enable()

    def _leave_out(self, probe: Probe, act: str, error: Exception) -> None:
        """Let a probe that fails cost its own metrics, and neither the test nor the other metrics."""
        reason = f"{type(probe).__name__}.{act} failed ({type(error).__name__}: {error}): mend the probe"
        self._probes = [each for each in self._probes if each is not probe]
        self._active = [each for each in self._active if each is not probe]
        for metric in probe.metrics:
            self.readings.pop(metric.name, None)
            self.reasons[metric.name] = reason

    def take_time(self, wall_time: Reading | str) -> None:
        """Read the probes, with this as the time of the round (or the reason why there is none)."""
        observation = Observation(self, self._settings.bytes, self._settings.include_children, wall_time)
        readings, reasons = self.readings, self.reasons
        for probe in tuple(self._probes):
            try:
                read = probe.read(observation)
            except Exception as error:
                self._leave_out(probe, "read", error)
                continue
            for name, reading in read.items():
                if type(reading) is Reading:
                    readings[name] = reading
                else:
                    wrong = f"{type(probe).__name__} read {reading!r}, no Reading and no reason: mend the probe"
                    reasons[name] = reading if isinstance(reading, str) else wrong
                    readings.pop(name, None)

    @property
    def notes(self) -> tuple[str, ...]:
        """What the probes noticed about this round."""
        return tuple(note for probe in self._active for note in probe.notes)


@cache
def _acts_around(probe: type[Probe]) -> bool:
    """Tell whether a probe does anything round the interval: most only read it afterwards."""
    return (probe.prepare, probe.start, probe.stop) != (Probe.prepare, Probe.start, Probe.stop)


class Window(Bracket):
    """What ``memperf.window`` returns: a context manager for one pass, whose metrics are attributes afterwards."""

    def __init__(self, name: str, settings: Settings, registry: Registry, *, settles: bool = False) -> None:
        self.name = name
        self.settings = settings
        self.bytes = settings.bytes
        self.rounds: list[Round] = []
        self._registry = registry
        self._probes = registry.probes_for(settings.requested)
        self._requested = (*settings.requested, *registry.requested)
        self._settles = settles

    def opening(self) -> Round:
        """Return the round of a ``with`` statement. UsageMistake for a window that was used before."""
        self._refuse_second_use()
        return self._new_round()

    def misused(self) -> None:
        """See Bracket. UsageMistake for the end of a window that is not open."""
        raise UsageMistake(f"window {self.name!r} is not open: use it in a with statement, once")

    def end(self) -> bool:
        """Stop a round that was left open; tell whether there was one."""
        if not self.rounds or self.rounds[-1].finished:
            return False
        self.rounds[-1].stop()
        return True

    def _new_round(self) -> Round:
        current = Round(self.settings, self._probes, self._requested, self._settles)
        self.rounds.append(current)
        return current

    def call(self, function: Callable[..., T], arguments: tuple[Any, ...], keywords: dict[str, Any]) -> T:
        """Measure one call and return its result. UsageMistake for a window that was used before."""
        return self.opening().call(function, arguments, keywords)

    def repeat(self, function: Callable[..., T], arguments: tuple[Any, ...], keywords: dict[str, Any]) -> T:
        """Call the function in each round, after the warm-up and each time after the set-up; return the last result."""
        settings = self.settings
        self._refuse_second_use()
        for _ in range(settings.warmup):
            self._set_up()
            function(*arguments, **keywords)
        for done in range(1, settings.rounds + 1):
            self._set_up()
            result: T = with_frame_room(self._new_round().call, function, arguments, keywords)
            self._tell_progress(done)
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
        for done in range(1, settings.rounds + 1):
            self._set_up()
            with self._new_round():
                result = await function(*arguments, **keywords)
            self._tell_progress(done)
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
            needs = "bytes=..." if self._registry[name].needs_bytes else f"metrics=[{name!r}]"
            reason = self.unavailable().get(name, f"ask for it: memperf.window({self.name!r}, {needs})")
            raise UsageMistake(f"{name} was not measured in window {self.name!r}: {reason}")
        return value.value
