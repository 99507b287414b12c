"""One test on both sides, in turns."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from gates import Both

from pytest_memperf.baseline.ab.sampling import Sampling


def test_pairs_take_turns(both: Both) -> None:
    """A B B A, each pair in another layout; what cannot run to its end runs no more."""
    base, head = both("def test_it(): mypkg.work(32)\ndef test_bad(): assert mypkg.SIDE == 'base'\n")
    good, bad = (Sampling(base, head, test, 0) for test in head.tests)

    assert good.go_on(2)
    assert (good.pairs, good.broken, base.runs, head.runs) == (2, False, 2, 2)
    assert not bad.go_on(3)
    assert (bad.pairs, bad.broken) == (1, True)


@pytest.mark.parametrize("pairs", [1, 2], ids=["base first", "head first"])
def test_an_interrupt_between_the_two_of_a_pair(both: Both, pairs: int) -> None:
    """What lacks its partner tells nothing."""
    base, head = both("def test_it(): mypkg.work(32)\n")
    sampling = Sampling(base, head, head.tests[0], 0)
    assert sampling.go_on(pairs)
    second = head if pairs % 2 == 0 else base  # of the next pair, which begins with the one that was last
    second.run = interrupted(second.run)  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        sampling.go_on(pairs + 1)

    assert [*map(len, sampling.samples)] != [pairs, pairs]
    assert [*map(len, sampling.results)] == [pairs, pairs]


def interrupted(run: Callable[..., object]) -> Callable[..., object]:
    """Return a run that somebody interrupts."""

    def interrupt(*_: object) -> object:
        raise KeyboardInterrupt

    return interrupt
