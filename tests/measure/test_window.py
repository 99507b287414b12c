"""Windows: one pass or several, nested, used once, with the collector as asked for."""

from __future__ import annotations

import asyncio
import mmap

import pytest
from known_windows import REGISTRY, touch, window

from pytest_memperf.measure.conditions import CONDITIONS
from pytest_memperf.measure.measurement import Measurement
from pytest_memperf.measure.settings import Settings, parse_settings
from pytest_memperf.measure.window import Window
from pytest_memperf.model.budget import Status
from pytest_memperf.model.errors import UsageMistake
from pytest_memperf.model.metric import Reading


class TestOnePass:
    """``with window:``."""

    @pytest.mark.parametrize("pages", [0, 1, 7, 1000])
    def test_known_work(self, pages: int) -> None:
        """N pages written are N minor faults; the metric is an attribute."""
        with window() as measured:
            touch(pages) if pages else None

        assert measured.minor_faults == pages

    def test_exception_travels_on(self) -> None:
        """An exception ends the window and is raised as it was."""
        measured, error = window(), KeyError("k")
        with pytest.raises(KeyError) as caught, measured:
            raise error

        assert caught.value is error
        assert measured.ended

    def test_used_twice(self) -> None:
        """A second use is refused with the mend."""
        measured = window()
        with measured:
            pass

        with pytest.raises(UsageMistake, match=r"window 'w' was used before: take a new one from memperf.window"):
            measured.__enter__()
        with pytest.raises(UsageMistake, match="was used before"):
            measured.repeat(touch, (1,), {})

    def test_end_without_start(self) -> None:
        """The end of a window that is not open is refused, and never a crash."""
        measured = window()

        with pytest.raises(UsageMistake, match="is not open: use it in a with statement"):
            measured.__exit__(None, None, None)
        with measured:
            pass
        with pytest.raises(UsageMistake, match="is not open"):
            measured.__exit__(None, None, None)

    def test_read_before_its_end(self) -> None:
        """A metric has no value before the end."""
        measured = window()

        with pytest.raises(UsageMistake, match="has not ended yet: read minor_faults after its with block"):
            _ = measured.minor_faults
        with measured, pytest.raises(UsageMistake, match="has not ended yet"):
            _ = measured.minor_faults

    def test_no_such_metric(self) -> None:
        """What is no metric is no attribute."""
        with pytest.raises(AttributeError, match=r"a window has no metric 'minor_fault'.*minor_faults"):
            _ = window().minor_fault

    def test_metric_that_was_not_measured(self) -> None:
        """A metric that costs something is taken where it is asked for, and the error says how to ask."""
        with window() as measured:
            pass

        with pytest.raises(UsageMistake, match=r"throughput was not measured in window 'w'"):
            _ = measured.throughput

    def test_nested(self) -> None:
        """Windows nest: each reads its own faults, and an inner one does not spoil the outer one's peak."""
        with window() as outer:
            touch(30_000)
            with window() as inner:
                touch(100)
            touch(1_000)

        assert (outer.minor_faults, inner.minor_faults) == (31_100, 100)
        slack = outer.measured()["peak_rss"].uncertainty
        assert abs(outer.peak_rss - 30_000 * mmap.PAGESIZE) <= slack
        assert inner.peak_rss < 30_000 * mmap.PAGESIZE

    def test_inner_ones_cost_the_outer_one_nothing(self) -> None:
        """What it takes to start, stop and keep 500 windows, some 300 pages, is no fault of the window round them."""
        inner = [window() for _ in range(500)]
        with window() as outer:
            for each in inner:
                with each:
                    pass

        # Where an object that is kept fills a page, the next one of the loop itself begins another.
        assert outer.minor_faults < 25
        assert {each.minor_faults for each in inner} == {0}

    @pytest.mark.parametrize("wide", [False, True])
    def test_inner_rounds_cost_the_outer_one_nothing(self, wide: bool, monkeypatch: pytest.MonkeyPatch) -> None:
        """Nor are 500 rounds of an inner call, inline and with the frames of a child."""
        monkeypatch.setattr(CONDITIONS, "wide_frames", wide)
        inner = window(rounds=500)
        with window() as outer:
            inner.repeat(int, (), {})

        assert outer.minor_faults < 25
        assert set(inner.measured()["minor_faults"].samples) == {0}

    def test_overlapping(self) -> None:
        """Windows may end in another order than the opposite of their start, as in tasks."""

        def overlap() -> tuple[int, int]:
            first, second = window(), window()
            first.__enter__()
            second.__enter__()
            touch(500)
            first.__exit__(None, None, None)
            touch(200)
            second.__exit__(None, None, None)
            return first.minor_faults, second.minor_faults

        overlap()  # the interpreter's own objects have room from here on
        assert overlap() == (500, 700)


