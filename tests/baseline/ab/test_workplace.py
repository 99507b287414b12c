"""The temporary folder of a run."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_memperf.baseline.ab.workplace import workplace

STAY = """
import sys, time
from pytest_memperf.baseline.ab.workplace import workplace
with workplace() as folder:
    (folder / "file").touch()
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Have the folders made in one of the test's own."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    return tmp_path


def test_it_goes_with_the_run(temporary: Path) -> None:
    """Also with one that fails."""

    def fail() -> None:
        with workplace() as folder:
            assert [*temporary.iterdir()] == [folder]
            (folder / "file").touch()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()

    assert [*temporary.iterdir()] == []


def test_what_a_killed_run_has_left(temporary: Path) -> None:
    """The next run removes it, and spares that of a run that goes on, and whatever else has such a name."""
    (temporary / "memperf-ab-file").touch()
    (temporary / "memperf-ab-results").mkdir()
    command = [sys.executable, "-c", STAY]
    both = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    killed, living = (Path((process.stdout or sys.stdin).readline().strip()) for process in both)
    both[0].send_signal(signal.SIGKILL)
    both[0].communicate()
    assert (killed / "file").exists()
    others = [temporary / "memperf-ab-file", temporary / "memperf-ab-results"]
    with workplace() as mine:
        assert {*temporary.iterdir()} == {mine, living, *others}
    both[1].communicate("")

    assert {*temporary.iterdir()} == {*others}
