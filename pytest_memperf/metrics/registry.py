"""The one list of metrics: budgets, reports, storage and comparison know a metric only through it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from pytest_memperf.metrics.probe import Probe, failure
from pytest_memperf.model.errors import UsageMistake, nearest
from pytest_memperf.model.metric import Cost, Metric

_NAMES = """
    bytes call end ended measured misused name opened opening repeat repeat_async result rounds settings take_time
    unavailable
"""
OF_A_WINDOW = frozenset(_NAMES.split())
"""What a window has besides its metrics: one of such a name could not be read from it."""


class Probes(NamedTuple):
    """The probes of a window."""

    shared: tuple[Probe, ...]
    """Those that only read what an interval has found: an object of each serves every round."""
    by_metric: Mapping[str, Probe]
    """The shared ones by the metrics that they read."""
    preparing: tuple[Probe, ...]
    """The shared ones that set an interval up before it starts."""
    acting: tuple[type[Probe], ...]
    """Those that act at the start or the stop: each round gets an object of its own."""
    failed: Mapping[str, str]
    """The reason for each metric of a shared one that could not be made."""


class Registry:
    """Metrics by name, each with the probe that reads it, in the order of registration."""

    def __init__(self, probes: Iterable[type[Probe]] = ()) -> None:
        self._metrics: dict[str, Metric] = {}
        self._probes: dict[str, type[Probe]] = {}
        self.requested: tuple[str, ...] = ()
        """The metrics that ``request`` named."""
        self._probes_for: dict[tuple[str, ...], Probes] = {}
        for probe in probes:
            self.register(probe)

    def register(self, probe: type[Probe]) -> None:
        """Add a probe and its metrics. UsageMistake, and no change, where a name is taken or cannot be an attribute."""
        added: dict[str, Metric] = {}
        for metric in probe.metrics:
            name = metric.name
            if not name.isidentifier() or name.startswith("_"):
                raise UsageMistake(
                    f"{probe.__name__} names a metric {name!r}: use an identifier that begins with a letter"
                )
            if name in OF_A_WINDOW:
                raise UsageMistake(f"{probe.__name__} names a metric {name!r}, which a window has besides: rename it")
            if name in added:
                raise UsageMistake(f"{probe.__name__} names two metrics {name!r}: rename one")
            if name in self._metrics:
                other = self._probes[name].__name__
                raise UsageMistake(f"{probe.__name__} and {other} both name a metric {name!r}: rename one")
            added[name] = metric
        self._metrics.update(added)
        self._probes.update(dict.fromkeys(added, probe))
        self._probes_for.clear()

    def __getitem__(self, name: str) -> Metric:
        try:
            return self._metrics[name]
        except KeyError:
            raise UsageMistake(f"there is no metric {name!r}{nearest(name, self._metrics)}") from None

    def probe_of(self, name: str) -> type[Probe]:
        """Return the probe that reads a metric."""
        return self._probes[name]

    def __contains__(self, name: object) -> bool:
        return name in self._metrics

    def __iter__(self) -> Iterator[Metric]:
        return iter(self._metrics.values())

    def request(self, names: Iterable[str]) -> None:
        """Take these metrics in every window, whatever they cost; to be asked before the first window."""
        self.requested = (*self.requested, *names)

    def request_narrow(self) -> None:
        """Take what is always taken as narrow as it can be had, though that costs more; before the first window."""
        self.request(metric.name for metric in self if metric.cost is Cost.ALWAYS)

    def probes_for(self, requested: tuple[str, ...]) -> Probes:
        """Return the probes of the metrics that are always taken and of those requested, each once."""
        if requested not in self._probes_for:
            wanted = {*requested, *self.requested}
            costly = any(metric.cost is not Cost.ALWAYS for metric in self if metric.name in wanted)
            chosen = dict.fromkeys(
                probe
                for name, probe in self._probes.items()
                if self[name].cost is Cost.ALWAYS or name in wanted or (costly and probe.accompanies)
            )
            shared: list[Probe] = []
            failed: dict[str, str] = {}
            for probe in chosen:
                try:
                    shared += [] if probe.acts() else [probe()]
                except Exception as error:
                    failed |= failure(probe, "__init__", error)
            self._probes_for[requested] = Probes(
                tuple(shared),
                {metric.name: probe for probe in shared for metric in probe.metrics},
                tuple(probe for probe in shared if type(probe).prepare is not Probe.prepare),
                tuple(probe for probe in chosen if probe.acts()),
                failed,
            )
        return self._probes_for[requested]
