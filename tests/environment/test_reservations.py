"""Huge pages reserved and given back: on the real pools as root, and every moment of a kill on a made-up tree."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import pytest

from cyx import hugepages
from cyx.region import Region
from pytest_memperf.environment.lists import HUGE_PAGES
from pytest_memperf.environment.owner import Owner, start_of, this_boot, this_process
from pytest_memperf.environment.reservations import Ledger, NotEnough, Reservation

SIZE = 2 * 2**20
real = pytest.mark.skipif(
    not hugepages.sizes() or not os.access(hugepages.folder(hugepages.sizes()[0]) / "nr_hugepages", os.W_OK),
    reason="the pools of huge pages can be changed by root alone",
)


def tree(root: Path, total: int = 10) -> Path:
    """Make a /sys with one pool below this folder, and return its file."""
    folder = hugepages.folder(SIZE, root)
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("free_hugepages", "resv_hugepages", "surplus_hugepages", "nr_overcommit_hugepages"):
        (folder / name).write_text("0")
    (folder / "nr_hugepages").write_text(str(total))
    return folder / "nr_hugepages"


def ended() -> Owner:
    """Return a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    owner = Owner(process.pid, start_of(process.pid) or "", this_boot())
    process.communicate(b"\n")
    return owner


class Scarce(Ledger):
    """A ledger on a machine with 12 pages at most."""

    def _keep(self, folder: Path, pages: int) -> None:
        super()._keep(folder, min(pages, 12))


