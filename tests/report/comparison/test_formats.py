"""The formats of a comparison: each is read back by what reads such files."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jsonschema
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from junitparser import JUnitXml
from junitparser.xunit2 import TestCase
from markdown_it import MarkdownIt

from pytest_memperf.cli.outcomes import FORMATS
from pytest_memperf.model.comparison import Change, Comparison, Side
from pytest_memperf.model.metric import Better, Cost, Metric, Trust
from pytest_memperf.model.outcome import Outcome
from pytest_memperf.model.result import Key
from pytest_memperf.model.units import BYTES, COUNT, SECONDS
from pytest_memperf.report.comparison import github, markdown, terminal
from pytest_memperf.report.comparison import json as json_form
from pytest_memperf.report.comparison.texts import Order, rows
from pytest_memperf.report.table import printable

FAULTS = Metric("minor_faults", COUNT, Better.LOWER, Trust.EXACT, Cost.ALWAYS, help="", source="")
PEAK = Metric("peak_rss", BYTES, Better.LOWER, Trust.BOUNDED, Cost.ALWAYS, help="", source="")
TIME = Metric("wall_time", SECONDS, Better.LOWER, Trust.NOISY, Cost.ALWAYS, help="", source="")
NASTY = "tests/test_it.py::test_it[a|b`c<d>\n* _e_ & \\| \x1b[31m é ::error::, %0A \r --> ]]> @f #1 ~~g~~]"


def key(test: str = "tests/test_it.py::test_it", window: str = "call", allocator: str = "glibc") -> Key:
    """Return what a result is called."""
    return Key(test, window, allocator, "process")


def values(
    metric: Metric, change: Change, base: float, head: float, *, test: str = key().test, **more: Any
) -> Comparison:
    """Return a comparison of two values."""
    sides = (Side(base, base, base), Side(head, head, head))
    return Comparison(key(test), metric, change, base=sides[0], head=sides[1], **more)


def outcome(*comparisons: Comparison) -> Outcome:
    """Return what two runs came to."""
    found = Outcome("run 0001", "run 0002")
    for comparison in comparisons:
        found.add(comparison)
    return found


MIXED = outcome(
    values(FAULTS, Change.WORSE, 100, 200, failing=True, reason="apart by 100", smallest=4),
    values(PEAK, Change.SAME, 1 << 20, 1 << 20, smallest=4096),
    values(PEAK, Change.BETTER, 4096, 0, test="tests/test_it.py::TestA::test_b[1]"),
    values(TIME, Change.CHANGED, 0, 1.5, test="tests/test_it.py::TestA::test_b[1]"),
    Comparison(key("tests/test_other.py::test_it"), TIME, Change.UNSURE, "noisy"),
    Comparison(key("tests/test_new.py::test_it"), None, Change.NEW, "perhaps test_old renamed"),
    Comparison(key("tests/test_new.py::test_old"), None, Change.GONE),
    Comparison(key(window="parse"), None, Change.NOT_COMPARABLE, "kernel 1 and 2"),
)
EMPTY = Outcome("run 0001", "run 0002")
SAME = outcome(values(FAULTS, Change.SAME, 5, 5))
FAILED = outcome(
    values(FAULTS, Change.WORSE, 100, 200, failing=True),
    values(TIME, Change.SAME, 1, 1),
)
FAILED.failed = {key().test: "AssertionError: broken", "tests/test_gone.py": "ImportError: nothing"}
FAILED.explanations = {key().test: ["it.py:8 100 faults more: rows = @all"]}
HOSTED = replace(FAILED, host="ssh=box")
BROKEN = replace(SAME, failed={key().test: "AssertionError: broken"})
NAMED = outcome(
    values(FAULTS, Change.WORSE, 1, 2, test=NASTY, failing=True, reason=NASTY),
    Comparison(key(NASTY), TIME, Change.UNSURE, NASTY),
)


def unsure(test: str, detail: str = "-9.0% to +9.0% in 8 pairs") -> Comparison:
    """Return a time of a test of which no more is known."""
    return Comparison(key(test), TIME, Change.UNSURE, "too few pairs", detail=detail)


def text(name: str, *outcomes: Outcome) -> str:
    """Return what a format writes."""
    file = io.StringIO()
    FORMATS[name](file, list(outcomes))
    return file.getvalue()


@pytest.mark.parametrize("name", ["terminal", "markdown"])
def test_what_shares_its_reason_is_one_line(name: str) -> None:
    """Without the details of each; of one alone they are told."""
    several = text(name, outcome(*(unsure(f"a.py::test_{number}", f"{number} pairs") for number in range(5))))
    alone = text(name, outcome(unsure("a.py::test_it")))

    assert several.count("too few pairs") == 1
    assert "and 2 more: too few pairs\n" in several
    assert "too few pairs (-9.0% to +9.0% in 8 pairs)" in alone


@pytest.mark.parametrize("name", set(FORMATS) - {"csv"})
def test_notes(name: str) -> None:
    """What bears on all of it stands in each format for which there is a place, once."""
    assert text(name, replace(SAME, notes=["nobody was there", "it rained"])).count("it rained") == 1


def test_csv_has_what_fails() -> None:
    """A row for each test that fails on head, in the columns that it has something for."""
    *_, test, module = csv.DictReader(io.StringIO(text("csv", FAILED)))
    assert (test["test"], test["verdict"], test["fails"], test["reason"], test["metric"]) == (
        key().test, "fails on head", "1", "AssertionError: broken", "",
    )  # fmt: skip
    assert module["test"] == "tests/test_gone.py"


def test_windows_are_of_one_test() -> None:
    """The upshot counts tests."""
    twice = [values(FAULTS, Change.WORSE, 1, 2, failing=True)]
    twice.append(replace(twice[0], key=twice[0].key._replace(window="parse")))
    assert text("markdown", outcome(*twice)).startswith("### 2 memory regressions in 1 test\n")


def test_interrupted() -> None:
    """Whoever reads the upshot knows that it is not the whole; JSON gives it back."""
    found = replace(SAME, interrupted=True, notes=["2 tests left"])
    (data,) = json.loads(text("json", found))["comparisons"]

    assert text("markdown", found).startswith("### No memory regression before it was interrupted\n")
    assert text("github", found).startswith("::warning title=memperf::No memory regression before it was interrupted")
    assert (data["interrupted"], data["notes"]) == (True, ["2 tests left"])
    assert (json_form.from_json(data).interrupted, json_form.from_json(data).notes) == (True, ["2 tests left"])
    assert "interrupted" not in json.loads(text("json", SAME))["comparisons"][0]


def test_details_for_programs() -> None:
    """JSON has them apart, and gives them back; CSV has them with the reason."""
    found = outcome(unsure("a.py::test_it"), SAME.comparisons[0])
    (data,) = json.loads(text("json", found))["comparisons"]
    (row, same) = data["metrics"]

    assert (row["reason"], row["detail"]) == ("too few pairs", "-9.0% to +9.0% in 8 pairs")
    assert "detail" not in same
    assert [each.words for each in json_form.from_json(data).comparisons] == [each.words for each in found.comparisons]
    assert "too few pairs (-9.0% to +9.0% in 8 pairs)" in text("csv", found)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("outcomes", [[], [EMPTY], [MIXED], [MIXED, NAMED, EMPTY]], ids=len)
def test_each_takes_any_number(name: str, outcomes: list[Outcome]) -> None:
    """None, an empty one, several; the text ends with its line, and what is shown to a reader hides nothing."""
    found = text(name, *outcomes)
    assert found == "" or found.endswith("\n")
    assert name in ("json", "csv", "junit") or "\x1b" not in found


class TestTerminal:
    """A table of text."""

    def test_shows_regressions_first(self) -> None:
        """Then what is better, then what changed; the others by their reasons, and the counts."""
        assert text("terminal", MIXED).splitlines() == [
            "base: run 0001",
            "head: run 0002",
            "test                                metric         base     head            change  verdict       why",
            "tests/test_it.py::test_it           minor_faults    100      200     +100 (2.00 x)  worse, fails  "
            "apart by 100",
            "tests/test_it.py::TestA::test_b[1]  peak_rss      4 KiB      0 B  -4 KiB (-100.0%)  better",
            "tests/test_it.py::TestA::test_b[1]  wall_time      0 ns  1.500 s          +1.500 s  changed",
            "tests/test_it.py::test_it           peak_rss      1 MiB    1 MiB                 0  same          "
            "more than 4 KiB would show",
            "unsure: wall_time of tests/test_other.py::test_it: noisy",
            "not comparable: tests/test_it.py::test_it, window 'parse': kernel 1 and 2",
            "new: tests/test_new.py::test_it: perhaps test_old renamed",
            "gone: tests/test_new.py::test_old",
            "1 worse, 1 better, 1 changed, 1 unsure, 1 not comparable, 1 new, 1 gone, 1 same",
        ]

    def test_shows_how_far_samples_lie_apart(self) -> None:
        """Beside the median."""
        spread = replace(values(FAULTS, Change.SAME, 10, 10), head=Side(10, 7, 11))
        assert "  10  10 ±3  " in text("terminal", outcome(spread))

    def test_of_nothing(self) -> None:
        """It says so."""
        assert text("terminal", EMPTY) == "base: run 0001\nhead: run 0002\nnothing to compare\n"

    def test_a_long_one_is_cut_in_a_session(self) -> None:
        """The last line tells how many more there are."""
        many = outcome(*(values(FAULTS, Change.WORSE, 1, 2, test=f"t{number}") for number in range(60)))
        written: list[str] = []
        terminal.write(lambda part, **markup: written.append(part), many, 50)
        assert "... and 10 more (-v)\n" in written
        assert "t49" in "".join(written)
        assert "t50" not in "".join(written)

    def test_names_cannot_break_lines(self) -> None:
        """Control characters are written out."""
        assert len(text("terminal", NAMED).splitlines()) == 6

    def test_many_tests_of_a_reason_are_one_line(self) -> None:
        """The first three are named, and the metrics that it holds for."""
        noisy = [Comparison(key(f"t{n}"), each, Change.UNSURE, "noisy") for n in range(2000) for each in (TIME, PEAK)]
        assert "unsure: wall_time, peak_rss of t0, t1, t2 and 1,997 more: noisy\n" in text("terminal", outcome(*noisy))


class TestOrder:
    """The order of rows, for terminal, markdown and GitHub."""

    ROWS = outcome(
        values(FAULTS, Change.BETTER, 100, 10, test="a.py::test_x[10]"),
        values(PEAK, Change.WORSE, 100, 150, test="a.py::test_x[2]"),
        values(FAULTS, Change.WORSE, 100, 130, test="a.py::test_x[2]", failing=True),
        values(PEAK, Change.SAME, 5, 5, test="a.py::test_x[1]"),
        values(PEAK, Change.CHANGED, 0, 1, test="a.py::test_x[10]"),
    )

    @pytest.mark.parametrize(
        ("order", "expected"),
        [
            (Order(), ["2 minor_faults", "2 peak_rss", "10 minor_faults", "10 peak_rss", "1 peak_rss"]),
            (Order("change"), ["10 peak_rss", "10 minor_faults", "2 peak_rss", "2 minor_faults", "1 peak_rss"]),
            (Order("name"), ["1 peak_rss", "2 minor_faults", "2 peak_rss", "10 minor_faults", "10 peak_rss"]),
            (
                Order(group="metric"),
                ["2 minor_faults", "10 minor_faults", "2 peak_rss", "10 peak_rss", "1 peak_rss"],
            ),
            (
                Order("change", "test"),
                ["10 peak_rss", "10 minor_faults", "2 peak_rss", "2 minor_faults", "1 peak_rss"],
            ),
            (
                Order("change", "metric"),
                ["10 peak_rss", "2 peak_rss", "1 peak_rss", "10 minor_faults", "2 minor_faults"],
            ),
        ],
        ids=str,
    )
    def test_is_as_asked(self, order: Order, expected: list[str]) -> None:
        """A group stands where its first row would; from nothing is the largest change."""
        found = [f"{texts[0][13:-1]} {texts[1]}" for _, texts in rows(self.ROWS.comparisons, order)]
        assert found == expected

    @pytest.mark.parametrize("write", [terminal.write_all, markdown.write])
    def test_reaches_the_rows(self, write: Callable[..., None]) -> None:
        """Of those that readers see."""
        file = io.StringIO()
        write(file, [self.ROWS], Order("name"))
        assert [int(number) for number in re.findall(r"test_x\[(\d+)\]", file.getvalue())] == [1, 2, 2, 10, 10]


def table_of(written: str) -> list[list[str]]:
    """Return the cells of all tables in the markdown, as a reader of it understands them; markup is gone."""
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(written)
    lines: list[list[str]] = []
    for number, token in enumerate(tokens):
        if token.type == "tr_open":
            lines.append([])
        if token.type in ("th_open", "td_open"):
            lines[-1].append("".join(child.content for child in tokens[number + 1].children or ()))
    return lines


class TestMarkdown:
    """A comment on a pull request."""

    def test_has_the_upshot_a_table_and_remarks(self) -> None:
        """In this order; a regression is bold."""
        found = text("markdown", MIXED)
        assert found.startswith("### 1 memory regression in 1 test\n\nrun 0002 against run 0001: 1 worse, ")
        assert table_of(found)[:2] == [
            ["test", "metric", "base", "head", "change", "verdict", "why"],
            [
                "tests/test_it.py::test_it",
                "minor_faults",
                "100",
                "200",
                "+100 (2.00 x)",
                "worse, fails",
                "apart by 100",
            ],
        ]
        assert "| **worse, fails** |" in found
        assert "<details><summary>4 remarks</summary>\n" in found
        assert "- new: tests/test\\_new.py::test\\_it: perhaps test\\_old renamed\n" in found

    @pytest.mark.parametrize(
        ("outcome", "headline"),
        [(EMPTY, "### Memory: nothing could be judged"), (SAME, "### No memory regression")],
    )
    def test_says_what_there_is_none_of(self, outcome: Outcome, headline: str) -> None:
        """Nothing judged is not the same as nothing found."""
        assert text("markdown", outcome).splitlines()[0] == headline

    @given(st.text(st.characters(codec="utf-8"), min_size=1), st.text())
    @example(NASTY, NASTY)
    @example("a\\", "\\")
    @example("`", "``|``")
    def test_names_cannot_break_the_table(self, name: str, reason: str) -> None:
        """A reader of markdown finds seven cells in each row, with the name and the reason that were written."""
        test = f"test_it.py::test_it[{name}]"
        found = text("markdown", outcome(values(FAULTS, Change.WORSE, 1, 2, test=test, reason=f"why: {reason}.")))
        (_, row) = table_of(found)
        assert len(row) == 7
        assert row[0] == printable(test).replace("`", "'")
        assert row[6].replace("\u200b", "") == printable(f"why: {reason}.").replace("\u200b", "")

    @given(st.text())
    @example(NASTY)
    def test_names_cannot_break_remarks(self, name: str) -> None:
        """One line each, in which nothing is markup."""
        comparison = Comparison(key(f"t[{name}]"), None, Change.NEW, f"perhaps {name}.")
        tokens = MarkdownIt("commonmark").enable("strikethrough").parse(text("markdown", outcome(comparison)))
        (item,) = [tokens[number + 2] for number, token in enumerate(tokens) if token.type == "list_item_open"]
        found = "".join(child.content for child in item.children or ()).replace("\u200b", "")
        assert found == printable(f"new: t[{name}]: perhaps {name}.").replace("\u200b", "")

    @given(
        st.lists(st.sampled_from(["@", "#", "!", "GH-", "www.", "https://", "/", "a", "1", "_", "`", " "])).map("".join)
    )
    @example("@team/all #1 !2 GH-3 owner/repo#4 https://example.com/5 www.example.com @_a")
    @example("/close")
    def test_nothing_becomes_a_link(self, words: str) -> None:
        """Outside of code, which forges leave alone, nobody is mentioned, and no issue or address is."""
        found = outcome(
            values(FAULTS, Change.WORSE, 1, 2, test=f"t[{words}]", reason=words, failing=True),
            Comparison(key(f"t[{words}]"), None, Change.NEW, words),
        )
        found.base, found.head = words, words
        found.explanations[f"t[{words}]"] = [words]
        found.failed[f"t[{words}]"] = words
        written = text("markdown", found)
        shown = "\n".join(
            child.content
            for token in MarkdownIt("commonmark").enable("table").parse(written)
            for child in token.children or ()
            if child.type != "code_inline"
        )
        assert not re.search(r"@\w|[#!]\w|GH-\d|://|www\.", shown)
        assert not re.search("^/", written, re.MULTILINE)  # GitLab would take it for a command

    def test_tells_what_fails_on_head(self) -> None:
        """Above the table, as a failure of its own beside the regressions."""
        found = text("markdown", FAILED)
        assert found.startswith("### 1 memory regression in 1 test, 2 failures on head\n")
        assert "- `tests/test_it.py::test_it fails on head: AssertionError: broken`\n" in found
        assert "- `tests/test_gone.py cannot be imported on head: ImportError: nothing`\n" in found
        assert text("markdown", BROKEN).startswith("### 1 failure on head\n")

    @pytest.mark.parametrize("outcomes", [1, 80])
    def test_stays_short_whatever_the_names(self, outcomes: int) -> None:
        """Fewer rows where they are long, fewer comparisons where there are many; how many more is told."""
        long = outcome(
            *(values(FAULTS, Change.WORSE, 1, 2, test=f"t[{n}{'#1' * 1000}]", reason="why " * 200) for n in range(60))
        )
        found = text("markdown", *[long] * outcomes)
        assert len(found) < 65_536
        assert re.search(r"and \d+ more", found)
        assert len(table_of(found)) > 1

    def test_stays_below_what_a_comment_may_have(self) -> None:
        """50 rows and 50 remarks, and how many more there are."""
        many = outcome(
            *(values(FAULTS, Change.WORSE, 1, 2, test=f"tests/test_it.py::test_{n}") for n in range(5000)),
            *(Comparison(key(f"t{n}"), None, Change.NEW, f"reason {n}") for n in range(5000)),
        )
        found = text("markdown", many)
        assert len(found) < 65_536
        assert len(table_of(found)) == 51
        assert found.count("... and 4,950 more") == 2


class TestJson:
    """For programs."""

    def test_keeps_to_the_schema(self) -> None:
        """The one that is part of the package, whatever was compared."""
        name = "pytest-memperf-comparison-1.schema.json"
        schema = json.loads(resources.files("pytest_memperf.report.comparison").joinpath(name).read_text())
        validator = jsonschema.Draft202012Validator(schema)
        validator.check_schema(schema)
        for outcomes in ([], [EMPTY], [MIXED, NAMED], [FAILED, BROKEN, HOSTED]):
            validator.validate(json.loads(text("json", *outcomes)))
        wrong = json.loads(text("json", MIXED))
        wrong["comparisons"][0]["metrics"][1]["fails"] = True
        with pytest.raises(jsonschema.ValidationError):
            validator.validate(wrong)

    def test_has_everything(self) -> None:
        """Values in the metric's unit, and null where there is none."""
        (found,) = json.loads(text("json", MIXED))["comparisons"]
        assert (found["base"], found["head"], found["regressions"]) == ("run 0001", "run 0002", 1)
        assert found["counts"] == {change.value: 1 for change in Change}
        assert found["metrics"][0] == {
            "test": "tests/test_it.py::test_it", "window": "call", "allocator": "glibc", "isolation": "process",
            "metric": "minor_faults", "unit": "count", "trust": "exact", "better": "lower",
            "verdict": "worse", "fails": True, "reason": "apart by 100",
            "base": {"value": 100, "low": 100, "high": 100}, "head": {"value": 200, "low": 200, "high": 200},
            "difference": 100, "ratio": 2.0, "interval": [100, 100], "smallest_change": 4,
        }  # fmt: skip
        assert found["metrics"][5]["metric"] is found["metrics"][5]["base"] is found["metrics"][5]["ratio"] is None

    @pytest.mark.parametrize("outcome", [EMPTY, MIXED, NAMED, FAILED, BROKEN, HOSTED], ids=range(6))
    def test_reads_back(self, outcome: Outcome) -> None:
        """What was read says in every format what was written."""
        read = json_form.from_json(json.loads(json.dumps(json_form.as_json(outcome))))
        assert {name: text(name, read) for name in FORMATS} == {name: text(name, outcome) for name in FORMATS}
        assert (read.metrics, read.judged, read.host) == (outcome.metrics, outcome.judged, outcome.host)


