"""memperf hugepages: what it shows, what it changes, and that it undoes exactly that."""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from cyx import hugepages
from cyx.region import Region
from pytest_memperf.cli import main
from pytest_memperf.environment.files import text
from pytest_memperf.environment.hugepages import mounts, status
from pytest_memperf.environment.hugetlbfs import Mounts
from pytest_memperf.environment.reservations import Ledger
from pytest_memperf.model.units import format_size

SIZES = hugepages.sizes()
USUAL = hugepages.default_size() if SIZES else 0
needs_pools = pytest.mark.skipif(not SIZES, reason="this kernel has no reserved huge pages")
ROOT = bool(SIZES) and os.access(hugepages.folder(USUAL) / "nr_hugepages", os.W_OK)
needs_root = pytest.mark.skipif(not ROOT, reason="the pools of huge pages can be changed by root alone")


@pytest.fixture(autouse=True)
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Write down what is reserved and mounted in a folder of the test's own, and hold it to leaving nothing there.

    What others have reserved is theirs, and they wait meanwhile: their lock is held.
    """
    with contextlib.ExitStack() as at_the_end:
        folder = Path(at_the_end.enter_context(TemporaryDirectory(dir="/tmp")))  # any user can get there
        reserved, mounted = Ledger(folder), Mounts(folder / "mounts")
        monkeypatch.setattr("pytest_memperf.cli.hugepages.Ledger", lambda: reserved)
        monkeypatch.setattr("pytest_memperf.cli.hugepages.Mounts", lambda: mounted)
        if ROOT:
            at_the_end.enter_context(Ledger().locked())
        before = [hugepages.pool(size).kept for size in SIZES]
        yield folder
        left = {**reserved.entries(), **mounted.entries()}
        for made in mounted.entries():
            mounted.unmount(Path(made))
        for file in reserved.entries():
            reserved.give_back(file)
        assert left == {}
        assert [hugepages.pool(size).kept for size in SIZES] == before
        assert [path for path in mounts() if Path(path).is_relative_to(tmp_path)] == []


def run(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str]:
    """Return the exit code of a call and what it printed, on either way out."""
    code = main(["hugepages", *map(str, words)])
    captured = capsys.readouterr()
    assert not (captured.out and captured.err)
    return code, captured.out + captured.err


class TestStatus:
    """``status``: what there is."""

    def test_shows_every_part(self, capsys: pytest.CaptureFixture[str]) -> None:
        """Pools, transparent huge pages, khugepaged and free memory, as the kernel's files have them."""
        code, output = run(capsys, "status")
        lines = [line.split() for line in output.splitlines()]

        assert code == 0
        for title in ("Reserved huge pages", "Transparent huge pages", "khugepaged", "Free memory (/proc/buddyinfo)"):
            assert title in output.splitlines()
        for size in SIZES:
            pool = hugepages.pool(size)
            (row,) = [line for line in lines if line[:2] == format_size(size).split()]
            assert str(pool.total) in row
        assert ["enabled", hugepages.thp_setting() or "unknown"] in lines
        scan = text(Path("/sys/kernel/mm/transparent_hugepage/khugepaged/pages_to_scan"))
        assert ["pages_to_scan", scan or "unknown"] in lines

    def test_json_has_the_same(self, capsys: pytest.CaptureFixture[str]) -> None:
        """--json is for programs."""
        _, output = run(capsys, "status", "--json")
        found = json.loads(output)

        assert [pool["page_size"] for pool in found["pools"]] == list(SIZES)
        assert found["transparent"]["enabled"] == hugepages.thp_setting()
        assert found["reservations"] == []

    def test_free_memory_adds_up(self) -> None:
        """The zones' free memory is what the kernel counts, within what moves meanwhile."""
        # Not MemFree of /proc/meminfo, which has more on machines whose memory grows with its use.
        free = int((text(Path("/proc/vmstat")) or "").split("nr_free_pages ")[1].split()[0]) * mmap.PAGESIZE
        told = sum(row["free"] for row in status()["free"])

        assert abs(told - free) < free / 5

    def test_a_kernel_without_any(self, tmp_path: Path) -> None:
        """What cannot be read is unknown, and no error."""
        found = status(tmp_path)

        assert (found["pools"], found["usual"], found["free"], found["mounts"]) == ([], None, [], {})
        assert set(found["transparent"].values()) == {None}


