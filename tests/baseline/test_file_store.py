"""The store keeps every run that it said it kept, whole and under a number of its own, whatever happens meanwhile."""

from __future__ import annotations

import fcntl
import json
import os
import random
import re
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from disks import on_a_disk
from hypothesis import given
from hypothesis import strategies as st
from mount_namespaces import needs_mounts
from writers import WRITERS, Start, kill_writers, start_writer

from pytest_memperf.baseline.file_store import FileStore, platform
from pytest_memperf.baseline.reference import find
from pytest_memperf.model.budget import Bound, Budget, Check, Status
from pytest_memperf.model.environment import Environment
from pytest_memperf.model.errors import UsageMistake
from pytest_memperf.model.metric import Better, Cost, Measured, Metric, Trust
from pytest_memperf.model.result import Result
from pytest_memperf.model.run import Commit, Run
from pytest_memperf.model.units import BYTES, COUNT

CREATED = "2026-11-22T04:29:47+00:00"
FAULTS = Metric("minor_faults", COUNT, Better.LOWER, Trust.EXACT, Cost.ON_REQUEST, help="", source="", floor=2)
PEAK = Metric("peak_rss", BYTES, Better.LOWER, Trust.BOUNDED, Cost.ON_REQUEST, help="", source="", level=True)
KILLS = int(os.environ.get("MEMPERF_STORE_KILLS", "40"))
"""Of writers, at random moments."""
PLATFORM = "Linux-any"


def store_in(folder: Path) -> FileStore:
    """A store of a platform whose name is known."""
    return FileStore(folder / "store", PLATFORM)


def result_of(test: str = "test_it.py::test_it", faults: int = 600) -> Result:
    """A result with two metrics and a check."""
    measured = Measured(FAULTS, (faults, faults + 2), 1)
    check = Check(Budget(FAULTS, Bound.MAX, 700), Status.PASSED, measured)
    return Result(test, "call", metrics={"minor_faults": measured, "peak_rss": Measured(PEAK, (4096,))}, checks=[check])


def run_of(commit: Commit | None = None, name: str | None = None, created: str = CREATED) -> Run:
    """A run with one result."""
    return Run(created, commit, Environment(kernel="6.18.1", cpus=8), [result_of()], name)


def save(store: FileStore, run: Run) -> Path:
    """Save a run as a session does, and return its file."""
    file = store.save(run)
    for result in run.results:
        file.add(result.as_json())
    file.finish({"environment": run.environment.as_json()})
    return Path(file.path)


class TestNames:
    """NNNN_<commit>_<time>[_dirty].json."""

    @pytest.mark.parametrize(
        ("commit", "name"),
        [
            (None, "0001_unversioned_20261122T042947.json"),
            (Commit("a1" * 20, "main"), "0001_a1a1a1a1a1a1_20261122T042947.json"),
            (Commit("b2" * 32, None, dirty=True), "0001_b2b2b2b2b2b2_20261122T042947_dirty.json"),
        ],
    )
    def test_tell_number_commit_and_time(self, tmp_path: Path, commit: Commit | None, name: str) -> None:
        """A listing of the folder says what is there; changes that are in no commit are told too."""
        path = save(store_in(tmp_path), run_of(commit))
        assert path == tmp_path / "store" / PLATFORM / name
        assert [saved.path for saved in store_in(tmp_path).runs()] == [path]

    def test_platform_is_of_this_interpreter(self) -> None:
        """Runs of another system, machine or Python lie elsewhere."""
        python = f"{sys.version_info[0]}.{sys.version_info[1]}"
        assert platform() == f"{os.uname().sysname}-{os.uname().machine}-CPython-{python}"

    def test_numbers_go_on_after_the_last(self, tmp_path: Path) -> None:
        """Four digits are the least; a number that was removed in between is not given again."""
        store = store_in(tmp_path)
        first = save(store, run_of())
        os.rename(first, first.with_name(first.name.replace("0001", "9999")))
        assert save(store, run_of()).name.startswith("10000_")
        assert save(store, run_of()).name.startswith("10001_")
        assert [saved.number for saved in store.runs()] == [9999, 10000, 10001]


