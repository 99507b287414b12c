"""The command line itself: version, help, and one line for every mistake."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from pytest_memperf import __version__
from pytest_memperf.cli import COMMANDS, main
from pytest_memperf.model.run import Run
from pytest_memperf.report.json_file import write

PROGRAM = "import sys; from pytest_memperf.cli import main; sys.exit(main())"


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    """--version prints the distribution's name and version."""
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out == f"pytest-memperf {__version__}\n"


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    """Each command is there with its line."""
    with pytest.raises(SystemExit) as end:
        main(["--help"])
    assert end.value.code == 0
    output = " ".join(capsys.readouterr().out.split())
    assert all(f"{name} {purpose}" in output for name, purpose in COMMANDS.items())


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ([], f"memperf: name a command: {', '.join(COMMANDS)} (see memperf --help)"),
        (["doctr"], "memperf: there is no command 'doctr'; did you mean 'doctor'? (see memperf --help)"),
        (["xyz", "--json"], "memperf: there is no command 'xyz' (see memperf --help)"),
        (["doctor", "--foo"], "memperf: unrecognized arguments: --foo (see memperf --help)"),
        (["doctor", "--js"], "memperf: unrecognized arguments: --js (see memperf --help)"),
        (["doctor", "--json=1"], "memperf: argument --json: ignored explicit argument '1' (see memperf doctor --help)"),
        (["compare", "", "after"], "memperf: an argument is empty: give it a value, or leave it out"),
        (["compare", "1", "2", "--storage="], "memperf: --storage is empty: give it a value, or leave it out"),
        (["history", "--branch", ""], "memperf: --branch is empty: give it a value, or leave it out"),
    ],
)
def test_a_mistake_is_one_line(arguments: Sequence[str], line: str, capsys: pytest.CaptureFixture[str]) -> None:
    """It goes to standard error and names the mend; the exit code is 2."""
    assert main(arguments) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err == f"{line}\n"


def test_a_reader_that_leaves_is_no_error() -> None:
    """As in memperf doctor | head -1."""
    command = f"{sys.executable} -c '{PROGRAM}' doctor"
    answer = subprocess.run(
        ["bash", "-c", f"{command} | head -1; exit ${{PIPESTATUS[0]}}"], capture_output=True, text=True, check=False
    )
    assert answer.stdout == "Metrics\n"
    assert answer.stderr == ""
    assert answer.returncode in (0, 1)


def test_a_full_disk_is_one_line() -> None:
    """Output that cannot be written is a mistake of the call."""
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-c", PROGRAM, "doctor"]
        answer = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert answer.returncode == 2
    assert answer.stderr == "memperf: the output cannot be written (No space left on device)\n"


def test_compares_files_without_pytest(tmp_path: Path) -> None:
    """Which takes longer to import than a small run to compare."""
    write(str(tmp_path / "a.json"), Run("now"))
    code = (
        "import sys; from pytest_memperf.cli import main; main(['compare', 'a.json', 'a.json']); "
        "print({'pytest', 'numpy'} & {*sys.modules})"
    )
    answer = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert answer.stdout.splitlines()[-1] == "set()"


def test_starts_without_numpy() -> None:
    """The command does not load NumPy, not even to say which version there is."""
    code = "import sys; from pytest_memperf.cli import main; main(['doctor']); print({'numpy'} & {*sys.modules})"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.splitlines()[-1] == "set()"
