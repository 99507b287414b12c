"""The list of files of data: whose it is, and when anybody looks at it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_memperf.environment import lists
from pytest_memperf.environment.owner import Owner, start_of, this_boot
from pytest_memperf.isolation import remains


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return the folder of a list of the test's own; the files that a test is to leave go after it."""
    folder = tmp_path / "list"
    monkeypatch.setattr(lists, "of_files", lambda: folder)
    monkeypatch.setattr(lists, "HUGE_PAGES", tmp_path / "huge pages")
    yield folder
    for left in tmp_path.glob("mapped_file_*"):
        if left.is_dir():
            shutil.rmtree(left)
        else:
            left.unlink()


def left_behind(folder: Path, at: Path) -> Path:
    """Return a file of data of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    owner = Owner(process.pid, start_of(process.pid) or "", this_boot())
    process.communicate(b"\n")
    path = at / "mapped_file_0123" / "data"
    path.parent.mkdir()
    path.touch()
    folder.mkdir(mode=0o700, exist_ok=True)
    (folder / f"{owner.pid}_{owner.start}_{owner.boot}_0123").symlink_to(path)
    return path


def test_what_the_dead_left_is_deleted(folder: Path, tmp_path: Path) -> None:
    """The file, the folder that was made for it, and its entry."""
    path = left_behind(folder, tmp_path)
    mine = remains.new_path(tmp_path)
    mine.touch()
    remains.delete_left_behind()

    assert not path.parent.exists()
    assert mine.exists()
    assert [entry.readlink() for entry in folder.iterdir()] == [mine]


def test_a_folder_that_is_none(folder: Path, tmp_path: Path) -> None:
    """A file that could not be made is not on the list any more."""
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        remains.new_path(tmp_path / "file")

    assert list(folder.iterdir()) == []


def test_a_folder_that_became_another_thing(folder: Path, tmp_path: Path) -> None:
    """A file that the dead left where there is no folder now is not on the list any more."""
    path = left_behind(folder, tmp_path)
    path.unlink()
    path.parent.rmdir()
    path.parent.touch()
    remains.delete_left_behind()

    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("kind", ["others can write to it", "a link", "another user's"])
def test_a_list_that_is_not_the_users_alone(folder: Path, tmp_path: Path, kind: str) -> None:
    """Nothing is deleted on the word of others, and nothing told to them; the file can be had all the same."""
    path = left_behind(folder, tmp_path)
    if kind == "others can write to it":
        folder.chmod(0o777)
    elif kind == "a link":
        folder.symlink_to(folder.rename(tmp_path / "other"))
    elif os.geteuid() == 0:
        os.chown(folder, 65534, 65534)
    else:
        pytest.skip("only root can make a folder another user's")
    before = list(folder.iterdir())
    remains.delete_left_behind()
    made = remains.new_path(tmp_path)

    assert path.exists()
    assert made.parent.is_dir()
    assert list(folder.iterdir()) == before


def test_a_glance(folder: Path, tmp_path: Path) -> None:
    """It tells whether there is anything to look at, and makes no folder for that."""
    huge_pages = tmp_path / "huge pages"
    assert not lists.anything_listed()
    assert not folder.exists()
    for empty in (folder, huge_pages):
        empty.mkdir()
    for name in ("lock", "mounts"):
        (huge_pages / name).touch()
    assert not lists.anything_listed()
    (huge_pages / "1-1-0.json").touch()
    assert lists.anything_listed()
    (huge_pages / "1-1-0.json").unlink()
    (folder / "1_1_1_1").touch()
    assert lists.anything_listed()
