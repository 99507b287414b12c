"""Where faults come from."""

from __future__ import annotations

import mmap
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from pytest_memperf.measure import attribution
from pytest_memperf.measure.attribution import attributed, resident_by_mapping

PAGES = 300
FRESH = 33 << 20
"""Bytes that malloc always maps anew, see M_MMAP_THRESHOLD in mallopt(3)."""


def touch(pages: int) -> mmap.mmap:
    """Return fresh memory, each of its pages written."""
    memory = mmap.mmap(-1, pages * mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory.madvise(mmap.MADV_NOHUGEPAGE)
    for page in range(pages):
        memory[page * mmap.PAGESIZE] = 1  # here
    return memory


def line_of(text: str) -> int:
    """Return the number of the line of this file that ends so."""
    (number,) = (
        number for number, line in enumerate(Path(__file__).read_text().splitlines(), 1) if line.endswith(text)
    )
    return number


@pytest.fixture(params=["events of this version", "events of older ones"], autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Follow lines in both ways, where there are two."""
    if request.param == "events of older ones":
        if sys.version_info < (3, 12):
            pytest.skip("this Python has one way to follow lines: python3.12 has two")
        monkeypatch.setattr(attribution, "_monitoring", attribution._tracing)


def empty() -> bytes:
    """Return nothing to speak of."""
    return b""


def several(count: int) -> Iterator[None]:
    """Yield so often."""
    for _ in range(count):
        yield


class Lacking:
    """Has no name, which it takes a function to find out."""

    @property
    def name(self) -> str:
        """AttributeError."""
        raise AttributeError


def test_what_a_line_takes_after_a_call() -> None:
    """It is the caller's: no new line begins when a function returns or raises, or a generator yields."""
    with attributed() as found:
        returned = empty() + b"x" * FRESH  # after a return
        yielded = (*several(3), b"x" * FRESH)  # after the last yield
        raised = not hasattr(Lacking(), "name") and b"x" * FRESH  # after an exception
    assert [*map(len, (returned, yielded, raised))] == [FRESH, 4, FRESH]
    for text in ("a return", "the last yield", "an exception"):
        assert found.faults[__file__, line_of(f" # after {text}")] >= FRESH // mmap.PAGESIZE, text


def test_the_line_that_touches() -> None:
    """Each page is one fault of the line that writes to it, whoever has called."""
    touch(1)
    with attributed() as found:
        memory = touch(PAGES)
    here = (__file__, line_of(" # here"))
    memory.close()

    assert PAGES <= found.faults[here] <= PAGES + 20
    assert max(found.faults, key=found.faults.__getitem__) == here


def test_a_call_into_c() -> None:
    """It belongs to the line that calls."""
    with attributed() as found:
        kept = b"x" * FRESH  # in C
    assert len(kept) == FRESH
    assert found.faults[__file__, line_of(" # in C")] >= FRESH // mmap.PAGESIZE


def test_other_threads_are_left_out() -> None:
    """Their faults are none of this thread's lines."""
    with attributed() as found:
        thread = threading.Thread(target=touch, args=(PAGES,))
        thread.start()
        thread.join()
    assert found.faults.get((__file__, line_of(" # here")), 0) == 0
    assert sum(found.faults.values()) < PAGES


def test_what_is_raised_passes() -> None:
    """And nothing goes on following."""

    def fail() -> NoReturn:
        touch(PAGES)
        raise KeyError

    with pytest.raises(KeyError), attributed() as found:
        fail()
    assert sys.gettrace() is None
    if sys.version_info >= (3, 12):
        names = {sys.monitoring.get_tool(number) for number in range(6)}
        assert "pytest-memperf" not in names
    assert found.faults[__file__, line_of(" # here")] >= PAGES


def test_growth_by_mapping(tmp_path: Path) -> None:
    """Memory that was taken, and a file that was mapped, by their names."""
    file = tmp_path / "mapped file"
    file.write_bytes(b"x" * (PAGES * mmap.PAGESIZE))
    with file.open("r+b") as opened, attributed() as found:
        memory = mmap.mmap(opened.fileno(), 0)
        memory[:: mmap.PAGESIZE]
        kept = touch(2 * PAGES)
    memory.close()
    kept.close()

    assert found.growth["mapped file"] == PAGES * mmap.PAGESIZE
    assert found.growth["anonymous"] >= 2 * PAGES * mmap.PAGESIZE
    assert all(found.growth.values())


def test_our_own_modules_are_no_growth() -> None:
    """They have one name, which no line of a test is to blame for."""
    names = resident_by_mapping()
    assert any(name.startswith("libc.so") for name in names)
    assert not any(name.startswith("interval.") for name in names)
    assert names["pytest-memperf"]
    with attributed() as found:
        pass
    assert "pytest-memperf" not in found.growth


def test_the_peak() -> None:
    """It belongs to the line in which it rose, what was resident there to its mapping; all is gone at the end."""
    with attributed() as found:
        memory = touch(4 * PAGES)
        memory.close()
        kept = touch(PAGES)
    kept.close()
    here = (__file__, line_of(" # here"))
    size = 4 * PAGES * mmap.PAGESIZE

    assert found.peak[here] == pytest.approx(size, rel=0.1)
    assert found.growth_at_peak["anonymous"] == pytest.approx(size, rel=0.1)
    assert found.growth["anonymous"] < size / 2


def test_a_peak_within_a_call() -> None:
    """What is taken and given back by one line is known by that line, though never resident between two."""
    with attributed() as found:
        size = len(b"x" * FRESH)  # for a moment
    assert found.peak[__file__, line_of(" # for a moment")] == pytest.approx(size, rel=0.1)


def test_all_that_is_resident() -> None:
    """The sum over all mappings is what statm says, within what this call itself takes."""
    statm = int(Path("/proc/self/statm").read_text().split()[1]) * mmap.PAGESIZE
    assert sum(resident_by_mapping().values()) == pytest.approx(statm, abs=2 << 20)


def test_as_plain_data() -> None:
    """Lines with their text, the largest first, without those that have no name."""
    with attributed() as found:
        touch(PAGES).close()
        kept = b"x" * FRESH  # more
    assert kept
    plain = found.as_json(lambda file: "this" if file == __file__ else None)
    first, second = plain["faults"][:2]

    assert first[:3] == ["this", line_of(" # more"), 'kept = b"x" * FRESH  # more']
    assert second[:3] == ["this", line_of(" # here"), "memory[page * mmap.PAGESIZE] = 1  # here"]
    assert {row[0] for row in plain["faults"]} == {"this"}
    assert plain["growth"] == found.growth
