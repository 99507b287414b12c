"""One test on both sides, in turns."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from gates import Both

from pytest_memperf.baseline.ab.sampling import Sampling
from pytest_memperf.baseline.ab.side import Sample, Side
from pytest_memperf.model.metric import Measured


def test_pairs_take_turns(both: Both) -> None:
    """A B B A, each pair in another layout; what cannot run to its end runs no more."""
    base, head = both("def test_it(): mypkg.work(32)\ndef test_bad(): assert mypkg.SIDE == 'base'\n")
    good, bad = (Sampling(base, head, test, 0) for test in head.tests)
    turns: list[tuple[str, int]] = []
    for side in (base, head):
        side.run = noted(side, turns)  # type: ignore[method-assign]

    assert good.go_on(3)
    assert turns == [("base", 0), ("head", 0), ("head", 1), ("base", 1), ("base", 2), ("head", 2)]
    assert (good.pairs, good.broken, base.runs, head.runs) == (3, False, 3, 3)
    assert not bad.go_on(3)
    assert (bad.pairs, bad.broken) == (1, True)


def test_pairs_for_times(both: Both) -> None:
    """They take turns as well, in the layouts that are there; one pair in four has another."""
    base, head = both("def test_it(): mypkg.work(32)\n")
    sampling = Sampling(base, head, head.tests[0], 0)
    assert sampling.go_on(3)
    turns: list[tuple[str, int]] = []
    for side in (base, head):
        side.run = noted(side, turns)  # type: ignore[method-assign]
    for _ in range(7):
        sampling.time_once_more()

    assert [layout for side, layout in turns if side == "base"] == [0, 3, 1, 2, 3, 4, 4]
    assert [layout for side, layout in turns if side == "head"] == [0, 3, 1, 2, 3, 4, 4]
    assert [side for side, _ in turns] == ["head", "base", "base", "head"] * 3 + ["head", "base"]
    assert sampling.pairs == 10


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

    assert [*map(len, sampling.samples)] == [pairs, pairs]
    assert [*map(len, sampling.results)] == [pairs, pairs]


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="this machine has one processor: no test changes it")
def test_a_pair_in_which_the_test_was_moved(both: Both, tmp_path: Path) -> None:
    """It is taken anew, for the peak is known far less sharply there."""
    base, head = both(
        "from pathlib import Path\n"
        f"moved = Path({str(tmp_path)!r}, 'moved')\n"
        "def test_it():\n"
        "    mypkg.work(64)\n"
        "    if not moved.exists():\n"
        "        for cpu in os.sched_getaffinity(0):\n"
        "            os.sched_setaffinity(0, {cpu})\n"
        "            mypkg.work(64)\n"
        "        moved.touch()\n"
    )
    sampling = Sampling(base, head, head.tests[0], 0)
    assert sampling.go_on(1)
    wide = peak(sampling)
    moved = tmp_path / "moved"
    moved.unlink()
    sampling = Sampling(base, head, head.tests[0], 3)
    assert sampling.go_on(3, sharp=True)

    assert wide.uncertainty > 1 << 17
    assert base.retaken >= 1
    assert peak(sampling).uncertainty < wide.uncertainty
    assert sampling.pairs == 3


def peak(sampling: Sampling) -> Measured:
    """Return that of the first run of base."""
    (result,) = sampling.samples[0][0].results
    return result.metrics["peak_rss"]


def noted(side: Side, turns: list[tuple[str, int]]) -> Callable[..., Sample]:
    """Return the side's run, which notes its name and the layout."""
    run = side.run

    def note(test: str, layout: int, retakes: int = 0) -> Sample:
        turns.append((side.name, layout))
        return run(test, layout, retakes)

    return note


def interrupted(run: Callable[..., object]) -> Callable[..., object]:
    """Return a run that somebody interrupts."""

    def interrupt(*_: object) -> object:
        raise KeyboardInterrupt

    return interrupt
