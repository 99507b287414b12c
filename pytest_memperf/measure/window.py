"""A window: the stretch of a test that is measured, once or in rounds, and the result it comes to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from cyx.probes import Bracket
from pytest_memperf.measure.conditions import CONDITIONS
from pytest_memperf.measure.frame_room import with_frame_room
from pytest_memperf.measure.round import Round
from pytest_memperf.measure.settings import Settings
from pytest_memperf.measure.watch import WATCH
from pytest_memperf.metrics import Registry
from pytest_memperf.metrics.interference import growth, notes_on
from pytest_memperf.metrics.probe import failure
from pytest_memperf.model.budget import Budget, Check, Status
from pytest_memperf.model.errors import UsageMistake, nearest
from pytest_memperf.model.metric import Measured, Reading
from pytest_memperf.model.result import Deferred, Result
from pytest_memperf.model.units import Number

__tracebackhide__ = True  # pytest shows what the measured function does
T = TypeVar("T")


class Window(Bracket):
    """What ``memperf.window`` returns: a context manager for one pass, whose metrics are attributes afterwards."""

    __slots__ = (
        "_disturbances",
        "_judged_at_once",
        "_probes",
        "_registry",
        "_remarks",
        "_requested",
        "_rounds_left",
        "_settles",
        "bytes",
        "name",
        "rounds",
        "settings",
    )

    def __init__(
        self,
        name: str,
        settings: Settings,
        registry: Registry,
        *,
        settles: bool = False,
        judged_at_once: bool = False,
    ) -> None:
        self.name = name
        self.settings = settings
        self.bytes = settings.bytes
        self.rounds: list[Round] = []
        self._registry = registry
        self._probes = registry.probes_for(settings.requested)
        self._requested = (*settings.requested, *registry.requested)
        self._settles = settles
        self._judged_at_once = judged_at_once or not settings.budgets
        self._rounds_left = 1
        self._disturbances: dict[str, Number] = {}
        """How far the machine may have moved a metric; asked only where a budget is exceeded."""
        self._remarks: list[str] = []

    def opening(self) -> Round:
        """Return the next round. UsageMistake for a window that was used before."""
        if not self._rounds_left:
            self._refuse_second_use()
        self._rounds_left -= 1
        looks_back = not self._judged_at_once and not self._rounds_left
        current = Round(self.settings, self._probes, self._requested, settles=self._settles, looks_back=looks_back)
        self.rounds.append(current)
        return current

    def misused(self) -> None:
        """See Bracket. UsageMistake for the end of a window that is not open."""
        raise UsageMistake(f"window {self.name!r} is not open: use it in a with statement, once")

    def end(self) -> bool:
        """Stop a round that was left open, forget one that was interrupted before its start; tell of the former."""
        if not self.rounds or self.rounds[-1].finished:
            return False
        if not self.rounds[-1].running:
            self.rounds.pop()
            return False
        self.rounds[-1].stop()
        return True

    def call(self, function: Callable[..., T], arguments: tuple[Any, ...], keywords: dict[str, Any]) -> T:
        """Measure one call and return its result. UsageMistake for a window that was used before."""
        return self.opened().call(function, arguments, keywords)

    def repeat(self, function: Callable[..., T], arguments: tuple[Any, ...], keywords: dict[str, Any]) -> T:
        """Call the function in each round, after the warm-up and each time after the set-up; return the last result."""
        settings = self.settings
        self._refuse_second_use()
        self._rounds_left = settings.rounds
        for _ in range(settings.warmup):
            self._set_up()
            function(*arguments, **keywords)
        for done in range(1, settings.rounds + 1):
            self._set_up()
            result: T = with_frame_room(self.opened().call, function, arguments, keywords)
            self._tell_progress(done)
        return result

    async def repeat_async(
        self, function: Callable[..., Awaitable[T]], arguments: tuple[Any, ...], keywords: dict[str, Any]
    ) -> T:
        """Await the function's call in each round, as ``repeat`` does."""
        settings = self.settings
        self._refuse_second_use()
        self._rounds_left = settings.rounds
        for _ in range(settings.warmup):
            self._set_up()
            await function(*arguments, **keywords)
        for done in range(1, settings.rounds + 1):
            self._set_up()
            with self.opened():
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
        rounds = self._finished()
        names = rounds[0].outcomes() if rounds else ()
        found = ((name, self._joined(name, [each.outcomes().get(name) for each in rounds])) for name in names)
        return {name: measured for name, measured in found if measured is not None}

    def _finished(self) -> list[Round]:
        return [each for each in self.rounds if each.finished]

    def _joined(self, name: str, outcomes: Sequence[Reading | str | None]) -> Measured | None:
        """Return a metric of all rounds, given what each of them came to; None where one could not read it."""
        readings = [outcome for outcome in outcomes if type(outcome) is Reading]
        if not readings or len(readings) < len(outcomes):
            return None
        if name in self._disturbances:
            more = self._disturbances[name]
            readings = [Reading(reading.value, reading.uncertainty + more) for reading in readings]
        return Measured.from_readings(self._registry[name], readings)

    def unavailable(self) -> dict[str, str]:
        """Return the reason for each metric that some round could not read."""
        return {
            name: outcome
            for each in self._finished()
            for name, outcome in each.outcomes().items()
            if isinstance(outcome, str)
        }

    def _check(self, budget: Budget) -> Check:
        name = budget.metric.name
        outcomes = [each.outcome(name) for each in self._finished()]
        measured = self._joined(name, outcomes)
        if measured is None:
            return budget.check(None, self.unavailable().get(name, "it was not measured"))
        check = budget.check(measured)
        if check.status is Status.FAILED and name not in self._disturbances:
            self._ask_the_machine(name)
            check = budget.check(self._joined(name, outcomes))
        return check

    def _ask_the_machine(self, name: str) -> None:
        """Find out whether the machine's own doings may be why a budget is exceeded."""
        after = self.rounds[-1].events_after
        events = growth(self.rounds[0].events_before, WATCH.now() if after is None else after)
        probe = self._registry.probe_of(name)
        try:
            disturbance = probe.disturbance(name, events)
            reasons = {event: count for event, count in events.items() if probe.disturbance(name, {event: count})}
        except Exception as error:
            self._remarks += failure(probe, "disturbance", error).values()
            return
        if disturbance:
            self._disturbances[name] = disturbance
            self._remarks += notes_on(reasons)

    def result(self, test: str) -> Result:
        """Return the verdicts of this window, and its metrics for whoever wants to see them."""
        checks = [self._check(budget) for budget in self.settings.budgets]
        seen = [*self._remarks, *[note for each in self.rounds for note in each.notes]]
        return Result(
            test=test,
            window=self.name,
            isolation=CONDITIONS.isolation,
            allocator=CONDITIONS.allocator,
            rounds=len(self.rounds),
            metrics=Deferred(self.measured),
            unavailable=Deferred(self.unavailable),
            checks=checks,
            notes=[*CONDITIONS.notes, *dict.fromkeys(seen)],
            requested=self.settings.metrics,
        )

    def __getattr__(self, name: str) -> Any:
        """Return the value of a metric. UsageMistake before the end; AttributeError where there is no such metric."""
        if name.startswith("_") or name not in self._registry:
            near = nearest(name, [metric.name for metric in self._registry])
            raise AttributeError(f"a window has no metric {name!r}{near}")
        if not self.ended:
            raise UsageMistake(f"window {self.name!r} has not ended yet: read {name} after its with block")
        value = self.measured().get(name)
        if value is None:
            needs = "bytes=..." if self._registry[name].needs_bytes else f"metrics=[{name!r}]"
            reason = self.unavailable().get(name, f"ask for it: memperf.window({self.name!r}, {needs})")
            raise UsageMistake(f"{name} was not measured in window {self.name!r}: {reason}")
        return value.value