class TestLedger:
    """Reservations on a tree of our own."""

    def test_adds_and_takes_away(self, tmp_path: Path) -> None:
        """Two owners and one by hand add to what is kept, and each takes its own away."""
        pool = tree(tmp_path)
        ledger = Ledger(tmp_path / "run", tmp_path)
        with ledger.locked():
            files = [ledger.reserve(pages, SIZE, owner) for pages, owner in ((3, this_process()), (4, None), (5, None))]
            assert pool.read_text() == "22"
            assert sorted(entry.pages for entry in ledger.entries().values()) == [3, 4, 5]
            assert [ledger.give_back(file) for file in files] == [3, 4, 5]

        assert pool.read_text() == "10"
        assert ledger.entries() == {}

    def test_fewer_than_wanted(self, tmp_path: Path) -> None:
        """What the kernel did find is given back at once."""
        pool = tree(tmp_path)
        ledger = Scarce(tmp_path / "run", tmp_path)
        with ledger.locked(), pytest.raises(NotEnough) as caught:
            ledger.reserve(3, SIZE, None)

        assert caught.value.found == 2
        assert pool.read_text() == "10"
        assert ledger.entries() == {}

    def test_keeps_what_others_changed(self, tmp_path: Path) -> None:
        """Someone who sets the pool meanwhile finds it less by what was reserved here, no more and no less."""
        pool = tree(tmp_path)
        ledger = Ledger(tmp_path / "run", tmp_path)
        with ledger.locked():
            file = ledger.reserve(3, SIZE, None)
            pool.write_text("50")
            ledger.give_back(file)
            assert pool.read_text() == "47"
            file = ledger.reserve(3, SIZE, None)
            pool.write_text("1")
            ledger.give_back(file)
            assert pool.read_text() == "0"

    @pytest.mark.parametrize("owner", ["ended", "alive", "by hand", "another machine's start"])
    def test_clears_what_the_dead_left(self, tmp_path: Path, owner: str) -> None:
        """Only what a process had that has ended is given back; after a new start of the machine there is nothing."""
        pool = tree(tmp_path)
        ledger = Ledger(tmp_path / "run", tmp_path)
        owners = {"ended": ended(), "alive": this_process(), "by hand": None, "another machine's start": None}
        with ledger.locked():
            file = ledger.reserve(3, SIZE, owners[owner])
        if owner == "another machine's start":
            file.write_text(file.read_text().replace(this_boot(), "00000000-1"))
        given_back = ledger.clear()

        assert given_back == (3 if owner == "ended" else 0)
        assert pool.read_text() == ("10" if owner == "ended" else "13")
        assert file.exists() is (owner in ("alive", "by hand"))

    def test_clears_what_was_being_written(self, tmp_path: Path) -> None:
        """A process that was killed before its reservation was written down leaves but an unfinished file."""
        tree(tmp_path)
        unfinished = tmp_path / "run" / "1-2-0.new"
        unfinished.parent.mkdir()
        unfinished.write_text("{")

        assert Ledger(tmp_path / "run", tmp_path).clear() == 0
        assert not unfinished.exists()

    def test_a_number_that_was_used_again_is_another_process(self) -> None:
        """A living process that started at another time is not the owner."""
        me = this_process()
        assert not me.is_dead()
        assert Owner(me.pid, "1", me.boot).is_dead()
        assert not Owner(me.pid, "1", "elsewhere-1").is_dead()

    def test_a_zombie_is_dead(self) -> None:
        """Nobody has asked for its exit status yet."""
        process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        owner = Owner(process.pid, start_of(process.pid) or "", this_boot())
        assert not owner.is_dead()
        assert process.stdin is not None
        process.stdin.write(b"\n")
        process.stdin.close()
        while not owner.is_dead():
            time.sleep(0.001)
        assert Path(f"/proc/{process.pid}").exists()
        process.wait()

    @pytest.mark.parametrize(
        ("pages", "from_kept", "most", "kept", "left"),
        [
            (0, 10, 3, 10, 10),  # killed before the pool was raised
            (0, 10, 3, 13, 10),  # after it
            (0, 10, 3, 11, 10),  # the kernel found one page only
            (3, 13, 3, 13, 10),  # killed before it was lowered
            (3, 13, 3, 10, 10),  # after it
            (0, 10, 3, 40, 37),  # someone else raised it too
        ],
    )
    def test_every_moment_of_a_kill(
        self, tmp_path: Path, pages: int, from_kept: int, most: int, kept: int, left: int
    ) -> None:
        """Whatever was under way, the pool is put back to what it was."""
        pool = tree(tmp_path, total=kept)
        ledger = Ledger(tmp_path / "run", tmp_path)
        entry = Reservation(SIZE, {"": pages}, this_boot(), ended(), {"": from_kept}, most)
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / "1-1-0.json").write_text(json.dumps(asdict(entry)))
        ledger.clear()

        assert pool.read_text() == str(left)
        assert ledger.entries() == {}

    @pytest.mark.parametrize("moment", ["raised", "half lowered", "lowered"])
    def test_a_kill_with_nodes(self, tmp_path: Path, moment: str) -> None:
        """Each node is put back to what it was, whichever of them were changed already."""
        pools = {}
        for node, kept in {"node0": 13 if moment == "raised" else 10, "node1": 8 if moment == "lowered" else 9}.items():
            folder = tmp_path / f"sys/devices/system/node/{node}/hugepages/hugepages-{SIZE // 1024}kB"
            folder.mkdir(parents=True)
            pools[node] = folder / "nr_hugepages"
            pools[node].write_text(str(kept))
            (folder / "surplus_hugepages").write_text("0")
        before, has = {"node0": 10, "node1": 8}, {}
        if moment != "raised":
            before, has = {"node0": 13, "node1": 9}, {"node0": 3, "node1": 1}
        entry = Reservation(SIZE, has, this_boot(), ended(), before, most=4)
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / "1-1-0.json").write_text(json.dumps(asdict(entry)))
        Ledger(tmp_path / "run", tmp_path).clear()

        assert {node: pool.read_text() for node, pool in pools.items()} == {"node0": "10", "node1": "8"}

    def test_another_version_wrote_it(self, tmp_path: Path) -> None:
        """It stays, and is no reason to fail."""
        file = tmp_path / "1-1-0.json"
        file.write_text(json.dumps({"page_size": SIZE, "number": 3, "boot": this_boot(), "owner": None}))
        assert Ledger(tmp_path).entries() == {}
        assert Ledger(tmp_path).clear() == 0
        assert file.exists()

    def test_a_pool_that_cannot_be_changed(self, tmp_path: Path) -> None:
        """The system's reason comes through, and there is no reservation."""
        tree(tmp_path).unlink()
        ledger = Ledger(tmp_path / "run", tmp_path)
        with ledger.locked(), pytest.raises(FileNotFoundError):
            ledger.reserve(3, SIZE, None)
        assert ledger.entries() == {}


