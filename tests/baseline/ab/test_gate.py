"""The gate between two sides: what each test comes to, and how many samples that takes."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from gates import MARKED, Both, judged, rows

from pytest_memperf.baseline.ab.gate import Gate, Request, agree, run
from pytest_memperf.baseline.ab.sampling import LAYOUTS
from pytest_memperf.baseline.ab.side import Sample, Side
from pytest_memperf.model.comparison import Change, Comparison
from pytest_memperf.model.errors import UsageMistake
from pytest_memperf.model.limits import Limits
from pytest_memperf.model.metric import Better, Cost, Measured, Metric, Trust
from pytest_memperf.model.result import Result
from pytest_memperf.model.units import COUNT


def test_the_side_decides(both: Both) -> None:
    """A test that touches 16 pages more, one that touches fewer, and one that is the same, in their numbers.

    A budget that base exceeds and head keeps is no obstacle. What agrees exactly takes the fewest layouts, and a
    difference as many as make it one beyond chance.
    """
    text = (
        "def test_same(): mypkg.work(32)\n"
        "def test_more(): mypkg.work()\n"
        "@pytest.mark.memperf(max_minor_faults=150)\n"
        "def test_fewer(): mypkg.work(200 if mypkg.SIDE == 'base' else 100)\n"
    )
    gate = judged(both(text))
    faults = {
        each.key.test.partition("::")[2]: each
        for each in gate.outcome.comparisons
        if each.metric and each.metric.name == "minor_faults"
    }

    assert [(name, each.change, each.difference) for name, each in faults.items()] == [
        ("test_more", Change.WORSE, 16),
        ("test_fewer", Change.BETTER, -100),
    ]
    assert [each.key.test for each in gate.outcome.failing] == ["test_it.py::test_more"]
    ((test, lines),) = gate.outcome.explanations.items()
    assert test == "test_it.py::test_more"
    assert lines[0].startswith("mypkg/__init__.py:")
    assert " 16 faults more: " in lines[0]
    assert gate.failed == []
    assert gate.runs >= 2 * (LAYOUTS[0] + 2 * LAYOUTS[-1])  # more where the machine makes times worth a look


def test_a_rate_that_one_side_has(both: Both) -> None:
    """It is new or gone, as a count is."""
    text = "".join(
        f"@pytest.mark.memperf(**({{'bytes': '1 MiB'}} if mypkg.SIDE == {side!r} else {{}}))\n"
        f"def test_{side}(): mypkg.work(32)\n"
        for side in ("base", "head")
    )
    found = {test: change for test, metric, change in rows(judged(both(text))) if metric == "throughput"}

    assert found == {"test_base": Change.GONE, "test_head": Change.NEW}


def test_what_is_not_measured_on_both(both: Both) -> None:
    """A test that base cannot run is new and says why; one that fails on head is a failure, whatever base does.

    A budget that head exceeds is a failure too.
    """
    text = (
        "head = mypkg.SIDE == 'head'\n"
        "def test_later(): assert head, 'not yet'\n"
        "def test_fails(): assert not head, 'broken\\nby something'\n"
        "def test_never(): raise ValueError('both')\n"
        "@pytest.mark.memperf(max_minor_faults=70)\n"
        "def test_over_head(): mypkg.work(100)\n"
        "def test_skipped(): pytest.skip()\n"
        "def test_skipped_on_head(): head and pytest.skip()\n"
        "def test_skipped_on_base(): head or pytest.skip('too old')\n"
        "if head:\n"
        "    def test_new(): pass\n"
        "    def test_new_and_bad(): assert False, 'at once'\n"
    )
    gate = judged(both(text))
    found = {(test, change): each for (test, _, change), each in zip(rows(gate), gate.outcome.comparisons, strict=True)}

    assert [(test.partition("::")[2], reason.partition(" (")[0]) for test, reason in gate.failed[:2]] == [
        ("test_fails", "AssertionError: broken"),
        ("test_never", "ValueError: both"),
    ]
    assert [test.partition("::")[2] for test, _ in gate.failed[2:]] == ["test_over_head", "test_new_and_bad"]
    assert "minor_faults" in gate.failed[2][1]
    assert found["test_later", Change.NEW].reason == "base cannot run it: AssertionError: not yet"
    assert found["test_new", Change.NEW].reason == ""
    assert found["test_skipped_on_base", Change.NEW].reason == "base cannot run it: Skipped: too old"
    assert {test for test, _ in found} == {"test_later", "test_new", "test_skipped_on_base"}


def once(folder: Path, side: str, run: int, what: str) -> str:
    """Return a module whose test does something in one of its runs on a side."""
    return (
        "import pathlib\n"
        f"runs = pathlib.Path({str(folder)!r}) / mypkg.SIDE\n"
        "def test_it():\n"
        "    with runs.open('a') as file: file.write('x')\n"
        "    mypkg.work()\n"
        f"    if mypkg.SIDE == {side!r} and runs.stat().st_size == {run}: {what}\n"
    )


def test_a_test_that_fails_now_and_then_on_base(both: Both, tmp_path: Path) -> None:
    """It is not new there, and nothing is told: its samples may be of a test that broke off."""
    gate = judged(both(once(tmp_path, "base", 3, "assert False, 'for once'")))
    (change,) = {each.change for each in gate.outcome.comparisons}

    assert change is Change.UNSURE
    assert {each.reason for each in gate.outcome.comparisons} == {
        "base failed in 1 of 3 runs: AssertionError: for once"
    }
    assert gate.failed == []


def test_metrics_that_nothing_is_told_of(both: Both) -> None:
    """Their names are known all the same, here and after a journey, so that a limit on them is no mistake."""
    gate = judged(both("def test_it(): mypkg.work(32)\n"))
    assert not [each for each in gate.outcome.comparisons if each.metric and each.metric.name == "wall_time"]
    for found in (gate, Gate.from_json(gate.as_json())):
        assert {"wall_time", "minor_faults"} <= found.outcome.metrics


def test_a_side_that_ends_while_times_are_looked_at(both: Both, tmp_path: Path) -> None:
    """The counts are told, and why there is no more."""
    serving = tmp_path / "serving"
    base, head = both(
        "import pathlib, random, time\n"
        f"serving = pathlib.Path({str(serving)!r})\n"
        "@pytest.mark.memperf(max_wall_time='10 s')\n"
        "def test_it():\n"
        "    mypkg.work()\n"
        "    time.sleep(0.01 + random.SystemRandom().random() / 10)\n"
        "    if mypkg.SIDE == 'base' and serving.exists(): os.kill(int(serving.read_text()), 9)\n"
    )

    def tell(text: str) -> None:
        if text.startswith("times: "):
            serving.write_text(str(base._process.pid))

    gate = run(base, head, Request(Limits()), tell)

    assert gate.mistake.startswith("base ended while it ran test_it.py::test_it")
    assert ("test_it", "minor_faults", Change.WORSE) in set(rows(gate))
    assert Gate.from_json(gate.as_json()).mistake == gate.mistake


def test_an_inline_test_proves_its_code_too(start: Callable[..., Side]) -> None:
    """As one in a process of its own does: what lies beside the tests is not what is installed."""
    test = "@pytest.mark.memperf(isolation='inline')\ndef test_it(): mypkg.work(32)\n"
    package = "def work(pages): pass\n"
    side = start("base", files={"conftest.py": "", "test_it.py": MARKED + test, "mypkg/__init__.py": package})
    with pytest.raises(UsageMistake, match=r"base: test_it\.py::test_it imported mypkg from "):
        side.run("test_it.py::test_it", 0)


def test_all_that_is_the_same_where_asked_for(both: Both) -> None:
    """Each metric has a row, with the smallest change that would have shown; noisy ones are not judged."""
    gate = judged(both("def test_it(): mypkg.work(32)\n"), keep_same=True)
    found: dict[str, Comparison] = {each.metric.name: each for each in gate.outcome.comparisons if each.metric}

    assert {each.change for each in found.values()} == {Change.SAME}
    assert "minor_faults" in found
    assert "duration" not in found
    assert all(each.smallest is not None for each in found.values())
    assert gate.runs - gate.retaken == 2 * LAYOUTS[0]


def test_interrupted(both: Both) -> None:
    """What is known by then is told, and how many tests have not had their turn."""
    sides = both(
        "import time\ndef test_one(): mypkg.work(32)\ndef test_two(): time.sleep(60)\ndef test_three(): pass\n"
    )

    def tell(test: str) -> None:
        if test.endswith("two"):
            signal.setitimer(signal.ITIMER_REAL, 1)

    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        gate = run(*sides, Request(Limits(), keep_same=True), tell)
    finally:
        signal.signal(signal.SIGALRM, before)

    assert gate.left == 2
    assert gate.outcome.interrupted
    assert gate.outcome.notes[0] == "interrupted, with 2 of 3 tests left"
    assert {test for test, _, _ in rows(gate)} == {"test_one"}
    assert gate.outcome.judged > 3


def test_reasons_of_what_does_not_fail(both: Both) -> None:
    """What became worse has them, whatever the limits allow."""
    gate = run(*both("def test_it(): mypkg.work()\n"), Request(Limits.parse(["none"])), lambda text: None)
    (lines,) = gate.outcome.explanations.values()

    assert gate.outcome.failing == []
    assert any("16 faults more" in line for line in lines)


def test_interrupted_while_it_looks_for_reasons(both: Both) -> None:
    """The verdicts are told, without the reasons."""
    slow = "mypkg.work(); time.sleep(60 if 'MEMPERF_AB_ATTRIBUTED' in os.environ else 0)"
    sides = both(f"import time\ndef test_it(): {slow}\n")

    def tell(test: str) -> None:
        if test == "why: test_it.py::test_it":
            signal.setitimer(signal.ITIMER_REAL, 1)

    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        gate = run(*sides, Request(Limits()), tell)
    finally:
        signal.signal(signal.SIGALRM, before)

    assert ("test_it", "minor_faults", Change.WORSE) in set(rows(gate))
    assert gate.outcome.explanations == {}


def spoiling(folder: Path, samples: int) -> str:
    """Return a module whose machine refuses huge pages in so many samples of a side, as its counters tell."""
    return (
        "import pathlib\n"
        "from pytest_memperf.metrics.interference import Interference\n"
        f"place = pathlib.Path({str(folder)!r}) / mypkg.SIDE\n"
        "Interference.root = place\n"
        "if not place.exists():\n"
        "    place.mkdir()\n"
        "    (place / 'stat').write_text('cpu  1 2 3 4 5 6 7 8\\n')\n"
        "    (place / 'vmstat').write_text('thp_fault_fallback 0\\n')\n"
        "def test_it():\n"
        "    runs = int((place / 'vmstat').read_text().split()[1])\n"
        f"    (place / 'vmstat').write_text(f'thp_fault_fallback {{min(runs + 1, {samples})}}\\n')\n"
        "    mypkg.work()\n"
    )


def test_samples_that_the_machine_spoilt(both: Both, tmp_path: Path) -> None:
    """They are taken anew, and counted."""
    sides = both(spoiling(tmp_path, 2))
    gate = judged(sides)

    assert gate.retaken >= 4  # and any in which the test was moved
    assert not gate.outcome.interrupted
    assert gate.outcome.notes == [
        f"{gate.retaken} of {gate.runs} runs were taken anew: the machine spoilt them, or moved the test"
    ]
    assert ("test_it", "minor_faults", Change.WORSE) in set(rows(gate))


def test_a_machine_that_spoils_every_sample(both: Both, tmp_path: Path) -> None:
    """Nothing is told apart by them, and the reason is named."""
    gate = judged(both(spoiling(tmp_path, 1_000)))
    found = {each.metric.name: each for each in gate.outcome.comparisons if each.metric}

    assert found["minor_faults"].change is Change.UNSURE
    assert found["minor_faults"].reason == "the machine spoilt its samples: huge pages were refused (1)"
    assert not any(each.failing for each in found.values() if each.metric and each.metric.name == "minor_faults")
    assert gate.retaken >= 3 * 2 * LAYOUTS[0]


@pytest.mark.parametrize(
    ("trust", "ours", "theirs", "same"),
    [
        (Trust.EXACT, (5, 0), (5, 0), True),
        (Trust.EXACT, (5, 0), (6, 0), False),
        (Trust.EXACT, (5, 4), (6, 4), False),
        (Trust.BOUNDED, (500, 40), (570, 40), True),
        (Trust.BOUNDED, (500, 40), (590, 40), False),
        (Trust.BOUNDED, (500, 0), (501, 0), False),
        (Trust.NOISY, (5, 0), (9, 0), True),
    ],
)
def test_what_agrees(trust: Trust, ours: tuple[int, int], theirs: tuple[int, int], same: bool) -> None:
    """Exact values that are equal, bounded ones within both uncertainties; times have no say. None may be missing."""
    metric = Metric("it", COUNT, Better.LOWER, trust, Cost.ALWAYS, "", "")
    base, head = (
        Sample([Result("test", "call", metrics={"it": Measured(metric, (value,), uncertainty)})])
        for value, uncertainty in (ours, theirs)
    )

    assert agree(base, head) is same
    assert not agree(base, Sample([]))
    assert agree(base, Sample([Result("test", "call")])) is (trust is Trust.NOISY)