class TestListing:
    """What is in the folder without being a run."""

    @pytest.mark.parametrize(
        "name",
        [
            "notes.txt",
            "1_unversioned_20261122T042947.json",
            "0002_unversioned_20261122T042947.json.bak",
            "0002_unversioned_20261122T042947_mine.json",
            "0002_XYZ_20261122T042947.json",
            "0002_abcdef_20261122.json",
            "\u0660\u0660\u0660\u0662_unversioned_20261122T042947.json",
            ".memperf-0123456789ab",
            "0002_unversioned_20261122T042947.json\n",
        ],
    )
    def test_foreign_files_are_none(self, tmp_path: Path, name: str) -> None:
        """They are neither listed nor counted nor touched."""
        store = store_in(tmp_path)
        path = save(store, run_of())
        foreign = path.with_name(name)
        descriptor = os.open(foreign, os.O_WRONLY | os.O_CREAT)
        try:
            assert [saved.path for saved in store.runs()] == [path]
            assert save(store, run_of()).name.startswith("0002_")
            assert foreign.exists() or name.startswith(".memperf-")
        finally:
            os.close(descriptor)

    def test_nothing_is_there_at_first(self, tmp_path: Path) -> None:
        """No folder, no runs, and looking makes none."""
        assert store_in(tmp_path).runs() == []
        assert os.listdir(tmp_path) == []

    def test_git_does_not_see_them(self, tmp_path: Path) -> None:
        """A folder that the first run makes; one that was there is its owner's."""
        subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
        (tmp_path / "own").mkdir()
        for folder in ("new", "own"):
            save(FileStore(tmp_path / folder, PLATFORM), run_of())
        status = ["git", "-C", tmp_path, "status", "--porcelain"]
        assert subprocess.run(status, check=True, capture_output=True, text=True).stdout == "?? own/\n"

    def test_a_run_that_is_not_finished_is_none(self, tmp_path: Path) -> None:
        """It has no number before its end; abandoned, it leaves nothing but the folder."""
        store = store_in(tmp_path)
        file = store.save(run_of())
        assert os.listdir(tmp_path) == []
        file.add(result_of().as_json())
        assert store.runs() == []
        file.abandon()
        assert os.listdir(tmp_path / "store" / PLATFORM) == []

    def test_what_cannot_be_listed_is_one_line(self, tmp_path: Path) -> None:
        """A file where the folder should be."""
        (tmp_path / "store").write_text("")
        with pytest.raises(UsageMistake) as mistake:
            store_in(tmp_path).runs()
        assert str(mistake.value) == (
            f"{tmp_path}/store/{PLATFORM} cannot be read (Not a directory): name another folder with --memperf-storage"
        )

    def test_what_cannot_be_written_is_one_line(self, tmp_path: Path) -> None:
        """It is told before anything is measured."""
        (tmp_path / "store").write_text("")
        with pytest.raises(UsageMistake) as mistake:
            store_in(tmp_path).save(run_of())
        assert str(mistake.value) == (
            f"{tmp_path}/store/{PLATFORM} cannot be written (Not a directory): "
            "name another folder with --memperf-storage"
        )


NUMBERS = st.integers(0, 2**60) | st.floats(0, 1e300)
LETTERS = st.characters(codec="utf-8") | st.characters(min_codepoint=0xDC80, max_codepoint=0xDCFF)
"""Of any name: Python has the last ones for bytes of a file's name that are no text."""
TEXTS = st.text(LETTERS, max_size=20)
RESULTS = st.builds(
    lambda test, window, samples, uncertainty, notes: Result(
        test, window, metrics={"minor_faults": Measured(FAULTS, tuple(samples), uncertainty)}, notes=notes
    ),
    TEXTS, TEXTS, st.lists(NUMBERS, min_size=1, max_size=4), NUMBERS, st.lists(TEXTS, max_size=2),
)  # fmt: skip
COMMITS = st.none() | st.builds(
    Commit, st.from_regex("[0-9a-f]{40}|[0-9a-f]{64}", fullmatch=True), st.none() | TEXTS, st.booleans()
)
RUNS = st.builds(
    Run,
    st.datetimes().map(lambda time: f"{time.replace(microsecond=0).isoformat()}+00:00"),
    COMMITS,
    st.builds(Environment, machine=st.none() | TEXTS, cpus=st.none() | st.integers(1, 999)),
    st.lists(RESULTS, max_size=3),
    st.none() | TEXTS.filter(bool),
)


@pytest.mark.fuzz
@given(runs=st.lists(RUNS, min_size=1, max_size=3))
def test_runs_come_back_as_they_were(runs: list[Run], tmp_path_factory: pytest.TempPathFactory) -> None:
    """Whatever names, numbers and environments hold; the head alone says when, of which commit, and the name."""
    store = store_in(tmp_path_factory.mktemp("round"))
    for run in runs:
        save(store, run)
    saved = store.runs()
    assert [each.read() for each in saved] == runs
    assert [each.head for each in saved] == [replace(run, results=[], environment=Environment()) for run in runs]