@needs_root
class TestReserveAndRelease:
    """``reserve`` and ``release``."""

    @pytest.mark.parametrize("page_size", SIZES, ids=str)
    def test_gives_back_what_it_took(self, capsys: pytest.CaptureFixture[str], page_size: int) -> None:
        """Two reservations add up, are shown, and go together."""
        before = hugepages.pool(page_size).kept
        option = f"--page-size={page_size}B"
        shown = format_size(page_size)
        code, output = run(capsys, "reserve", 1, option)
        if "in one piece" in output:
            pytest.skip(output)
        try:
            assert (code, output) == (
                0,
                f"reserved 1 x {shown}: the pool keeps {before + 1} now, {before} before "
                "(undo: memperf hugepages release)\n",
            )
            if page_size == USUAL:
                assert run(capsys, "reserve", 2)[0] == 0
                assert hugepages.pool(page_size).kept == before + 3
            assert f"of these: 1 x {shown}, reserved by hand" in run(capsys, "status")[1]
        finally:
            code, output = run(capsys, "release")
        assert code == 0
        assert f"released 1 x {shown}: the pool keeps" in output
        assert hugepages.pool(page_size).kept == before

    def test_dry_runs_change_nothing(self, capsys: pytest.CaptureFixture[str]) -> None:
        """They say what would be done."""
        before = hugepages.pool(USUAL).kept
        file = hugepages.folder(USUAL) / "nr_hugepages"
        _, output = run(capsys, "reserve", 3, "--dry-run")
        assert output == f"would reserve 3 x {format_size(USUAL)}: write {before + 3} to {file}, which has {before}\n"
        assert hugepages.pool(USUAL).kept == before
        run(capsys, "reserve", 3)
        assert run(capsys, "release", "--dry-run")[1] == f"would release 3 x {format_size(USUAL)}, reserved by hand\n"
        assert hugepages.pool(USUAL).kept == before + 3
        run(capsys, "release")

    def test_release_without_reservation(self, capsys: pytest.CaptureFixture[str]) -> None:
        """There is nothing to do, which is no mistake."""
        assert run(capsys, "release") == (0, "nothing to release: nothing was reserved here, or left behind\n")

    def test_release_clears_what_a_killed_process_left(self, capsys: pytest.CaptureFixture[str], ledger: Path) -> None:
        """Status names it, release gives it back; what a living process has stays."""
        script = (
            "import sys\n"
            "from pathlib import Path\n"
            "from pytest_memperf.environment.owner import this_process\n"
            "from pytest_memperf.environment.reservations import Ledger\n"
            "ledger = Ledger(Path(sys.argv[2]))\n"
            "with ledger.locked():\n"
            "    ledger.reserve(2, int(sys.argv[1]), this_process())\n"
            "print(flush=True)\n"
            "input()\n"
        )
        command = [sys.executable, "-c", script, str(USUAL), str(ledger)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        assert f"2 x {format_size(USUAL)}, reserved by process {process.pid}\n" in run(capsys, "status")[1]
        assert run(capsys, "release")[1].startswith("nothing to release")
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert f"reserved by process {process.pid}, which has ended" in run(capsys, "status")[1]
        assert run(capsys, "release")[1].startswith(f"released 2 x {format_size(USUAL)}: ")


@needs_root
class TestMount:
    """``mount`` and ``unmount``."""

    def test_files_there_are_on_huge_pages(self, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        """A mapped file takes reserved pages; afterwards folder and mount are gone."""
        folder = tmp_path / "huge pages"
        run(capsys, "reserve", 1)
        try:
            assert run(capsys, "mount", folder)[1] == (
                f"mounted hugetlbfs with pages of {format_size(USUAL)} at {folder} (undo: memperf hugepages unmount)\n"
            )
            assert str(folder) in mounts()
            assert f"  hugetlbfs at {folder} (" in run(capsys, "status")[1]
            with open(folder / "file", "wb+") as file:
                file.truncate(USUAL)
                with Region(kind="file", fd=file.fileno(), shared=True) as region:
                    region.array[:] = 1
                    assert (region.page_size, region.huge_coverage) == (USUAL, 1.0)
                code, output = run(capsys, "unmount", folder)
                assert (code, output) == (
                    2,
                    f"memperf: {folder} cannot be unmounted (Device or resource busy): "
                    "end the processes that use it (fuser -m names them)\n",
                )
                os.unlink(folder / "file")
        finally:
            assert run(capsys, "unmount")[1] == f"unmounted {folder}\n"
            run(capsys, "release")
        assert not folder.exists()

    def test_a_folder_that_was_there_stays(self, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        """Only what was made is removed."""
        run(capsys, "mount", tmp_path, f"--page-size={SIZES[-1]}B")
        assert run(capsys, "mount", tmp_path) == (
            2,
            f"memperf: hugetlbfs is mounted at {tmp_path} already: use that, or name another folder\n",
        )
        run(capsys, "unmount", tmp_path)

        assert tmp_path.is_dir()
        assert run(capsys, "unmount") == (0, "nothing to unmount: nothing was mounted here\n")

    def test_a_link_to_a_folder(self, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        """It is the folder that is named and unmounted, whichever way it is given."""
        folder, link = tmp_path / "folder", tmp_path / "link"
        folder.mkdir()
        link.symlink_to(folder)
        assert f" at {folder} (undo" in run(capsys, "mount", link)[1]
        assert run(capsys, "mount", link) == (
            2,
            f"memperf: hugetlbfs is mounted at {folder} already: use that, or name another folder\n",
        )
        assert run(capsys, "unmount", link) == (0, f"unmounted {folder}\n")
        assert str(folder) not in mounts()

    def test_dry_runs_change_nothing(self, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        """They say what would be done."""
        folder = tmp_path / "new"
        _, output = run(capsys, "mount", folder, "--dry-run")
        assert output == f"would mount hugetlbfs with pages of {format_size(USUAL)} at {folder}, a new folder\n"
        assert not folder.exists()
        run(capsys, "mount", folder)
        assert run(capsys, "unmount", "--dry-run")[1] == f"would unmount {folder}\n"
        assert str(folder) in mounts()
        run(capsys, "unmount")


@needs_pools
class TestMistakes:
    """One line each, exit code 2."""

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            ((), "the following arguments are required: COMMAND (see memperf hugepages --help)"),
            (("reserve",), "the following arguments are required: N (see memperf hugepages reserve --help)"),
            (("reserve", "x"), "N=x: give a whole number of pages, such as 64"),
            (("reserve", "0"), "N=0: give a whole number of pages, such as 64"),
            (("reserve", "-1"), "N=-1: give a whole number of pages, such as 64"),
            (("reserve", "1.5"), "N=1.5: give a whole number of pages, such as 64"),
            (("reserve", "1", "--page-size=5MiBs"), "--page-size: '5MiBs' is not a size: write '24 MiB' or a whole"),
            (("reserve", "1", "--page-size=5MiB"), "--page-size=5MiB: this machine has "),
            (("reserve", "99999999"), "99,999,999 x "),
            (("mount", "/nowhere/at/all"), "there is no folder /nowhere/at: make it, or name another"),
            (("mount", "/etc"), "/etc is not an empty folder: name another"),
            (("mount", "/etc/passwd"), "/etc/passwd is not an empty folder: name another"),
            (("unmount", "/etc"), "/etc was not mounted here: umount it by the means by which it was mounted"),
        ],
        ids=repr,
    )
    def test_names_the_mend(self, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], message: str) -> None:
        """It goes to standard error, and nothing is changed."""
        code, output = run(capsys, *words)

        assert code == 2
        assert output.startswith(f"memperf: {message}")
        assert output.count("\n") == 1

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (("reserve", "1"), "1 x .* cannot be reserved .*denied.*: run as root"),
            (("mount", "/tmp/memperf-hugepages-test"), "hugetlbfs .* cannot be mounted .*denied.*: run as root"),
        ],
        ids=repr,
    )
    def test_without_privilege(
        self, capsys: pytest.CaptureFixture[str], ledger: Path, words: tuple[str, ...], message: str
    ) -> None:
        """Nothing is changed for an ordinary user, who may look all the same."""
        if os.geteuid() != 0:
            pytest.skip("only root can become someone else")
        ledger.chmod(0o755)  # as that of the machine is
        os.seteuid(65534)
        try:
            code, output = run(capsys, *words)
            dry = run(capsys, *words, "--dry-run")
            shown = run(capsys, "status")
        finally:
            os.seteuid(0)

        assert code == 2
        assert re.fullmatch(f"memperf: {message}\n", output)
        assert dry[0] == shown[0] == 0
        assert dry[1].startswith("would ")
        assert not Path("/tmp/memperf-hugepages-test").exists()