def test_each_names_the_host() -> None:
    """Where it is not this one."""
    for name in FORMATS:
        found = text(name, HOSTED).replace("\\", "")
        assert "ssh=box" in found
        assert found != text(name, FAILED)


class TestCsv:
    """For a spreadsheet."""

    def test_reads_back(self) -> None:
        """A row for each metric; line breaks of any kind stay in their cell."""
        lines = list(csv.DictReader(io.StringIO(text("csv", MIXED, NAMED), newline="")))
        assert len(lines) == len(MIXED.comparisons) + len(NAMED.comparisons)
        worse, gone, nasty = lines[0], lines[6], lines[8]
        assert (worse["metric"], worse["base"], worse["head_high"], worse["ratio"]) == (
            "minor_faults",
            "100",
            "200",
            "2.0",
        )
        assert (worse["fails"], worse["verdict"], worse["smallest_change"]) == ("1", "worse", "4")
        assert (gone["verdict"], gone["metric"], gone["base"], gone["difference"]) == ("gone", "", "", "")
        assert nasty["test"] == nasty["reason"] == NASTY
        assert not any(None in line or None in line.values() for line in lines)

    def test_of_nothing(self) -> None:
        """The names of the columns."""
        assert len(text("csv").splitlines()) == len(text("csv", EMPTY).splitlines()) == 1


