"""Files are there whole or not at all, and nothing else stays beside them."""

from __future__ import annotations

import fcntl
import os
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pytest_memperf.report.whole_file import new_temporary, remove_abandoned, sync_folder, write_text

HOLDING = """
import os, sys, time
from pathlib import Path
from pytest_memperf.report.whole_file import new_temporary
path, descriptor = new_temporary(Path(sys.argv[1]))
print(path, flush=True)
time.sleep(60)
"""
WRITING = """
import sys
from pathlib import Path
from pytest_memperf.report.whole_file import write_text
for turn in range(10**9):
    write_text(Path(sys.argv[1]), str(turn % 10) * 100_000)
"""


class TestTemporary:
    """The file beside the name."""

    def test_is_new_and_empty(self, tmp_path: Path) -> None:
        """Each has a name of its own, and the mode of any file that the user makes."""
        before = os.umask(0o027)
        try:
            made = [new_temporary(tmp_path) for _ in range(3)]
        finally:
            os.umask(before)
        for path, descriptor in made:
            assert os.fstat(descriptor).st_ino == path.stat().st_ino
            assert stat.S_IMODE(path.stat().st_mode) == 0o640
            assert path.stat().st_size == 0
            assert not os.get_inheritable(descriptor)
            os.close(descriptor)
        assert len({path for path, _ in made}) == 3

    def test_is_locked(self, tmp_path: Path) -> None:
        """As long as somebody holds its descriptor."""
        path, descriptor = new_temporary(tmp_path)
        with path.open("r") as other, pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(descriptor)
        with path.open("r") as other:
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def test_a_folder_that_cannot_be_written(self, tmp_path: Path) -> None:
        """OSError, for those who can say more about it."""
        with pytest.raises(FileNotFoundError):
            new_temporary(tmp_path / "none")
        (tmp_path / "file").touch()
        with pytest.raises(NotADirectoryError):
            new_temporary(tmp_path / "file")

    def test_none_is_taken_away_while_it_is_made(self, tmp_path: Path) -> None:
        """Others remove what is abandoned all the time: each new one is there, and locked, nevertheless."""
        stop = threading.Event()

        def remove() -> None:
            while not stop.is_set():
                remove_abandoned(tmp_path)

        remover = threading.Thread(target=remove)
        remover.start()
        try:
            for _ in range(1000):
                path, descriptor = new_temporary(tmp_path)
                assert os.fstat(descriptor).st_nlink == 1
                path.unlink()
                os.close(descriptor)
        finally:
            stop.set()
            remover.join()


