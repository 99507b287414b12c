"""Noisy metrics of two sides that ran in turns: what the ratios of pairs tell, without assuming how times are spread.

The test is Wilcoxon's signed-rank test on the logarithms of the ratios, its distribution counted out; the estimate and
the interval are Hodges and Lehmann's, from the averages of all two of them (Hollander, Wolfe and Chicken,
"Nonparametric Statistical Methods", chapter 3). A difference has to be improbable *and* large: given enough pairs any
two builds differ by something.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import add
from statistics import NormalDist

SMALLEST = 0.05
"""The smallest change worth a word, as a share."""
LEAST_PAIRS = 6
SAME_LEVEL = 0.05
"""How often the interval may miss the true ratio where that lies inside of the smallest change: for ``same``."""


@dataclass(frozen=True, slots=True)
class Paired:
    """What pairs of samples tell: ratios of head to base."""

    ratio: float
    low: float
    high: float
    """The interval at ``SAME_LEVEL``."""
    probability: float
    """That such pairs come from equal sides, or ones further apart."""
    pairs: int

    @property
    def same(self) -> bool:
        """Whether the ratio lies within the smallest change, beyond reasonable doubt."""
        return self.pairs >= LEAST_PAIRS and self.low > 1 / (1 + SMALLEST) and self.high < 1 + SMALLEST

    def different(self, level: float) -> bool:
        """Tell whether the ratio is beyond the smallest change, where equal sides would look so at most so often."""
        far = not 1 / (1 + SMALLEST) < self.ratio < 1 + SMALLEST
        return self.pairs >= LEAST_PAIRS and far and self.probability <= level

    def needed(self, level: float) -> int | None:
        """Return about how many pairs would tell, if those to come are like these; None where these do not foretell it.

        Intervals shrink, and the test's statistic grows, with the root of the number: until the interval lies within
        the smallest change, or equal sides are so improbable.
        """
        smallest, middle = math.log(1 + SMALLEST), math.log(self.ratio)
        if abs(middle) < smallest:
            if not self.low:  # there is no interval yet
                return None
            up, down = math.log(self.high) - middle, middle - math.log(self.low)
            times, least = max(up / (smallest - middle), down / (smallest + middle)), LEAST_PAIRS
        else:
            if self.probability >= 1:
                return None
            quantile = NormalDist().inv_cdf
            times, least = quantile(1 - level / 2) / quantile(1 - self.probability / 2), pairs_needed(level)
        return max(least, self.pairs + 1, math.ceil(self.pairs * times**2))


def paired(base: Sequence[float], head: Sequence[float]) -> Paired:
    """Return what the samples tell, which belong together one by one and are above 0. ValueError where some are not."""
    if len(base) != len(head) or not base or min(*base, *head) <= 0:
        raise ValueError("give as many samples of both sides, all above 0")
    logs = [math.log(theirs / ours) for ours, theirs in zip(base, head, strict=True)]
    averages = sorted((logs[i] + logs[j]) / 2 for i in range(len(logs)) for j in range(i, len(logs)))
    middle = (averages[(len(averages) - 1) // 2] + averages[len(averages) // 2]) / 2
    cut = _cut(len(logs), SAME_LEVEL)
    low, high = (-math.inf, math.inf) if cut is None else (averages[cut], averages[-1 - cut])
    return Paired(math.exp(middle), math.exp(low), math.exp(high), signed_rank(logs), len(logs))


def signed_rank(differences: Sequence[float]) -> float:
    """Return the two-sided probability of Wilcoxon's signed-rank test, exact; zeros are left out, ties share ranks."""
    values = sorted((value for value in differences if value), key=abs)
    if not values:
        return 1.0
    ranks: list[int] = []  # twice each, for ties have halves
    start = 0
    for place in range(1, len(values) + 1):
        if place == len(values) or abs(values[place]) != abs(values[start]):
            ranks += [start + 1 + place] * (place - start)
            start = place
    positive = sum(rank for rank, value in zip(ranks, values, strict=True) if value > 0)
    smaller = min(positive, sum(ranks) - positive)
    ways = _ways(tuple(ranks))
    return min(1.0, 2 * sum(ways[: smaller + 1]) / float(2 ** len(ranks)))


def pairs_needed(level: float) -> int:
    """Return the least number of pairs that can be improbable enough, where every one of them points the same way."""
    return max(LEAST_PAIRS, math.ceil(1 - math.log2(level)))


@lru_cache(maxsize=200)
def _ways(ranks: tuple[int, ...]) -> list[int]:
    """Return in how many ways signs can be given so that the positive ranks sum to 0, 1, 2 and so on."""
    if not ranks:
        return [1]
    nothing = [0] * ranks[-1]
    fewer = _ways(ranks[:-1])  # which the pairs before had
    return [*map(add, fewer + nothing, nothing + fewer)]


@lru_cache(maxsize=200)
def _cut(number: int, level: float) -> int | None:
    """Return how many averages to leave out at each end of the interval; None where there are too few pairs for one."""
    ways = _ways(tuple(range(1, number + 1)))
    below, total = 0, 2**number
    for cut, count in enumerate(ways):
        below += count
        if 2 * below > level * total:
            return cut - 1 if cut else None
    return None


def discoveries(probabilities: Sequence[float], rate: float) -> list[bool]:
    """Return which of them are discoveries, of which at most this share is expected to be false.

    Benjamini and Hochberg, "Controlling the False Discovery Rate", 1995.
    """
    number = len(probabilities)
    order = sorted(range(number), key=probabilities.__getitem__)
    found = 0
    for rank, place in enumerate(order, 1):
        if probabilities[place] <= rate * rank / number:
            found = rank
    chosen = set(order[:found])
    return [place in chosen for place in range(number)]