class TestRounds:
    """``memperf(function)`` with ``rounds``, ``warmup`` and ``setup``."""

    def test_counts_of_calls(self) -> None:
        """The function runs warm-up and rounds times, the set-up before each; the last result comes back."""
        calls: list[str] = []
        measured = window(rounds=3, warmup=2, setup=lambda: calls.append("setup"))
        result = measured.repeat(lambda x, *, y: calls.append("call") or (x, y, len(calls)), (1,), {"y": 2})

        assert result == (1, 2, 10)
        assert calls == ["setup", "call"] * 5
        assert len(measured.measured()["minor_faults"].samples) == 3

    def test_samples_and_median(self) -> None:
        """Each round is a sample; the value is their median, the uncertainty at least half their spread."""
        pages = iter([500, 10, 20])
        measured = window(rounds=3)
        measured.repeat(lambda: touch(next(pages)), (), {})
        faults = measured.measured()["minor_faults"]

        assert (faults.samples, faults.value, faults.uncertainty) == ((500, 10, 20), 20, 245)

    def test_setup_is_outside(self) -> None:
        """What the set-up does is not measured."""
        measured = window(rounds=2, setup=lambda: touch(300))
        measured.repeat(touch, (5,), {})

        assert measured.minor_faults == 5

    def test_exception_in_a_round(self) -> None:
        """An exception in the second round ends the window with what the first one read."""
        steps = iter([touch, divmod])
        measured = window(rounds=3)
        with pytest.raises(TypeError):
            measured.repeat(lambda: next(steps)(3), (), {})

        assert len(measured.rounds) == 2
        assert all(each.finished for each in measured.rounds)

    def test_async_rounds(self) -> None:
        """A coroutine function is awaited in each round."""

        async def work(pages: int) -> int:
            await asyncio.sleep(0)
            return touch(pages)

        measured = window(rounds=2, warmup=1)
        result = asyncio.run(measured.repeat_async(work, (40,), {}))

        assert result == 40
        assert measured.measured()["minor_faults"].samples == (40, 40)


class TestTime:
    """Time and the rates that follow from it."""

    def test_throughput(self) -> None:
        """Throughput is the declared bytes over the time of the round."""
        with window(bytes="1 MiB") as measured:
            touch(1)

        assert measured.throughput == pytest.approx(2**20 / measured.wall_time)
        assert measured.bytes == 2**20

    def test_time_from_elsewhere(self) -> None:
        """A benchmark's median takes the place of the one call's time; a reason leaves no time."""
        with window(bytes=1000, max_wall_time="1 s") as measured:
            pass
        measured.take_time(Reading(0.5, 0.1))

        assert (measured.wall_time, measured.throughput) == (0.5, 2000.0)
        assert measured.measured()["throughput"].uncertainty == pytest.approx(400)

        measured.take_time("no time here")
        (check,) = measured.result("t").checks

        assert (check.status, check.reason) == (Status.UNCHECKED, "no time here")


def test_default_settings_measure_what_is_always_taken() -> None:
    """Without settings the cheap metrics are there, the costly ones are not."""
    with Window("w", Settings(), REGISTRY) as measured:
        pass

    assert {"minor_faults", "major_faults", "peak_rss", "retained_rss", "wall_time"} <= set(measured.measured())
    assert "throughput" not in measured.measured()


class TestConditions:
    """What a process does round its windows."""

    def test_progress(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Progress is told after each round, outside of it."""
        told: list[tuple[str, int, int]] = []
        monkeypatch.setattr(CONDITIONS, "progress", lambda *where: told.append(where) or touch(50))
        measured = window(rounds=3)
        measured.repeat(touch, (2,), {})

        assert told == [("w", 1, 3), ("w", 2, 3), ("w", 3, 3)]
        assert measured.measured()["minor_faults"].samples == (2, 2, 2)

    def test_settle_once_before_the_outermost(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Settling comes right before a window, not inside another one."""
        settled: list[int] = []
        monkeypatch.setattr(CONDITIONS, "settle", lambda: settled.append(1))
        with window(), window():
            pass

        assert settled == [1]

    def test_settle_before_the_judged_call(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The measured call settles in each round, although the call phase is open."""
        settled: list[int] = []
        monkeypatch.setattr(CONDITIONS, "settle", lambda: settled.append(1))
        measurement = Measurement("t", parse_settings({"rounds": 3}, REGISTRY), REGISTRY)
        measurement.around(lambda: measurement.measured_call().repeat(touch, (1,), {}))()

        assert len(settled) == 1 + 3

    def test_stamp(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A result says where it was measured."""
        monkeypatch.setattr(CONDITIONS, "isolation", "process")
        monkeypatch.setattr(CONDITIONS, "allocator", "jemalloc")
        monkeypatch.setattr(CONDITIONS, "notes", ["why"])
        with window() as measured:
            pass
        result = measured.result("t")

        assert (result.isolation, result.allocator, result.notes) == ("process", "jemalloc", ["why"])
