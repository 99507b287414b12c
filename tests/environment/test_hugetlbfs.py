"""Mounts of hugetlbfs: what is written down, by several processes at once and for mounts that stay."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cyx import hugepages
from pytest_memperf.environment.hugepages import mounts
from pytest_memperf.environment.hugetlbfs import Mounts

pytestmark = pytest.mark.skipif(
    not hugepages.sizes() or os.geteuid() != 0, reason="hugetlbfs is mounted by root alone, where there are huge pages"
)
SIZE = hugepages.sizes()[0] if hugepages.sizes() else 0


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Mounts]:
    """Return a list of the test's own; afterwards nothing is mounted."""
    made = Mounts(tmp_path / "list" / "mounts")
    yield made
    for folder in [path for path in mounts() if Path(path).is_relative_to(tmp_path)]:
        subprocess.run(["umount", folder], check=True)


def test_several_at_once(tmp_path: Path, made: Mounts) -> None:
    """Processes that mount at the same time forget nothing of one another's."""
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "from pytest_memperf.environment.hugetlbfs import Mounts\n"
        "made = Mounts(Path(sys.argv[1]) / 'list' / 'mounts')\n"
        "print(flush=True)\n"
        "input()\n"
        "for i in range(10):\n"
        "    made.mount(Path(sys.argv[1]) / f'{sys.argv[2]}-{i}', int(sys.argv[3]))\n"
        "    if i % 2:\n"
        "        made.unmount(Path(sys.argv[1]) / f'{sys.argv[2]}-{i}')\n"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(tmp_path), name, str(SIZE)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for name in "abcd"
    ]
    for process in processes:
        assert process.stdout is not None
        process.stdout.readline()
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(b"\n")
        process.stdin.flush()
    for process in processes:
        process.communicate()

    expected = {str(tmp_path / f"{name}-{i}") for name in "abcd" for i in range(0, 10, 2)}
    assert set(made.entries()) == expected
    assert {path for path in mounts() if Path(path).is_relative_to(tmp_path)} == expected
    for folder in made.entries():
        made.unmount(Path(folder))
    assert made.entries() == {}
    assert [path.name for path in tmp_path.iterdir()] == ["list"]


def test_by_way_of_a_link(tmp_path: Path, made: Mounts) -> None:
    """What was mounted through a symbolic link is unmounted through it."""
    folder, link = tmp_path / "folder", tmp_path / "link"
    folder.mkdir()
    link.symlink_to(folder)
    made.mount(link, SIZE)
    assert str(folder) in mounts()
    made.unmount(link)

    assert str(folder) not in mounts()
    assert made.entries() == {}


def test_mounted_twice(tmp_path: Path, made: Mounts) -> None:
    """A folder is not forgotten as long as hugetlbfs is there."""
    folder = tmp_path / "folder"
    made.mount(folder, SIZE)
    subprocess.run(["mount", "-t", "hugetlbfs", "none", folder], check=True)
    made.unmount(folder)
    assert (str(folder) in mounts(), made.entries()) == (True, {str(folder): True})
    made.unmount(folder)

    assert (str(folder) in mounts(), made.entries()) == (False, {})
    assert not folder.exists()