class TestJunit:
    """For what shows tests."""

    def suites(self, *outcomes: Outcome) -> list[ElementTree.Element]:
        """Return the suites, whose numbers are those of their cases."""
        root = ElementTree.fromstring(text("junit", *outcomes))
        assert root.tag == "testsuites"
        for suite in root:
            cases = suite.findall("testcase")
            assert suite.attrib["tests"] == str(len(cases))
            for name, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
                assert suite.attrib[name] == str(sum(case.find(tag) is not None for case in cases))
            assert all(case.attrib["name"] and case.attrib["classname"] for case in cases)
            names = [(case.attrib["classname"], case.attrib["name"]) for case in cases]
            assert len(set(names)) == len(names)
        return list(root)

    def test_a_regression_is_a_failure(self) -> None:
        """With its values as the message; what could not be judged is skipped, with the reason."""
        (suite,) = self.suites(MIXED)
        cases = {case.attrib["name"]: case for case in suite.findall("testcase")}
        assert {(case.attrib["classname"], name) for name, case in cases.items()} == {
            ("tests.test_new", "test_it"),
            ("tests.test_it.TestA", "test_b[1]"),
            ("tests.test_new", "test_old"),
            ("tests.test_it", "test_it, window 'parse'"),
        }
        failed = suite.findall("testcase/failure")
        assert [each.attrib["message"] for each in failed] == ["minor_faults 100 -> 200, +100 (2.00 x): apart by 100"]
        assert [each.attrib["message"] for each in suite.findall("testcase/skipped")] == [
            "unsure: wall_time of tests/test_other.py::test_it: noisy",
            "not comparable: tests/test_it.py::test_it, window 'parse': kernel 1 and 2",
        ]
        found = {each.attrib["name"]: each.attrib["value"] for each in suite.iterfind("testcase/properties/property")}
        assert found["memperf.call.minor_faults.base"] == "100"
        assert found["memperf.call.minor_faults.head"] == "200"

    def test_several_regressions_of_a_test_are_one_failure(self) -> None:
        """The first is the message, all are in the text."""
        worse = [values(metric, Change.WORSE, 1, 2, failing=True) for metric in (FAULTS, PEAK)]
        (failure,) = self.suites(outcome(*worse))[0].findall("testcase/failure")
        assert (failure.text or "").splitlines()[0] == failure.attrib["message"]
        assert len((failure.text or "").splitlines()) == 2

    def test_what_fails_on_head_is_an_error(self) -> None:
        """A case beside the one of its metrics, or one for a module; a regression tells where it comes from."""
        (suite,) = self.suites(FAILED)
        assert [(case.attrib["classname"], case.attrib["name"]) for case in suite.findall("testcase")] == [
            ("tests.test_it", "test_it"),
            ("tests.test_it", "test_it, on head"),
            ("tests.test_gone", "tests/test_gone.py, on head"),
        ]
        assert [each.attrib["message"] for each in suite.iterfind("testcase/error")] == list(FAILED.failed.values())
        (failure,) = suite.iterfind("testcase/failure")
        assert (failure.text or "").splitlines()[1] == "it.py:8 100 faults more: rows = @all"

    def test_a_reader_of_such_files_finds_all(self, tmp_path: Path) -> None:
        """junitparser: cases, results, and the properties of suites and cases."""
        file = tmp_path / "memperf.xml"
        file.write_text(text("junit", FAILED, MIXED), encoding="ascii")
        suites = list(JUnitXml.fromfile(str(file)))
        cases = [case for suite in suites for case in suite]
        results = [(case.name, type(result).__name__) for case in cases for result in case.result]
        values = {each.name: each.value for each in TestCase.fromelem(cases[0]).properties()}

        assert [len(list(suite)) for suite in suites] == [3, 6]
        assert results[:3] == [
            ("test_it", "Failure"),
            ("test_it, on head", "Error"),
            ("tests/test_gone.py, on head", "Error"),
        ]
        assert [each.value for each in suites[0].properties()] == ["run 0001", "run 0002"]
        assert values["memperf.call.minor_faults.head"] == "200"

    def test_a_suite_for_each_outcome(self) -> None:
        """With the sides as properties; an empty one has no cases."""
        suites = self.suites(MIXED, EMPTY, NAMED)
        assert [len(suite.findall("testcase")) for suite in suites] == [6, 0, 1]
        assert [each.attrib["value"] for each in suites[1].iterfind("properties/property")] == ["run 0001", "run 0002"]

    def test_one_test_under_two_allocators_is_two_cases(self) -> None:
        """Readers tell cases apart by their names alone."""
        two = [replace(values(FAULTS, Change.SAME, 1, 1), key=key(allocator=name)) for name in ("glibc", "jemalloc")]
        (suite,) = self.suites(outcome(*two))
        assert [case.attrib["name"] for case in suite.findall("testcase")] == [
            "test_it, glibc, process",
            "test_it, jemalloc, process",
        ]

    @given(st.text(min_size=1))
    @example(NASTY)
    @example("\x00\ud800\ufffe")
    def test_any_name_is_well_formed(self, name: str) -> None:
        """What XML cannot have is a question mark."""
        self.suites(outcome(values(FAULTS, Change.WORSE, 1, 2, test=name, failing=True, reason=name)))


