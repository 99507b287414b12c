"""Results that stay in their file until somebody looks at them."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_memperf.model.errors import UsageMistake
from pytest_memperf.model.metric import Better, Cost, Measured, Metric, Trust
from pytest_memperf.model.result import Key, Result
from pytest_memperf.model.run import Run
from pytest_memperf.model.units import COUNT, SECONDS
from pytest_memperf.report import json_reader, result_lines
from pytest_memperf.report.json_file import write
from pytest_memperf.report.json_reader import _read_whole, read
from pytest_memperf.report.result_lines import ResultLines, by_key

FAULTS = Metric("minor_faults", COUNT, Better.LOWER, Trust.EXACT, Cost.ON_REQUEST, help="", source="", floor=4)
TIME = Metric("wall_time", SECONDS, Better.LOWER, Trust.NOISY, Cost.ON_REQUEST, help="", source="")


def result(test: str, faults: int = 1, time: float = 0.5) -> Result:
    """Return a result with a count and a time."""
    metrics = {"minor_faults": Measured(FAULTS, (faults, faults), 2), "wall_time": Measured(TIME, (time,))}
    return Result(test, "call", "process", "glibc", 1, 2, metrics, {"swapped": 'no "swap" # 1'})


def lines_of(tmp_path: Path, *results: Result) -> ResultLines:
    """Return the results of a file."""
    write(str(tmp_path / "in.json"), Run("now", results=results))
    found = read(str(tmp_path / "in.json")).results
    assert isinstance(found, ResultLines)
    return found


class TestSequence:
    """They are what a list of them would be."""

    RESULTS = (result("a.py::test_é", 7, 1e-7), replace(result("a.py::test_b[\n\\]"), notes=["swapped 5"]), result("c"))

    def test_each_comes_back(self, tmp_path: Path) -> None:
        """By its place, from the end, in turn, and several at once."""
        lines = lines_of(tmp_path, *self.RESULTS)
        assert list(lines) == list(self.RESULTS) == lines
        assert (lines[0], lines[-1], lines[1:]) == (self.RESULTS[0], self.RESULTS[-1], list(self.RESULTS[1:]))
        assert (len(lines), lines != [], lines != 5) == (3, True, True)
        with pytest.raises(IndexError):
            lines[3]

    def test_by_key(self, tmp_path: Path) -> None:
        """Of a test that ran twice the last one counts, in the place of the first; in a file as in a list."""
        results = [result("a"), result("b"), result("a", faults=9), replace(result("b"), window="parse")]
        for found in (by_key(lines_of(tmp_path, *results)), by_key(results)):
            assert [key.place for key in found] == ["a", "b", "b, window 'parse'"]
            assert found[Key("a", "call", "glibc", "process")] == results[2]
            assert len(found) == 3
            assert Key("a", "parse", "glibc", "process") not in found

    def test_lines_that_say_the_same_of_other_numbers_have_one_shape(self, tmp_path: Path) -> None:
        """Whatever the test is called; another note is another shape."""
        lines = lines_of(tmp_path, *(result(f"t{number}", number, number / 7) for number in range(50)), self.RESULTS[1])
        assert [shape.rows for shape in lines.shapes] == [50]
        assert lines.shape_of.tolist() == [*[0] * 50, -1]

    @pytest.mark.parametrize("shapes", [0, 1])
    def test_more_shapes_than_are_kept(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shapes: int) -> None:
        """Lines of the others are read one by one, in their places."""
        monkeypatch.setattr(result_lines, "_SHAPES", shapes)
        results = [result(f"a{number}") for number in range(3)]
        results += [replace(result(f"b{number}"), notes=["note"]) for number in range(4)]
        lines = lines_of(tmp_path, *results)
        assert [shape.rows for shape in lines.shapes] == [3][:shapes]
        assert lines.shape_of.tolist() == [0 if shapes else -1] * 3 + [-1] * 4
        assert list(lines) == results
        assert by_key(lines)[results[4].key] == results[4]

    def test_a_file_that_is_closed_or_cut(self, tmp_path: Path) -> None:
        """The results are still those of the file that was read, whatever has its name now; a cut one is told."""
        lines = lines_of(tmp_path, *self.RESULTS)
        path = tmp_path / "in.json"
        os.link(path, tmp_path / "same")
        write(str(path), Run("now"))
        assert lines[2] == self.RESULTS[2]
        (tmp_path / "same").write_text("")
        with pytest.raises(UsageMistake, match=r"in.json was changed while it was read: try again$"):
            lines[2]

    @pytest.mark.usefixtures("no_garbage")
    def test_no_descriptor_is_left(self, tmp_path: Path) -> None:
        """The file is closed with the results, or at once where they cannot be read like this."""
        before = len(os.listdir("/proc/self/fd"))
        lines = lines_of(tmp_path, *self.RESULTS)
        assert len(os.listdir("/proc/self/fd")) == before + 1
        del lines
        (tmp_path / "in.json").write_text('{"format": "pytest-memperf/1", "results": [\n{}')
        with pytest.raises(UsageMistake):
            read(str(tmp_path / "in.json"))
        assert len(os.listdir("/proc/self/fd")) == before


def outcome(reader: Callable[[str], Run], path: Path) -> object:
    """Return the run, or what is said instead."""
    try:
        run = reader(str(path))
        return run.head, run.environment, list(run.results)
    except UsageMistake as mistake:
        return str(mistake)


class TestDamage:
    """What is wrong is found as by one who reads all of it, and told in the same words."""

    @pytest.fixture(params=[300, json_reader._AT_ONCE], ids=["little at once", "all at once"])
    def path(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Path:
        """Return a file with a few results, most of one shape, without a checksum."""
        monkeypatch.setattr(json_reader, "_AT_ONCE", request.param)
        results = [result(f"test_it.py::test_{number}", number, number / 7) for number in range(4)]
        write(str(tmp_path / "in.json"), Run("now", results=[*results, TestSequence.RESULTS[1]], name="main"))
        path = tmp_path / "in.json"
        path.write_text(path.read_text().rpartition(', "crc32"')[0] + "}\n")  # which would tell all damage at once
        return path

    @pytest.mark.parametrize("number", range(300))
    def test_a_changed_character(self, path: Path, number: int) -> None:
        """Anywhere: in a number, a name, between the lines, in head or tail."""
        chance, text = random.Random(number), path.read_text()
        place = chance.randrange(len(text))
        path.write_text(text[:place] + chance.choice([*'0#]}{",:\n\\.-e', "", "é"]) + text[place + 1 :])
        assert outcome(read, path) == outcome(_read_whole, path)

    @pytest.mark.parametrize(
        ("before", "after"),
        [
            ("[2, 2]", "[02, 2]"),
            ("[2, 2]", "[2, 1e999]"),
            ("[2, 2]", "[2, NaN]"),
            ("[2, 2]", "[]"),
            ("[2, 2]", "[2, 123456789012345678901]"),
            ('"uncertainty": 2', '"uncertainty": true'),
            ('"exact"', '"exactly"'),
            ('"rounds": 1, ', ""),
            ('"test": "test_it.py::test_2"', '"test": "a", "test": "test_it.py::test_2"'),
            ('"window": "call"', '"window": 5'),
            ('"window": "call"', '"window": ["call"]'),
            ("test_it.py::test_2", "test_\udcff"),
            ("test_it.py::test_2", "test_\x01"),
            ("},\n", "}\n"),
            ("}\n]", "},\n]"),
            ("\n],", "\n]"),
            ("\n],\n", "\n],\n}"),
            ('"environment"', '"results"'),
            ('"environment"', '"name"'),
            ('"created"', '"results": [], "created"'),
            ('"results"', '"others"'),
            ("\n", "\r\n"),
            ("\n", "\n\n"),
            ("pytest-memperf/1", "pytest-memperf/2"),
            ('}}\n', '}}\n{}'),
        ],
    )  # fmt: skip
    def test_what_must_not_pass(self, path: Path, before: str, after: str) -> None:
        """Each line is right where the first of its shape is; what is between them is looked at too."""
        text = path.read_text()
        assert before in text
        path.write_bytes(text.replace(before, after).encode(errors="surrogateescape"))
        assert outcome(read, path) == outcome(_read_whole, path)

    def test_the_line_is_told(self, path: Path) -> None:
        """A thousand lines on."""
        write(str(path), Run("now", results=[result(f"t{number}") for number in range(1500)]))
        path.write_text(path.read_text().replace('"t1000", ', '"t1000" '))
        with pytest.raises(UsageMistake, match=r"in.json is damaged or no JSON \(.*: line 1002 column "):
            read(str(path))

    def test_other_layouts_are_read_too(self, path: Path) -> None:
        """An editor's, for example."""
        run = read(str(path))
        run = replace(run, results=list(run.results))
        path.write_text(json.dumps(json.loads(path.read_text()), indent=2))
        assert read(str(path)) == run
        assert isinstance(read(str(path)).results, list)