def start(store: FileStore) -> Start:
    """Return what starts writers of runs of 20 results."""
    return partial(start_writer, str(store.folder), 20)


def check_numbers(store: FileStore) -> list[Run]:
    """Assert that every file is whole and that the numbers are 1 to the last, and return the runs."""
    saved = store.runs()
    assert [each.number for each in saved] == list(range(1, len(saved) + 1))
    runs = [each.read() for each in saved]
    assert all(len(run.results) == 20 for run in runs)
    return runs


def is_abandoned(temporary: Path) -> bool:
    """Tell whether nobody writes to the file any more."""
    try:
        with temporary.open() as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, FileNotFoundError):
        return False
    return True


def test_many_processes_save_at_once(tmp_path: Path) -> None:
    """8 processes with 25 runs each: 200 numbers, none twice and none left out, and every run is there once."""
    store = store_in(tmp_path)
    writers = [start(store)(f"w{number}", 25, tmp_path / "output") for number in range(8)]
    assert [writer.wait(60) for writer in writers] == [0] * 8
    names = [run.name for run in check_numbers(store)]
    assert sorted(map(str, names)) == sorted(f"w{writer}-{turn}" for writer in range(8) for turn in range(25))
    assert not list((store.folder / PLATFORM).glob(".memperf-*"))


def test_killed_writers_leave_whole_files_alone(tmp_path: Path) -> None:
    """4 processes are killed at random moments and started again: no run is torn, lost, or shares a number."""
    seed = random.randrange(2**32)
    chance, store = random.Random(seed), store_in(tmp_path)
    folder = store.folder / PLATFORM
    torn = 0

    def count_torn() -> None:
        nonlocal torn
        torn += any(map(is_abandoned, folder.glob(".memperf-*")))

    told = kill_writers(KILLS, chance, 0.01, start(store), tmp_path, count_torn)
    kept = {run.name for run in check_numbers(store)}
    assert told <= kept, seed
    # A run may be there of which its writer was killed before it could say so: one for each kill at most.
    assert len(kept - told) <= KILLS + WRITERS, seed
    assert torn, "no kill came while a file was written"

    (folder / ".memperf-0123456789ab").write_text('{"format": ')
    save(store, run_of())
    assert not list(folder.glob(".memperf-*"))
    assert len(store.runs()) == len(kept) + 1


@needs_mounts
class TestDisk:
    """The store's file system is full or cannot be written."""

    def test_full_is_one_line(self, tmp_path: Path) -> None:
        """The runs from before stay, nothing else is left, and the session is no success."""
        script = "session('-k', '[1]', '--memperf-save')\nsys.exit(session('--memperf-save').returncode)"
        done = on_a_disk(script, "disk", tmp_path, "64k")
        assert done.returncode == pytest.ExitCode.USAGE_ERROR
        assert done.stderr.splitlines() == [
            f"ERROR: --memperf-save: {tmp_path}/disk/{platform()} cannot be written (No space left on device): "
            "free some space, or name another folder with --memperf-storage"
        ]
        assert "Traceback" not in done.stdout
        assert "200 passed" in done.stdout
        names = [line.rpartition("/")[2] for line in done.stdout.splitlines() if line.startswith("disk/")]
        assert names[:2] == [platform(), ".lock"]
        assert len(names) == 3
        assert names[2].startswith("0001_unversioned_")

    @pytest.mark.parametrize("made", ["", "session('--memperf-save', '-k', '[1]')\n"])
    def test_read_only_is_one_line_at_once(self, tmp_path: Path, made: str) -> None:
        """No test runs, whether or not the store was there before."""
        script = f"{made}subprocess.run(['mount', '-o', 'remount,ro', 'disk'], check=True)\nprint('closed', flush=True)"
        script += "\nsys.exit(session('--memperf-save').returncode)"
        done = on_a_disk(script, "disk", tmp_path, "64k")
        assert done.returncode == pytest.ExitCode.USAGE_ERROR
        assert [line for line in done.stderr.splitlines() if line] == [
            f"ERROR: {tmp_path}/disk/{platform()} cannot be written (Read-only file system): "
            "name another folder with --memperf-storage"
        ]
        assert "passed" not in done.stdout.partition("closed")[2]


def truncated(text: bytes, chance: random.Random) -> bytes:
    """Return the beginning; what is missing is more than the last end of line."""
    return text[: chance.randrange(len(text) - 1)]


def flipped(text: bytes, chance: random.Random) -> bytes:
    """Return the text with one byte's highest bit turned over."""
    place = chance.randrange(len(text))
    return text[:place] + bytes([text[place] ^ 0x80]) + text[place + 1 :]