class TestGithub:
    """Workflow commands, and the summary of the step."""

    MODULE = """import pytest

if True:
    def test_it():
        def test_inner(): ...


class TestA:
    class TestB:
        @pytest.mark.slow
        async def test_b(self): ...

    def test_it(self): ...
"""

    @pytest.fixture(autouse=True)
    def checkout(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Have the commands run where the tests lie, outside of any step."""
        monkeypatch.chdir(tmp_path)
        monkeypatch.delenv(github.SUMMARY, raising=False)
        monkeypatch.delenv(github.WORKSPACE, raising=False)
        (tmp_path / "test_it.py").write_text(self.MODULE)
        (tmp_path / "test_broken.py").write_text("def test_it(:")

    @pytest.mark.parametrize(
        ("test", "place"),
        [
            ("test_it.py::test_it", "file=test_it.py,line=4"),
            ("test_it.py::test_it[a::b]", "file=test_it.py,line=4"),
            ("test_it.py::TestA::test_it", "file=test_it.py,line=13"),
            ("test_it.py::TestA::TestB::test_b[1]", "file=test_it.py,line=11"),
            ("test_it.py::TestA::test_inherited", "file=test_it.py,line=8"),
            ("test_it.py::test_inner", "file=test_it.py"),
            ("test_broken.py::test_it", "file=test_broken.py"),
            ("missing/a,b: 100%.py::test_it", "file=missing/a%2Cb%3A 100%25.py"),
        ],
    )
    def test_a_regression_is_an_error_on_its_line(self, test: str, place: str) -> None:
        """Found in the file; where it cannot be, the file is named all the same."""
        lines = text("github", outcome(values(FAULTS, Change.WORSE, 1, 2, test=test, failing=True))).splitlines()
        assert lines[0].startswith(f"::error {place},title=minor_faults of ")
        assert lines[0].endswith(f"::{test.replace('%', '%25')}: minor_faults 1 -> 2, +1 (2.00 x)")
        assert lines[1].startswith(
            "::warning title=memperf::1 memory regression in 1 test: run 0002 against run 0001: "
        )
        assert len(lines) == 2

    def test_a_test_has_one(self) -> None:
        """With all of its metrics, what they come from and its failure, for GitHub shows ten; a module has one too."""
        found = replace(FAILED, comparisons=[values(each, Change.WORSE, 1, 2, failing=True) for each in (FAULTS, PEAK)])
        lines = text("github", found).splitlines()
        assert lines == [
            "::error file=tests/test_it.py,title=minor_faults%2C peak_rss%2C failure of test_it::"
            "tests/test_it.py::test_it: minor_faults 1 -> 2, +1 (2.00 x)%0A"
            "tests/test_it.py::test_it: peak_rss 1 B -> 2 B, +1 B (2.00 x)%0A"
            "it.py:8 100 faults more: rows = @all%0A"
            "tests/test_it.py::test_it fails on head: AssertionError: broken",
            "::error file=tests/test_gone.py,title=failure of tests/test_gone.py::"
            "tests/test_gone.py fails on head: ImportError: nothing",
            "::warning title=memperf::2 memory regressions in 1 test, 2 failures on head: "
            "run 0002 against run 0001: 1 worse, 1 same",
        ]

    @pytest.mark.parametrize(
        ("here", "folder", "test"),
        [
            ("", "", "packages/one/test_it.py::test_it"),
            ("", "packages/one", "test_it.py::test_it"),
            ("packages/one", "", "test_it.py::test_it"),
            ("packages", "", "packages/one/test_it.py::test_it"),
            ("packages/one", "packages/one", "test_it.py::test_it"),
        ],
    )
    def test_paths_begin_at_the_checkout(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, here: str, folder: str, test: str
    ) -> None:
        """Wherever the command runs, and wherever the paths of the tests begin: GitHub knows no other."""
        project = tmp_path / "packages" / "one"
        project.mkdir(parents=True)
        (tmp_path / "test_it.py").rename(project / "test_it.py")
        monkeypatch.setenv(github.WORKSPACE, str(tmp_path))
        monkeypatch.chdir(tmp_path / here)
        found = outcome(values(FAULTS, Change.WORSE, 1, 2, test=test, failing=True))
        found.folder = folder
        assert text("github", found).startswith("::error file=packages/one/test_it.py,line=4,")

    def test_what_does_not_fail_has_none(self) -> None:
        """Only the upshot; it warns where something could not be judged."""
        assert text("github", SAME) == (
            "::notice title=memperf::No memory regression: run 0002 against run 0001: 1 same\n"
        )
        unsure = Comparison(key(), TIME, Change.UNSURE, "noisy")
        assert text("github", outcome(unsure)).startswith("::warning title=memperf::Memory: nothing could be judged: ")
        assert text("github", outcome(unsure, SAME.comparisons[0])).startswith("::warning title=memperf::No memory")

    @given(st.text(min_size=1))
    @example(NASTY)
    def test_names_cannot_end_a_command(self, name: str) -> None:
        """The runner, which reads line by line and undoes the escapes, finds what was meant."""
        test = f"no.py::test_it[{name}]"
        found = text("github", outcome(values(FAULTS, Change.WORSE, 1, 2, test=test, failing=True)))
        lines = re.split("\r\n|\r|\n", found)
        assert [line.partition(" ")[0] for line in lines] == ["::error", "::warning", ""]
        command = re.fullmatch(r"::error file=no\.py,title=([^:,]*)::(.*)", lines[0], re.DOTALL)
        assert command is not None
        title = command[1].replace("%2C", ",").replace("%3A", ":")
        for told, meant in ((title, printable(f"minor_faults of test_it[{name}]")), (command[2], printable(test))):
            for escaped, character in (("%0D", "\r"), ("%0A", "\n"), ("%25", "%")):
                told = told.replace(escaped, character)
            assert meant in told

    def test_adds_to_the_summary_of_the_step(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Whatever other commands of the step wrote stays."""
        file = tmp_path / "summary.md"
        file.write_text("before\n")
        monkeypatch.setenv(github.SUMMARY, str(file))
        text("github", MIXED, SAME)
        assert file.read_text() == "before\n" + text("markdown", MIXED, SAME)
