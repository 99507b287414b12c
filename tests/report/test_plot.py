"""Values as bars and plots."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_memperf.model.units import BYTES, COUNT
from pytest_memperf.report.plot import BARS, HEIGHT, bars, plot

NUMBERS = st.lists(st.integers(-(10**12), 10**12), min_size=1, max_size=300)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, 1, 1], "▁▁▁"),
        ([0, 7], "▁█"),
        ([0, 1, 2, 3, 4, 5, 6, 7], "▁▂▃▄▅▆▇█"),
        ([-5], "▁"),
        ([0.1, 0.1, 0.9], "▁▁█"),
    ],
)
def test_bars(values: list[float], expected: str) -> None:
    """The smallest is the lowest and the largest the highest."""
    assert bars(values, 80) == expected


def test_more_values_than_room() -> None:
    """Neighbours share a bar, which is as high as the middle one of them."""
    assert bars([0] * 30 + [0, 9, 9] + [9] * 27, 20) == "▁" * 10 + "█" * 10


def test_a_plot() -> None:
    """The largest and the smallest beside it, and marks below what is marked."""
    lines = list(plot([512, 512, 1024, 512], [2], BYTES.format, 80))
    assert lines[0] == "1 KiB ┤  █"
    assert lines[HEIGHT - 1] == "512 B ┤▁▁█▁"
    assert lines[HEIGHT:] == ["         ^"]
    assert all(line.startswith("      ┤  █") for line in lines[1 : HEIGHT - 1])


def test_a_plot_without_marks() -> None:
    """Has no line for them."""
    assert len(list(plot([1, 2], [], COUNT.format, 80))) == HEIGHT


@given(NUMBERS, st.integers(1, 200))
def test_any_bars(values: list[int], room: int) -> None:
    """There are as many as there is room for, and no blank among them."""
    drawn = bars(values, room)
    assert len(drawn) == min(len(values), room)
    assert set(drawn) <= set(BARS[1:])


@given(NUMBERS, st.data())
def test_any_plot(values: list[int], data: st.DataObject) -> None:
    """Has a bar for each value, and each mark under a bar that has its value's part."""
    marked = data.draw(st.lists(st.sampled_from(range(len(values))), unique=True))
    room = data.draw(st.integers(40, 120))
    lines = list(plot(values, marked, COUNT.format, room))
    lowest = lines[HEIGHT - 1]
    start = lowest.index("┤") + 1
    assert all(len(line) <= room for line in lines)
    assert " " not in lowest[start:]
    if marked:
        marks = [place - start for place, character in enumerate(lines[-1]) if character == "^"]
        shown = len(lowest) - start
        assert marks == sorted({place * shown // len(values) for place in marked})