def zeroed(text: bytes, chance: random.Random) -> bytes:
    """Return the text with some zeros in it, as a file system leaves them after a loss of power."""
    start = chance.randrange(len(text) - 1)
    return text[:start] + bytes(len(text[start : start + 512])) + text[start + 512 :]


def garbage(text: bytes, chance: random.Random) -> bytes:
    """Return other bytes."""
    return chance.randbytes(chance.randrange(1, 2000))


class TestDamage:
    """Files that are no whole run any more."""

    @pytest.mark.parametrize("number", range(100))
    def test_is_one_line_and_the_others_are_read(self, tmp_path: Path, number: int) -> None:
        """Its number leads to the line that names the file; other runs are found, with that line as a remark."""
        damage = (truncated, flipped, zeroed, garbage)[number % 4]
        store = store_in(tmp_path)
        save(store, run_of(Commit("a" * 40, "main"), "first"))
        path = save(store, run_of(Commit("b" * 40, "main"), "second"))
        path.write_bytes(damage(path.read_bytes(), random.Random(number)))
        with pytest.raises(UsageMistake) as mistake:
            find("2", store, tmp_path)
        (line,) = str(mistake.value).splitlines()
        assert line.startswith(f"{path} is ")
        for reference in ("1", "first", "aaaa"):
            found = find(reference, store, tmp_path)
            assert [run.name for run in found.runs] == ["first"]
            assert set(found.remarks) <= {line}
        assert save(store, run_of()).name.startswith("0003_")

    @pytest.mark.parametrize("number", range(100))
    def test_a_changed_character_is_no_traceback(self, tmp_path: Path, number: int) -> None:
        """Not every change can be noticed, a digit more makes a larger number; but the rest is one line."""
        chance, store = random.Random(number), store_in(tmp_path)
        path = save(store, run_of(Commit("a" * 40, "main"), "first"))
        text = path.read_text()
        place = chance.randrange(len(text) - 2)
        path.write_text(text[:place] + chance.choice(["", "0", "]", "}", '"', ","]) + text[place + 1 :])
        try:
            (run,) = find("1", store, tmp_path).runs
            told = "\n".join(str(measured.value) for result in run.results for measured in result.metrics.values())
            assert re.fullmatch(r"[0-9.]+(\n[0-9.]+)?", told)
        except UsageMistake as mistake:
            told = str(mistake)
            assert re.fullmatch(rf"{re.escape(str(path))} is .+", told)

    @pytest.mark.parametrize("samples", ["[]", '["6"]', "[null]", "[[]]", "6", "{}", "[true]", "[NaN]"])
    def test_samples_are_numbers(self, tmp_path: Path, samples: str) -> None:
        """Of others no comparison could be made."""
        store = store_in(tmp_path)
        path = save(store, run_of())
        path.write_text(re.sub(r'"samples": \[600, 602\]', f'"samples": {samples}', path.read_text()))
        with pytest.raises(UsageMistake, match=rf"^{re.escape(str(path))} is damaged \("):
            find("1", store, tmp_path)

    def test_a_newer_format_is_one_line(self, tmp_path: Path) -> None:
        """It may hold what this version does not know; the older runs are found."""
        store = store_in(tmp_path)
        save(store, run_of(name="first"))
        path = save(store, run_of(name="second"))
        path.write_text(path.read_text().replace("pytest-memperf/1", "pytest-memperf/2", 1))
        line = f"{path} was written by a newer pytest-memperf (format 2, read here is up to 1): update it"
        with pytest.raises(UsageMistake) as mistake:
            find("2", store, tmp_path)
        assert str(mistake.value) == line
        found = find("latest", store, tmp_path)
        assert ([run.name for run in found.runs], list(found.remarks)) == (["first"], [line])

    def test_a_version_beyond_numbers_is_one_line(self, tmp_path: Path) -> None:
        """Python does not read a number of 5,000 digits."""
        store = store_in(tmp_path)
        path = save(store, run_of())
        path.write_text(path.read_text().replace("pytest-memperf/1", f"pytest-memperf/{'9' * 5000}", 1))
        with pytest.raises(UsageMistake, match="is no file of pytest-memperf's results"):
            find("1", store, tmp_path)

    def test_a_formatted_file_is_read(self, tmp_path: Path) -> None:
        """Somebody's editor has put the lines elsewhere: the head is no longer the first of them."""
        store = store_in(tmp_path)
        path = save(store, run_of(Commit("a" * 40, "main"), "first"))
        path.write_text(json.dumps(json.loads(path.read_text()), indent=2))
        assert find("main", store, tmp_path).runs == [run_of(Commit("a" * 40, "main"), "first")]