@real
class TestRealPools:
    """Reservations of this machine."""

    @pytest.mark.parametrize("page_size", hugepages.sizes(), ids=str)
    def test_each_size(self, tmp_path: Path, page_size: int) -> None:
        """Two pages more are kept, and then as many as before."""
        ledger = Ledger(tmp_path)
        with Ledger().locked(), ledger.locked():
            before = hugepages.pool(page_size).kept
            try:
                file = ledger.reserve(2, page_size, this_process())
            except NotEnough as error:
                pytest.skip(f"the kernel finds {error.found} pages of {page_size} bytes")
            assert hugepages.pool(page_size).kept == before + 2
            assert ledger.give_back(file) == 2
            assert hugepages.pool(page_size).kept == before

    def test_pages_in_use_and_in_surplus(self, tmp_path: Path) -> None:
        """Pages that are used when they are given back leave with their user, and what is in surplus is not counted."""
        page_size = hugepages.default_size()
        ledger = Ledger(tmp_path)
        with Ledger().locked(), ledger.locked():
            before = hugepages.pool(page_size).kept
            file = ledger.reserve(2, page_size, this_process())
            with Region(2 * page_size, kind="hugetlb", page_size=page_size) as used:
                used.populate()
                ledger.give_back(file)  # where the pool has no others, these are in surplus now
                assert hugepages.pool(page_size).kept == before
                file = ledger.reserve(3, page_size, this_process())
                assert hugepages.pool(page_size).kept == before + 3
                ledger.give_back(file)
                assert hugepages.pool(page_size).kept == before
            assert hugepages.pool(page_size).kept == before

    def test_killed_at_any_moment(self, tmp_path: Path) -> None:
        """Of 30 processes that reserve and give back without end, each killed, the pool is put back to what it was."""
        page_size = hugepages.default_size()
        script = (
            "import sys\n"
            "from pathlib import Path\n"
            "from pytest_memperf.environment.owner import this_process\n"
            "from pytest_memperf.environment.reservations import Ledger\n"
            "ledger = Ledger(Path(sys.argv[1]))\n"
            "print(flush=True)\n"
            "while True:\n"
            "    with ledger.locked():\n"
            "        file = ledger.reserve(2, int(sys.argv[2]), this_process())\n"
            "    with ledger.locked():\n"
            "        ledger.give_back(file)\n"
        )
        ledger = Ledger(tmp_path)
        caught = 0
        with Ledger().locked():
            before = hugepages.pool(page_size).kept
            for i in range(30):
                command = [sys.executable, "-c", script, str(tmp_path), str(page_size)]
                process = subprocess.Popen(command, stdout=subprocess.PIPE)
                assert process.stdout is not None
                process.stdout.readline()
                time.sleep(0.0007 * i)
                process.kill()
                process.communicate()
                caught += bool(ledger.entries())
                ledger.clear()
                assert hugepages.pool(page_size).kept == before
                assert ledger.entries() == {}
        assert caught

    def test_the_folder_of_the_machine(self) -> None:
        """Reservations are kept where a new start of the machine, or a temporary folder's cleaner, does no harm."""
        assert HUGE_PAGES.is_relative_to("/run")
