"""Random accesses: uniform, without repetition, by Zipf's law; over bytes, lines and pages."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kernels import random_word

from cyx import patterns

WORD = 2**64
seeds = st.integers(0, WORD - 1)


def histogram(units: int, count: int, **rest: Any) -> list[int]:
    """Return how often each offset is touched."""
    times = []
    for i in range(units):
        content = bytearray(units)
        content[i] = 1
        times.append(patterns.touch_random(content, count, **rest).checksum)
    return times


class TestUniform:
    """Each offset as often as any other."""

    @given(st.binary(min_size=100, max_size=5000), st.integers(0, 300), seeds, st.integers(1, 100))
    def test_touches_the_offsets_of_the_stream(self, content: bytes, count: int, seed: int, unit: int) -> None:
        """Each offset is a word of SplitMix64 modulo the number of units."""
        transfer = patterns.touch_random(content, count, seed, unit=unit)

        units = -(-len(content) // unit)
        expected = sum(content[random_word(seed, i) % units * unit] for i in range(count))
        assert (transfer.checksum, transfer.accesses, transfer.bytes) == (expected, count, count)

    def test_reaches_the_whole_source(self) -> None:
        """20,000 accesses to 1,000 bytes miss none of them."""
        reached = {random_word(7, i) % 1000 for i in range(20_000)}
        only_last = bytes(999) + b"\1"

        assert len(reached) == 1000
        assert patterns.touch_random(only_last, 20_000, 7).checksum > 0

    def test_other_seeds_take_other_offsets(self) -> None:
        """The seed changes the answer."""
        content = os.urandom(100_000)

        assert len({patterns.touch_random(content, 1000, seed).checksum for seed in range(20)}) > 15


class TestWithoutRepetition:
    """No offset twice."""

    @given(st.integers(1, 300), seeds)
    def test_touches_each_offset_once(self, units: int, seed: int) -> None:
        """As many accesses as there are offsets reach all of them."""
        assert histogram(units, units, seed=seed, repeat=False) == [1] * units

    @given(st.integers(1, 300), st.data())
    def test_touches_none_twice(self, units: int, data: st.DataObject) -> None:
        """Fewer accesses reach as many offsets."""
        count = data.draw(st.integers(0, units))
        assert sorted(histogram(units, count, repeat=False)) == [0] * (units - count) + [1] * count

    @pytest.mark.parametrize("size", [2**20, 2**20 - 1, 2**20 + 1, 999_983])
    def test_touches_many(self, size: int) -> None:
        """The sum over a large source is that of all of its bytes."""
        content = os.urandom(size)
        transfer = patterns.touch_random(content, size, 1, repeat=False)

        assert transfer.checksum == int(np.frombuffer(content, np.uint8).sum())

    def test_the_order_is_random(self) -> None:
        """The first half of the accesses reaches half of each eighth of the source."""
        units = 8 * 128
        times = np.array(histogram(units, units // 2, seed=3, repeat=False)).reshape(8, 128)

        assert np.all(np.abs(times.sum(axis=1) - 64) < 25)  # more than four standard deviations

    def test_there_are_no_more_offsets(self) -> None:
        """More accesses than offsets are refused."""
        content = bytes(4097)
        assert patterns.touch_random(content, 65, unit=64, repeat=False).accesses == 65
        with pytest.raises(ValueError, match=r"^count=66: without repetition there are 65 offsets"):
            patterns.touch_random(content, 66, unit=64, repeat=False)


class TestZipf:
    """The k-th most frequent offset in proportion to 1 / k**skew."""

    @pytest.mark.parametrize("skew", [0.2, 0.5, 0.99, 1, 1.0000000001, 1.5, 3, 20])
    @pytest.mark.parametrize("units", [1, 2, 3, 40])
    def test_frequencies(self, units: int, skew: float) -> None:
        """Each is within five standard deviations of the law."""
        count = 20_000
        times = sorted(histogram(units, count, seed=11, distribution="zipf", skew=skew), reverse=True)

        weights = np.arange(1, units + 1) ** -float(skew)
        expected = weights / weights.sum() * count
        assert sum(times) == count
        assert np.all(np.abs(times - expected) <= 5 * np.sqrt(expected) + 5 + 0.02 * count / units)
        assert abs(times[0] - expected[0]) <= 5 * np.sqrt(expected[0]) + 5

    def test_the_frequent_ones_lie_apart(self) -> None:
        """The most frequent offsets are not the first ones."""
        times = histogram(500, 5000, seed=2, distribution="zipf", skew=1.2)
        frequent = sorted(range(500), key=times.__getitem__)[-8:]

        assert max(frequent) - min(frequent) > 100

    def test_the_seed_decides(self) -> None:
        """The same seed draws the same, another one something else."""
        content = os.urandom(10_000)
        answers = [patterns.touch_random(content, 500, seed, distribution="zipf").checksum for seed in (1, 1, 2)]

        assert answers[0] == answers[1] != answers[2]

    def test_many_units(self) -> None:
        """Ranks of a large source lie within it."""
        assert patterns.touch_random(bytes(10_000_000), 10_000, distribution="zipf", skew=0.01).accesses == 10_000


class TestMistakes:
    """A wrong argument is a ValueError that begins with its name."""

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            *(("unit", value) for value in (0, -1, 1.5, None)),
            *(("repeat", value) for value in (0, None, "no")),
            *(("distribution", value) for value in ("normal", None, 3)),
            *(("skew", value) for value in (0, -1, 101, float("nan"), float("inf"), "1", None)),
        ],
    )
    def test_names_a_wrong_argument(self, name: str, value: Any) -> None:
        """Values that are none."""
        with pytest.raises(ValueError, match=rf"^{name}="):
            patterns.touch_random(b"content", 1, **{name: value})

    def test_a_unit_larger_than_the_source(self) -> None:
        """It would have the first byte touched again and again; one as large as what is read is the largest."""
        assert patterns.touch_random(b"\1" * 64, 10, unit=64).checksum == 10
        with pytest.raises(ValueError, match=r"^unit=65: give at most 64, the bytes of source$"):
            patterns.touch_random(bytes(64), 10, unit=65)
        with pytest.raises(ValueError, match=r"^unit=64: give at most 32, the bytes of source$"):
            patterns.touch_random(bytes(64), 10, unit=64, length=32)

    def test_zipf_repeats(self) -> None:
        """What is frequent comes again."""
        with pytest.raises(ValueError, match=r"^repeat=False"):
            patterns.touch_random(b"content", 1, repeat=False, distribution="zipf")
