"""Where what became worse comes from."""

from __future__ import annotations

from typing import Any

from pytest_memperf.baseline.ab.blame import reasons

FAULTS = ["minor_faults"]


def attribution(*lines: tuple[str, int, str, int], **growth: int) -> dict[str, Any]:
    """Return what a side was seen to do."""
    return {"faults": [list(line) for line in lines], "growth": growth, "peak": [], "growth_at_peak": {}}


def test_a_line_with_more() -> None:
    """Its number on head, and how many."""
    base = attribution(("a.py", 3, "x = list(y)", 10), ("b.py", 1, "z = 1", 500))
    head = attribution(("a.py", 9, "x = list(y)", 1_510), ("b.py", 1, "z = 1", 505))
    assert reasons(base, head, FAULTS) == ["a.py:9 1,500 faults more: x = list(y)"]


def test_a_new_line_and_a_changed_one() -> None:
    """They have all that they take; what went is no reason."""
    base = attribution(("a.py", 3, "x = y", 1_000))
    head = attribution(("a.py", 3, "x = list(y)", 1_000), ("a.py", 4, "z = copy(x)", 400))
    assert reasons(base, head, FAULTS) == [
        "a.py:3 1,000 faults more: x = list(y)",
        "a.py:4 400 faults more: z = copy(x)",
    ]


def test_at_most_three() -> None:
    """The largest, and none that is less than a tenth of all."""
    head = attribution(*(("a.py", number, f"x{number}", number * 100) for number in range(1, 9)))
    assert [line.partition(" ")[0] for line in reasons(attribution(), head, FAULTS)] == ["a.py:8", "a.py:7", "a.py:6"]
    for little, told in ((99, ["a.py:1"]), (100, ["a.py:1", "a.py:2"])):
        head = attribution(("a.py", 1, "much", 1_000 - little), ("a.py", 2, "little", little))
        assert [line.partition(" ")[0] for line in reasons(attribution(), head, FAULTS)] == told


def test_mappings() -> None:
    """Those that grew more."""
    base = attribution(heap=1 << 20, anonymous=5 << 20)
    head = attribution(heap=3 << 20, anonymous=1 << 20, library=1 << 16)
    assert reasons(base, head, FAULTS) == ["heap: 2 MiB more at the end"]


def test_nothing() -> None:
    """Sides that do the same have no reason."""
    same = attribution(("a.py", 3, "x", 10), heap=5)
    assert reasons(same, same, FAULTS) == []
    assert reasons(attribution(), attribution(), FAULTS) == []


def test_the_peak() -> None:
    """By line and by mapping, and only where it is what became worse."""
    head = {**attribution(), "peak": [["a.py", 7, "b = a + a", 4 << 20]], "growth_at_peak": {"[heap]": 4 << 20}}
    assert reasons(attribution(), head, ["peak_rss", "minor_faults"]) == [
        "a.py:7 4 MiB more at the peak: b = a + a",
        "[heap]: 4 MiB more at the peak",
    ]
    assert reasons(attribution(), head, FAULTS) == []


def test_the_peak_alone() -> None:
    """Then faults and what stays at the end are no reasons: head may even have fewer of them."""
    head = {
        "faults": [["a.py", 3, "sum(x)", 13]],
        "growth": {"[heap]": 1 << 14},
        "peak": [["a.py", 7, "b = a + a", 4 << 20]],
        "growth_at_peak": {"[heap]": 4 << 20},
    }
    told = ["a.py:7 4 MiB more at the peak: b = a + a", "[heap]: 4 MiB more at the peak"]
    assert reasons(attribution(), head, ["peak_rss"]) == told
    assert reasons(attribution(), head, ["peak_rss", "retained_rss"]) == [
        "a.py:3 13 faults more: sum(x)",
        *told,
        "[heap]: 16 KiB more at the end",
    ]
