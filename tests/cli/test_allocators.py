"""memperf allocators."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from pytest_memperf.cli import main
from pytest_memperf.malloc import MALLOCS, preload

HERE = [name for name, malloc in MALLOCS.items() if preload.lack(malloc) is None]
WORK = [sys.executable, "-c", "x = [bytearray(200_000) for _ in range(100)]"]


class TestList:
    """``memperf allocators list``."""

    def test_each_has_a_line(self, capsys: pytest.CaptureFixture[str]) -> None:
        """Its version and file, or the package to install."""
        assert main(["allocators", "list"]) == 0
        head, *lines = capsys.readouterr().out.splitlines()
        assert head.split() == ["allocator", "version", "file"]
        assert [line.split()[0] for line in lines] == list(MALLOCS)
        for name, line in zip(MALLOCS, lines, strict=True):
            wanted = preload.path_of(MALLOCS[name]) or ("the C library" if name in HERE else "apt-get install")
            assert wanted in line

    def test_json(self, capsys: pytest.CaptureFixture[str]) -> None:
        """The same."""
        assert main(["allocators", "list", "--json"]) == 0
        found = {each["name"]: each for each in json.loads(capsys.readouterr().out)["allocators"]}
        assert [name for name, each in found.items() if each["unavailable"] is None] == HERE
        assert all(each["version"] for name, each in found.items() if name in HERE)

    def test_chosen_ones(self, capsys: pytest.CaptureFixture[str]) -> None:
        """In the order that is given."""
        assert main(["allocators", "list", "--only=mimalloc, glibc,mimalloc"]) == 0
        assert [line.split()[0] for line in capsys.readouterr().out.splitlines()[1:]] == ["mimalloc", "glibc"]


class TestCommand:
    """``memperf allocators -- COMMAND``."""

    def test_table(self, capsys: pytest.CaptureFixture[str]) -> None:
        """A row for each library that is there, with ratios to the first."""
        assert main(["allocators", "--rounds=1", "--", *WORK]) == 0
        head, *lines = capsys.readouterr().out.splitlines()
        assert head.split() == ["allocator", "wall_time", "cpu_time", "minor_faults", "major_faults", "peak_rss"]
        rows = lines[: len(HERE)]
        assert [line.split()[0] for line in rows] == HERE
        assert " x" not in rows[0]
        assert all(line.count(" x") >= 4 for line in rows[1:])
        assert len(lines) == len(MALLOCS)  # the others with the package to install

    def test_json(self, capsys: pytest.CaptureFixture[str]) -> None:
        """With every run, and what could not be."""
        assert main(["allocators", "--only=glibc", "--rounds=2", "--json", "--", *WORK]) == 0
        found = json.loads(capsys.readouterr().out)
        assert found["command"] == WORK
        (row,) = found["allocators"].values()
        assert len(row["runs"]) == 2
        assert row["peak_rss"] == sum(each["peak_rss"] for each in row["runs"]) / 2 > 20_000_000
        assert found["unavailable"] == {}

    def test_counts(self, capsys: pytest.CaptureFixture[str]) -> None:
        """A second table has a row for each library: the same blocks under each, but for some at its start."""
        assert main(["allocators", "--rounds=1", "--count", "--json", "--", *WORK]) == 0
        found = json.loads(capsys.readouterr().out)["allocators"]
        assert list(found) == HERE
        for each in found.values():
            assert each["counts"]["sizes"][str(1 << 18)] >= 100
            assert each["counts"]["peak"] >= 100 * 200_000
            assert abs(each["counts"]["mallocs"] - found[HERE[0]]["counts"]["mallocs"]) < 100
        assert main(["allocators", "--rounds=1", "--count", "--only=glibc", "--", *WORK]) == 0
        _, table = capsys.readouterr().out.split("\n\n")
        head, row = table.splitlines()
        assert head.split() == [
            *("allocator", "processes", "mallocs", "frees", "reallocs", "requested", "peak", "fragmentation"),
        ]
        assert row.split()[:2] == ["glibc", "1"]

    def test_a_peak_below_what_can_be_told(self, capsys: pytest.CaptureFixture[str]) -> None:
        """Is told as such: a small program of C."""
        assert main(["allocators", "--only=glibc", "--rounds=1", "--", "true"]) == 0
        assert "at most" in capsys.readouterr().out.splitlines()[1]

    def test_a_command_that_fails(self, capfd: pytest.CaptureFixture[str]) -> None:
        """Its last words, how it ended, and exit code 1; nothing that looks like a result."""
        code = "import sys; print('no such table'); sys.exit(7)"
        assert main(["allocators", "--", sys.executable, "-c", code]) == 1
        out, err = capfd.readouterr()
        assert out == ""
        assert err == f"no such table\nmemperf: {sys.executable} ended with status 7 under glibc\n"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "name a command: memperf allocators -- COMMAND, or memperf allocators list"),
        (["--rounds=0", "--", "true"], "--rounds=0: give a whole number from 1 up"),
        (["--only=jemaloc", "--", "true"], "--only=jemaloc: there is no allocator 'jemaloc'; did you mean 'jemalloc'?"),
        (["--", "no-such-command"], "there is no command 'no-such-command': give its name on PATH, or its path"),
        (
            ["list", "--", "true"],
            "memperf allocators list takes no command, no --rounds and no --count: leave them out",
        ),
    ],
)
def test_mistakes(arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    """One line, and exit code 2."""
    assert main(["allocators", *arguments]) == 2
    assert capsys.readouterr().err == f"memperf: {told}\n"


def test_a_script_without_a_first_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A shell would run it, execve(2) does not."""
    script = tmp_path / "script"
    script.write_text("true\n")
    script.chmod(0o755)
    assert main(["allocators", "--", str(script)]) == 2
    assert capsys.readouterr().err == f"memperf: {script} is no program of this system: name one\n"


def test_a_program_for_another_processor(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Cannot load the libraries of this one."""
    other = next((name for name in HERE if name != "glibc"), None)
    if other is None:
        pytest.skip("no other library for malloc is installed: apt-get install libjemalloc2")
    program = tmp_path / "program"
    content = bytearray(Path(sys.executable).read_bytes())
    content[18:20] = b"\xf3\x00"  # RISC-V
    program.write_bytes(content)
    program.chmod(0o755)
    assert main(["allocators", f"--only={other}", "--", str(program)]) == 2
    assert f"is for other processors than {program}: install {other} for those" in capsys.readouterr().err


def test_one_that_is_asked_for_and_not_there(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A mistake where it is named; else a line below the table."""
    found = preload.path_of
    monkeypatch.setattr(preload, "path_of", lambda malloc: None if malloc.name == "jemalloc" else found(malloc))
    assert main(["allocators", "--only=glibc,jemalloc", "--rounds=1", "--", "true"]) == 2
    line = "jemalloc is not installed: apt-get install libjemalloc2"
    assert capsys.readouterr().err == f"memperf: {line}\n"
    assert main(["allocators", "--rounds=1", "--", "true"]) == 0
    assert line in capsys.readouterr().out.splitlines()