class TestAbandoned:
    """What killed processes leave."""

    def test_is_removed_when_nobody_writes_to_it(self, tmp_path: Path) -> None:
        """Only then, and only what has such a name."""
        held, descriptor = new_temporary(tmp_path)
        left, other = new_temporary(tmp_path)
        os.close(other)
        (tmp_path / "mine.json").touch()
        others = ["mine.json", ".memperfect", ".memperf-base.json", ".memperf-0123456789ab.json"]
        for name in others:
            (tmp_path / name).touch()
        remove_abandoned(tmp_path)
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted([held.name, *others])
        assert not left.exists()
        os.close(descriptor)
        remove_abandoned(tmp_path)
        assert not held.exists()

    def test_a_killed_process(self, tmp_path: Path) -> None:
        """The kernel takes the lock from it."""
        command = [sys.executable, "-c", HOLDING, str(tmp_path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            path = Path(process.stdout.readline().strip())
            remove_abandoned(tmp_path)
            assert path.exists()
            process.kill()
            assert process.wait() == -signal.SIGKILL
        remove_abandoned(tmp_path)
        assert not path.exists()

    def test_links_and_folders_are_no_files_of_ours(self, tmp_path: Path) -> None:
        """Nothing is followed, nothing but files is removed, and nothing of it is an error."""
        (tmp_path / "precious").write_text("mine")
        (tmp_path / ".memperf-link").symlink_to("precious")
        (tmp_path / ".memperf-nowhere").symlink_to("nothing")
        (tmp_path / ".memperf-folder").mkdir()
        remove_abandoned(tmp_path)
        assert len(list(tmp_path.iterdir())) == 4
        assert (tmp_path / "precious").read_text() == "mine"

    def test_a_pipe_does_not_hold_us(self, tmp_path: Path) -> None:
        """One that nobody reads could be waited for without end."""
        os.mkfifo(tmp_path / ".memperf-pipe")
        code = (
            "import sys; from pathlib import Path; from pytest_memperf.report.whole_file import remove_abandoned; "
            "remove_abandoned(Path(sys.argv[1]))"
        )
        assert subprocess.run([sys.executable, "-c", code, str(tmp_path)], timeout=20, check=True).returncode == 0
        assert os.listdir(tmp_path) == [".memperf-pipe"]

    def test_no_folder(self, tmp_path: Path) -> None:
        """There is nothing to remove then."""
        remove_abandoned(tmp_path / "none")
        assert not (tmp_path / "none").exists()


class TestWriteText:
    """A whole file at once."""

    def test_new_and_replaced(self, tmp_path: Path) -> None:
        """The text, whatever was there, and nothing beside it; what others have open stays as it was."""
        path = tmp_path / "out"
        write_text(path, "one\n")
        with path.open() as opened:
            write_text(path, "größer \udc80")
            assert opened.read() == "one\n"
        assert path.read_bytes() == "größer \\udc80".encode()
        assert os.listdir(tmp_path) == ["out"]

    def test_removes_what_was_abandoned(self, tmp_path: Path) -> None:
        """Before it writes."""
        (tmp_path / ".memperf-0123456789ab").touch()
        write_text(tmp_path / "out", "")
        assert os.listdir(tmp_path) == ["out"]

    def test_a_failure_leaves_the_older_file(self, tmp_path: Path) -> None:
        """And no temporary one: here the name is that of a folder."""
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "file").touch()
        with pytest.raises(OSError, match=r"Is a directory|directory"):
            write_text(tmp_path / "out", "text")
        assert os.listdir(tmp_path) == ["out"]

    def test_a_full_disk_leaves_the_older_file(self, tmp_path: Path) -> None:
        """The limit on the size of files stands in for it."""
        (tmp_path / "out").write_text("older")
        code = (
            "import resource, signal, sys; from pathlib import Path\n"
            "from pytest_memperf.report.whole_file import write_text\n"
            "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
            "try: write_text(Path(sys.argv[1]), 'x' * 100_000)\n"
            "except OSError as error: print(error.strerror)\n"
        )
        done = subprocess.run(
            [sys.executable, "-B", "-c", code, str(tmp_path / "out")], capture_output=True, text=True, check=True
        )
        assert done.stdout == "File too large\n"
        assert os.listdir(tmp_path) == ["out"]
        assert (tmp_path / "out").read_text() == "older"

    def test_readers_never_see_a_part(self, tmp_path: Path) -> None:
        """Another process replaces the file all the time, and is killed at last: each time it is one text."""
        path = tmp_path / "out"
        write_text(path, "0" * 100_000)
        with subprocess.Popen([sys.executable, "-c", WRITING, str(path)]) as process:
            seen: set[str] = set()
            while len(seen) < 5:
                text = path.read_text()
                assert len(text) == 100_000
                assert set(text) == {text[0]}
                seen.add(text[0])
            process.kill()
            assert process.wait() == -signal.SIGKILL
        assert len(path.read_text()) == 100_000
        write_text(path, "end")
        assert os.listdir(tmp_path) == ["out"]


def test_a_folder_that_cannot_be_synced_is_no_error(tmp_path: Path) -> None:
    """The file is there already; some file systems cannot do more."""
    sync_folder(tmp_path)
    sync_folder(tmp_path / "none")
    assert os.listdir(tmp_path) == []
