"""Locks between processes."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_memperf.environment.locks import locked, taken

HOLD = """
import sys, time
from pathlib import Path
from pytest_memperf.environment.locks import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path: Path) -> subprocess.Popen[str]:
    """Return a process that holds the lock of a file."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, tmp_path / "lock"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_what_somebody_holds_is_not_taken(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    """Until they are killed: then the kernel has freed it."""
    with pytest.raises(BlockingIOError), taken(tmp_path / "lock", os.O_RDONLY):
        pass
    holder.send_signal(signal.SIGKILL)
    holder.communicate()
    with taken(tmp_path / "lock", os.O_RDONLY) as descriptor:
        assert os.fstat(descriptor).st_ino == (tmp_path / "lock").stat().st_ino


def test_who_locks_waits(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    """To the other's end."""
    second = subprocess.Popen([sys.executable, "-c", HOLD, tmp_path / "lock"], stdout=subprocess.PIPE, text=True)
    with pytest.raises(subprocess.TimeoutExpired):
        second.wait(1)
    holder.kill()
    holder.communicate()
    assert second.stdout is not None
    assert second.stdout.readline() == "held\n"
    second.kill()
    second.communicate()


def test_a_file_that_its_holder_deletes(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    """Who waited for it locks the one that is made next, as everybody does who comes later."""
    file = tmp_path / "lock"
    second = subprocess.Popen([sys.executable, "-c", HOLD, file], stdout=subprocess.PIPE, text=True)
    with pytest.raises(subprocess.TimeoutExpired):
        second.wait(1)
    file.unlink()
    holder.kill()
    holder.communicate()
    assert second.stdout is not None
    assert second.stdout.readline() == "held\n"
    with pytest.raises(BlockingIOError), taken(file, os.O_RDONLY):
        pass
    second.kill()
    second.communicate()


def test_the_file_is_made(tmp_path: Path) -> None:
    """With these rights, and left for the next one; the lock ends with the block, also with an error in it."""
    file = tmp_path / "lock"
    with pytest.raises(KeyError), locked(file, 0o600):
        raise KeyError
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with taken(file, os.O_RDWR):
        pass


def test_folders_and_links(tmp_path: Path) -> None:
    """A folder can be taken, and what a link leads to cannot."""
    with taken(tmp_path, os.O_RDONLY | os.O_DIRECTORY):
        pass
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(OSError, match=r"Too many levels|Not a directory"), taken(tmp_path / "link", os.O_RDONLY):
        pass
