"""How often change points are false, found and placed: ``python tests/benchmarks/change_points.py [SERIES]``.

Draws series of runs (2,000 of each kind, or SERIES) and prints a line for each kind: of noise alone, the share that
has a change point; with a planted change, the share in which it is the only one found, and of these in which it is
placed on the very run, and in which the interval that is told holds that run. Takes a minute or two.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from pytest_memperf.baseline.change_points import ChangePoint, find
from pytest_memperf.baseline.paired import SMALLEST

Values = NDArray[np.float64]
Noise = Callable[[np.random.Generator, int], Values]


def with_memory(share: float) -> Noise:
    """Return noise of which each value keeps a share of the one before, as on a machine that is busy for a while."""

    def draw(random: np.random.Generator, length: int) -> Values:
        values = random.normal(0, 1, length)
        for place in range(1, length):
            values[place] = share * values[place - 1] + np.sqrt(1 - share * share) * values[place]
        return values

    return draw


NOISES: dict[str, Noise] = {
    "normal": lambda random, length: random.normal(0, 1, length),
    "skewed": lambda random, length: random.lognormal(0, 1, length),
    "heavy tails": lambda random, length: random.standard_t(2, length),
    "two speeds": lambda random, length: (
        random.choice([0.0, 3.0], length, p=[0.7, 0.3]) + random.normal(0, 0.3, length)
    ),
    "rare spikes": lambda random, length: np.where(random.random(length) < 0.05, 10.0, 0) + random.normal(0, 1, length),
    "few values": lambda random, length: random.integers(0, 3, length).astype(float),
    "memory 0.3": with_memory(0.3),
    "memory 0.6": with_memory(0.6),
}
LENGTHS = (16, 30, 50, 200)
SPREADS = (0.02, 0.1)
PLANTED = ((0.10, 0.02), (0.20, 0.05), (0.20, 0.10), (0.50, 0.10))
"""Changes as a share, and the spread of the noise beside."""


def found(values: Values) -> list[ChangePoint]:
    """Return the change points of a time, by the smallest change that is worth a word."""
    return find(list(values), lambda level: SMALLEST * abs(level))


def false_shares(kind: str, spread: float, count: int) -> list[str]:
    """Return for each length the share of series of noise that has a change point."""
    random = np.random.default_rng(1)
    shares = []
    for length in LENGTHS:
        hits = sum(bool(found(100 * (1 + spread * NOISES[kind](random, length)))) for _ in range(count))
        shares.append(f"{hits / count:8.2%}")
    return shares


def planted_shares(change: float, spread: float, length: int, after: int, count: int) -> list[str]:
    """Return the shares of series in which the change before the last runs is found, placed, and in the interval."""
    random = np.random.default_rng(2)
    place = length - after
    alone = placed = held = 0
    for _ in range(count):
        values = 100 * (1 + spread * random.normal(0, 1, length))
        values[place:] *= 1 + change
        points = found(values)
        if len(points) == 1:
            alone += 1
            placed += points[0].place == place
            held += points[0].earliest <= place <= points[0].latest
    return [f"{share:8.1%}" for share in (alone / count, placed / max(alone, 1), held / max(alone, 1))]


def main() -> None:
    """Print both tables."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    print(f"false: share of {count:,} series of noise with a change point")
    print(f"{'noise':14}{'spread':>8}" + "".join(f"{length:>5} runs" for length in LENGTHS))
    for kind in NOISES:
        for spread in SPREADS:
            print(f"{kind:14}{spread:8.0%}  " + "  ".join(false_shares(kind, spread, count)), flush=True)
    print(f"\nplanted: share of {count:,} series; of those in which it is found: on the very run, in the interval told")
    print(f"{'change':8}{'spread':>8}{'runs':>6}{'after':>7}   found    on it   in the interval")
    for change, spread in PLANTED:
        for length, after in ((20, 10), (50, 5), (50, 10), (50, 25), (200, 20)):
            shares = "".join(planted_shares(change, spread, length, after, count))
            print(f"{change:<8.0%}{spread:8.0%}{length:6}{after:7}{shares}", flush=True)


if __name__ == "__main__":
    main()
