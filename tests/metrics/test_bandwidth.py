"""``bandwidth_share``: throughput over the machine's own read rate."""

from __future__ import annotations

import json
import resource

import pytest

from cyx.probes import Interval, statm
from pytest_memperf.metrics import Observation
from pytest_memperf.metrics.bandwidth import REFERENCE, Bandwidth
from pytest_memperf.model.metric import Reading

MIB = 1024 * 1024


def run(pytester: pytest.Pytester, source: str, *options: str) -> tuple[pytest.RunResult, dict[str, dict[str, object]]]:
    """Run a test file and return pytest's result and the results by window."""
    pytester.makepyfile(source)
    result = pytester.runpytest_subprocess("--memperf-json=out.json", *options)
    document = json.loads((pytester.path / "out.json").read_text())
    return result, {each["window"]: each for each in document["results"]}


class TestReading:
    """How the share follows from the readings."""

    def read(self, rates: list[float], wall_time: Reading | str, moved: int | None = 800) -> Reading | str:
        """Return what the probe makes of these reference rates."""
        probe = Bandwidth()
        probe._rates = rates
        return probe.read(Observation(Interval(), moved, wall_time=wall_time))["bandwidth_share"]

    def test_bandwidth_share_is_throughput_over_the_median(self) -> None:
        """800 bytes in 2 seconds, where the machine reads 1,000 a second, are 40 %."""
        assert self.read([1000.0, 1000.0, 1000.0], Reading(2.0)) == Reading(0.4, 0.0)

    def test_scattered_references_make_it_uncertain(self) -> None:
        """References of 800 to 1,600 put the share between 25 % and 50 %: half of that is the uncertainty."""
        value, uncertainty = self.read([800.0, 1000.0, 1600.0], Reading(2.0))

        assert (value, uncertainty) == (pytest.approx(0.4), pytest.approx(0.125))

    def test_an_uncertain_time_makes_it_uncertain(self) -> None:
        """A time that is good for 10 % gives a share that is good for 10 %."""
        value, uncertainty = self.read([1000.0], Reading(2.0, 0.2))

        assert uncertainty == pytest.approx(value * 0.1)

    def test_reasons(self) -> None:
        """Without a time or without bytes there is a reason instead."""
        assert self.read([1000.0], "the benchmark is disabled") == "the benchmark is disabled"
        assert "bytes=" in str(self.read([1000.0], Reading(2.0), None))

    def test_references_lie_on_both_sides(self) -> None:
        """A probe reads the reference before and after its round, more than once each time."""
        probe = Bandwidth()
        probe.start()
        before = len(probe._rates)
        probe.stop()

        assert before >= 2
        assert len(probe._rates) >= before + 2
        assert min(probe._rates) > 0


class TestReference:
    """The memory that is read."""

    def test_is_there_while_a_probe_needs_it(self) -> None:
        """It is resident between a start and the last stop, once for all, and gone afterwards."""
        resident = [statm()[0]]
        first, second = Bandwidth(), Bandwidth()
        for step in (first.start, second.start, first.stop, second.stop):
            step()
            resident.append(statm()[0])

        growth = [round((each - resident[0]) / MIB) for each in resident]
        assert growth[1] >= 64
        assert growth == [0, growth[1], growth[1], growth[1], 0]
        assert REFERENCE._memory is None

    def test_is_touched_before_it_is_read(self) -> None:
        """Reading it again takes no faults, so it is memory that is read, not memory that is made."""
        REFERENCE.acquire()
        try:
            REFERENCE.rates()
            before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
            REFERENCE.rates()
            assert resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before < 16
        finally:
            REFERENCE.release()


class TestWindows:
    """In tests."""

    def test_costs_the_window_nothing(self, pytester: pytest.Pytester) -> None:
        """An empty test that asks for it has 0 faults, no peak, and keeps nothing."""
        result, windows = run(
            pytester,
            """
            import pytest

            @pytest.mark.memperf(metrics=["bandwidth_share"], bytes=1, max_minor_faults=0, max_peak_rss=0,
                                 max_retained_rss=0)
            def test_empty():
                pass
            """,
        )

        result.assert_outcomes(passed=1)
        metrics = windows["call"]["metrics"]
        assert metrics["bandwidth_share"]["value"] > 0
        assert [metrics[name]["value"] for name in ("minor_faults", "peak_rss", "retained_rss")] == [0, 0, 0]

    def test_is_taken_on_request_only(self, pytester: pytest.Pytester) -> None:
        """Declared bytes alone give a throughput, but no share."""
        _, windows = run(
            pytester,
            """
            import pytest

            @pytest.mark.memperf(bytes="1 MiB")
            def test_it():
                pass
            """,
        )

        assert "throughput" in windows["call"]["metrics"]
        assert "bandwidth_share" not in windows["call"]["metrics"]

    def test_is_a_budget_of_the_measured_call(self, pytester: pytest.Pytester) -> None:
        """Each round has a share; a share that nothing reaches fails, one that everything reaches passes."""
        result, windows = run(
            pytester,
            """
            import pytest
            from cyx import patterns

            MEMORY = bytes(8 << 20)

            @pytest.mark.memperf(min_bandwidth_share="0.001%", bytes="8 MiB", rounds=3)
            def test_reached(memperf):
                memperf(patterns.scan, MEMORY)

            @pytest.mark.memperf(min_bandwidth_share="1000000%", bytes="8 MiB")
            def test_not_reached(memperf):
                with memperf.window("scan", bytes="8 MiB", metrics=["bandwidth_share"]):
                    patterns.scan(MEMORY)
                memperf(patterns.scan, MEMORY)
            """,
        )

        result.assert_outcomes(passed=1, failed=1)
        result.stdout.fnmatch_lines(["*bandwidth_share * is under min_bandwidth_share = 1*000*%*"])
        assert windows["scan"]["metrics"]["bandwidth_share"]["value"] > 0
        assert len(windows["memperf"]["metrics"]["bandwidth_share"]["samples"]) in (1, 3)

    def test_bytes_are_needed(self, pytester: pytest.Pytester) -> None:
        """A budget without them is refused at collection."""
        pytester.makepyfile(
            """
            import pytest

            @pytest.mark.memperf(min_bandwidth_share="50%")
            def test_it():
                pass
            """
        )
        result = pytester.runpytest_subprocess()

        assert result.ret == pytest.ExitCode.USAGE_ERROR
        result.stderr.fnmatch_lines(["*min_bandwidth_share needs bytes=*"])

    def test_without_memory_it_is_a_reason(self, pytester: pytest.Pytester) -> None:
        """Where the reference cannot be mapped the budget is unchecked, with the reason; the test goes on."""
        result, windows = run(
            pytester,
            """
            import resource
            import pytest

            @pytest.fixture
            def no_room():
                before = resource.getrlimit(resource.RLIMIT_AS)
                used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
                resource.setrlimit(resource.RLIMIT_AS, (used + (32 << 20), before[1]))
                yield
                resource.setrlimit(resource.RLIMIT_AS, before)

            @pytest.mark.memperf(min_bandwidth_share="1%", bytes=1)
            def test_it(no_room):
                from pytest_memperf.metrics.bandwidth import Bandwidth
                assert "cannot be had" in Bandwidth.unavailable()["bandwidth_share"]
            """,
        )

        result.assert_outcomes(passed=1)
        assert "raise the limit" in windows["call"]["unavailable"]["bandwidth_share"]
        assert windows["call"]["checks"][0]["status"] == "unchecked"


def test_this_machine_can() -> None:
    """Without a limit there is no reason."""
    assert Bandwidth.unavailable() == {}
