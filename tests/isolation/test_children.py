"""A child that does not come back is its test's failure, in one clear line, and nothing is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., pytest.RunResult]
Results = Callable[[], list[dict[str, Any]]]


class TestDeaths:
    """Signals, exits, memory, time."""

    def test_signal_is_named_and_output_shown(self, isolated: Run) -> None:
        """A killed child fails its test with the signal and what it had printed; the next test runs."""
        result = isolated(
            """
def test_dies():
    print("last words", flush=True)
    os.kill(os.getpid(), signal.SIGSEGV)
def test_next(): pass
"""
        )
        result.assert_outcomes(passed=1, failed=1)
        result.stdout.fnmatch_lines(["the child was killed by SIGSEGV", "*Captured stdout call*", "last words"])
        result.stdout.no_fnmatch_line("*Traceback*")

    @pytest.mark.parametrize("status", [0, 3])
    def test_exit_without_a_word(self, isolated: Run, status: int) -> None:
        """os._exit in a test is a failure, with whatever status."""
        result = isolated(f"def test_exits(): os._exit({status})\ndef test_next(): pass")
        result.assert_outcomes(passed=1, failed=1)
        result.stdout.fnmatch_lines([f"the test ended its process itself, with status {status} *"])

    def test_closed_descriptors(self, isolated: Run) -> None:
        """A test that closes the child's connection is told of what may have happened."""
        result = isolated("def test_closes(): os.closerange(3, 1024)\ndef test_next(): pass")
        result.assert_outcomes(passed=1, failed=1)
        result.stdout.fnmatch_lines(["the child could not go on, *: did the test close all descriptors[?]"])

    @pytest.mark.parametrize("end", ["os._exit(3)", "os.kill(os.getpid(), signal.SIGKILL)", "time.sleep(60)"])
    def test_budgets_of_a_child_that_died(self, isolated: Run, results: Results, end: str) -> None:
        """They are unchecked, as those of any test that did not come to its end."""
        isolated(
            f"@pytest.mark.memperf(max_minor_faults=9, timeout=2)\ndef test_ends(): {end}\n", "--memperf-json=out.json"
        ).assert_outcomes(failed=1)
        (result,) = results()
        (check,) = result["checks"]

        assert (result["isolation"], result["rounds"]) == ("process", 0)
        assert (check["status"], check["reason"]) == ("unchecked", "the test did not come to its end")

    def test_death_in_set_up_and_in_tear_down(self, isolated: Run) -> None:
        """They are errors of these phases."""
        isolated(
            """
@pytest.fixture
def dying(): os.kill(os.getpid(), signal.SIGKILL)
def test_one(dying): pass
@pytest.fixture
def late():
    yield
    os.kill(os.getpid(), signal.SIGTERM)
def test_two(late): pass
"""
        ).assert_outcomes(passed=1, errors=2)

    def test_out_of_memory(self, isolated: Run) -> None:
        """A child at the end of its address space fails with MemoryError, and is told of."""
        result = isolated(
            """
import resource
def test_hungry():
    resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
    bytearray(4 << 30)
def test_next(): pass
"""
        )
        result.assert_outcomes(passed=1, failed=1)
        result.stdout.fnmatch_lines(["*MemoryError*"])

    def test_timeout(self, isolated: Run) -> None:
        """A child that takes too long is killed, with the processes that it started."""
        result = isolated(
            """
import subprocess
def test_hangs():
    child = subprocess.Popen(["sleep", "600"])
    open("pid", "w").write(str(child.pid))
    time.sleep(600)
@pytest.mark.memperf(timeout=600)
def test_next(): pass
""",
            "--memperf-timeout=1.5",
        )
        result.assert_outcomes(passed=1, failed=1)
        result.stdout.fnmatch_lines(["the child was killed: *--memperf-timeout=1.5 seconds"])
        assert not alive(int(Path("pid").read_text()))

    def test_descriptors_above_1023(self, isolated: Run) -> None:
        """The driver hears of its children however many files it has open."""
        isolated(
            """
import resource
_, most = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 4096), most))
opened = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
def test_it(): pass
"""
        ).assert_outcomes(passed=1)

    @pytest.mark.parametrize(
        ("mark", "arguments"),
        [("@pytest.mark.memperf(timeout=1)", ()), ("", ("-o", "memperf_defaults=timeout = 1"))],
        ids=["marker", "defaults"],
    )
    def test_timeout_that_is_an_argument(self, isolated: Run, mark: str, arguments: tuple[str, ...]) -> None:
        """The line names what set the limit."""
        result = isolated(f"{mark}\ndef test_hangs(): time.sleep(600)", *arguments)
        result.assert_outcomes(failed=1)
        result.stdout.fnmatch_lines(["the child was killed: the test took longer than timeout=1 seconds"])

    def test_fork_that_holds_the_socket(self, isolated: Run) -> None:
        """A killed child is seen at once, although a process of its own session has its socket."""
        result = isolated(
            """
def test_dies():
    if os.fork() == 0:
        os.setsid()
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        with open("pid.new", "w") as file: file.write(str(os.getpid()))
        os.rename("pid.new", "pid")
        time.sleep(600)
    while not os.path.exists("pid"): time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGKILL)
def test_next(): pass
""",
            "--memperf-timeout=30",
        )
        os.kill(int(Path("pid").read_text()), signal.SIGKILL)
        result.assert_outcomes(passed=1, failed=1)
        result.stdout.fnmatch_lines(["the child was killed by SIGKILL"])

    def test_daemons_end_with_the_child(self, isolated: Run) -> None:
        """Processes that multiprocessing would end at exit do not outlive the test."""
        result = isolated(
            """
import multiprocessing
fork = multiprocessing.get_context("fork")
def test_starts():
    daemon = fork.Process(target=time.sleep, args=(600,), daemon=True)
    daemon.start()
    pool = fork.Pool(2)
    open("pids", "w").write(f"{daemon.pid} {' '.join(map(str, pool.map(pid_of, range(8), 1)))}")
    globals()["pool"] = pool
def pid_of(_): return os.getpid()
def test_next(): pass
"""
        )
        result.assert_outcomes(passed=2)
        pids = [int(pid) for pid in Path("pids").read_text().split()]
        wait_until(lambda: not any(map(alive, pids)))

    @pytest.mark.parametrize("end", ["pass", "time.sleep(600)", "os._exit(3)"])
    def test_sessions_of_their_own_end_with_the_child(self, isolated: Run, end: str) -> None:
        """However the child ends, what it put out of its group ends too, down to what that started elsewhere again."""
        isolated(
            f"""
import atexit, subprocess
SLEEP = ["sleep", "600"]
OUTER = f"import subprocess as s; p = s.Popen({{SLEEP}}, start_new_session=True); print(p.pid, flush=True); p.wait()"
before = subprocess.Popen(SLEEP, start_new_session=True)
atexit.register(before.kill)  # in the driver
@pytest.mark.memperf(timeout=3)
def test_starts():
    outer = subprocess.Popen([sys.executable, "-c", OUTER], stdout=subprocess.PIPE, text=True, start_new_session=True)
    with open("pids", "w") as file: file.write(f"{{outer.pid}} {{outer.stdout.readline()}}")
    {end}
def test_next():
    os.kill(before.pid, 0)
    state = open(f"/proc/{{before.pid}}/stat").read().rpartition(")")[2].split()[0]
    os.kill(before.pid, signal.SIGKILL)
    assert state not in "ZX"
"""
        ).assert_outcomes(passed=1 + (end == "pass"), failed=int(end != "pass"))
        pids = [int(pid) for pid in Path("pids").read_text().split()]
        assert len(pids) == 2
        wait_until(lambda: not any(map(alive, pids)))

    @pytest.mark.parametrize(
        "end", ["os.kill(os.getpid(), signal.SIGKILL)", "os._exit(0)", "time.sleep(600)", "pytest.exit('enough')"]
    )
    def test_data_of_mapped_files_is_deleted(self, isolated: Run, end: str) -> None:
        """However the child ends, the data that its fixture would have deleted goes; other files of its stay."""
        isolated(
            f"""
@pytest.mark.memperf(timeout=3)
def test_ends(mapped_file, tmp_path):
    (tmp_path / "mine").touch()
    with open("paths", "w") as file: file.write(f"{{mapped_file(100_000).path}}\\n{{tmp_path / 'mine'}}")
    {end}
"""
        )
        data, mine = map(Path, Path("paths").read_text().splitlines())
        assert not data.parent.exists()
        assert data.parent.parent in mine.parents
        assert mine.exists()

    def test_fork_that_escapes_from_the_test(self, isolated: Run) -> None:
        """A process that the test forked and that comes back through pytest's code ends there."""
        isolated(
            """
def test_forks():
    if os.fork() == 0: raise SystemExit
    os.wait()
def test_next(): pass
"""
        ).assert_outcomes(passed=2)

    def test_xfail_covers_a_death(self, isolated: Run) -> None:
        """A test marked as expected to fail may also die."""
        isolated("@pytest.mark.xfail\ndef test_dies(): os.abort()").assert_outcomes(xfailed=1)


class TestTemplates:
    """Templates that cannot start, and that must not outlive the driver."""

    def test_module_that_only_the_driver_can_import(self, isolated: Run) -> None:
        """One clear line, for each test of the module."""
        result = isolated(
            """
if not os.path.exists("seen"): open("seen", "w").close()
else: raise RuntimeError("only once")
def test_it(): pass
"""
        )
        result.assert_outcomes(errors=1)
        result.stdout.fnmatch_lines(["the template of *test_it.py could not get ready: RuntimeError: only once"])
        result.stdout.no_fnmatch_line("*Traceback*")

    def test_conftest_that_only_the_driver_can_load(self, isolated: Run, pytester: pytest.Pytester) -> None:
        """The last line that the template said is in the message."""
        pytester.makeconftest(
            """
import os
if os.path.exists("seen"): raise RuntimeError("only once")
open("seen", "w").close()
"""
        )
        result = isolated("def test_it(): pass")
        result.assert_outcomes(errors=1)
        result.stdout.fnmatch_lines(["the template interpreter could not start: RuntimeError: only once"])

    @pytest.mark.parametrize(
        ("end", "line"),
        [("os._exit(7)", "it ended itself with status 7"), ("os.kill(os.getpid(), 9)", "it was killed by SIGKILL")],
    )
    @pytest.mark.parametrize(
        ("file", "whose"),
        [
            ("conftest.py", "the template interpreter could not start"),
            ("*test_it.py", "the template of {} could not get ready"),
        ],
    )
    def test_template_that_dies(
        self, isolated: Run, pytester: pytest.Pytester, end: str, line: str, file: str, whose: str
    ) -> None:
        """Its signal or its status is in the message, be it of the base or of a module."""
        dying = f"import os\nif os.path.exists('seen'): {end}\nopen('seen', 'w').close()\n"
        of_module = file != "conftest.py"
        if not of_module:
            pytester.makeconftest(dying)
        result = isolated(f"{dying if of_module else ''}def test_it(): pass")
        result.assert_outcomes(errors=1)
        result.stdout.fnmatch_lines([f"{whose.format(file)}: {line}"])

    def test_module_that_hangs_only_in_the_template(self, isolated: Run) -> None:
        """It is killed at the end of its time to get ready."""
        result = isolated(
            """
from pytest_memperf.isolation import launch
launch.START_UP = 5
if os.path.exists("seen"):
    open("pid", "w").write(str(os.getpid()))
    time.sleep(600)
open("seen", "w").close()
def test_it(): pass
"""
        )
        result.assert_outcomes(errors=1)
        result.stdout.fnmatch_lines(["the template of *test_it.py could not get ready: it took longer than 5 seconds"])
        wait_until(lambda: not alive(int(Path("pid").read_text())))

    def test_session_that_ends_only_in_the_template(self, isolated: Run, pytester: pytest.Pytester) -> None:
        """The line says why it ended."""
        pytester.makeconftest(
            """
import os, pytest
def pytest_collection_modifyitems():
    if os.path.exists("seen"): raise pytest.UsageError("not twice")
    open("seen", "w").close()
"""
        )
        result = isolated("def test_it(): pass")
        result.assert_outcomes(errors=1)
        result.stdout.fnmatch_lines(["the template of *could not get ready: its session ended: not twice"])

    def test_wrong_mark_of_another_test(self, isolated: Run) -> None:
        """A mistake in the mark of a test that was not selected does not keep the selected one from running."""
        result = isolated(
            """
@pytest.mark.memperf(max_minor_fault=3)
def test_wrong(): pass
def test_right(): pass
""",
            "-k",
            "right",
        )
        result.assert_outcomes(passed=1, deselected=1)

    def test_id_that_the_template_does_not_have(self, isolated: Run) -> None:
        """A test whose name depends on the process is told of."""
        result = isolated(
            "@pytest.mark.parametrize('n', [1], ids=[str(os.getpid())])\ndef test_it(n): pass",
        )
        result.assert_outcomes(errors=1)
        result.stdout.fnmatch_lines(["the test is not among those that its module yields in a template: *"])

    def test_session_finish_is_the_driver_s_alone(self, isolated: Run, pytester: pytest.Pytester) -> None:
        """sessionstart runs in driver and template, sessionfinish once."""
        pytester.makeconftest(
            """
def note(what):
    with open("notes", "a") as file: file.write(what + " ")
def pytest_configure(): note("configure")
def pytest_sessionstart(): note("start")
def pytest_sessionfinish(): note("finish")
def pytest_unconfigure(): note("unconfigure")
"""
        )
        isolated("def test_one(): pass\ndef test_two(): assert 0")
        notes = (pytester.path / "notes").read_text().split()
        assert notes == ["configure", "start", "configure", "start", "finish", "unconfigure"]

    @pytest.mark.parametrize("whom", ["os.getppid()", "os.getpgid(os.getppid())"])
    def test_dead_template_is_replaced(self, isolated: Run, whom: str) -> None:
        """Only the test that kills its template, or the base of that, fails: the next has a new one."""
        result = isolated(
            f"""
def test_kills():
    os.kill({whom}, signal.SIGKILL)
    time.sleep(600)
def test_next(): pass
def test_after_that(): pass
"""
        )
        result.assert_outcomes(passed=2, failed=1)
        result.stdout.fnmatch_lines(["the child is gone, and its template with it: something killed them"])

    def test_late_ending_is_not_taken_for_the_next_child(self, isolated: Run, pytester: pytest.Pytester) -> None:
        """A child that closes all descriptors and stays is killed in the end, and its template is not used again."""
        pytester.makeconftest("from pytest_memperf.isolation import playback\nplayback.LAST_WORDS = 0.2")
        result = isolated(
            """
@pytest.mark.memperf(timeout=1)
def test_deaf():
    os.closerange(3, 1024)
    time.sleep(600)
def test_next(): pass
"""
        )
        result.assert_outcomes(passed=1, failed=1)
        result.stdout.fnmatch_lines(["the child closed its connection and ran on until it was killed: *"])

    def test_threads_at_the_fork_are_named(self, isolated: Run, results: Callable[[], list[dict[str, object]]]) -> None:
        """A thread that a module starts is in the notes."""
        isolated(
            """
import threading
threading.Thread(target=time.sleep, args=(60,), daemon=True, name="waiting").start()
def test_it(): pass
""",
            "--memperf-json=out.json",
        ).assert_outcomes(passed=1)
        assert "threads alive at the fork" in str(results()[0]["notes"])

    @pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
    def test_no_process_outlives_a_killed_driver(
        self, isolated: Run, pytester: pytest.Pytester, number: signal.Signals
    ) -> None:
        """Templates and children end with the driver, however that ends."""
        pytester.makepyfile(
            test_it="""
import os, time, pytest
@pytest.mark.memperf(isolation="process")
def test_it():
    with open("pids.new", "w") as file: file.write(f"{os.getpid()} {os.getppid()} {os.getpgid(os.getppid())}")
    os.rename("pids.new", "pids")
    time.sleep(600)
"""
        )
        driver = subprocess.Popen([sys.executable, "-m", "pytest"], stdout=subprocess.DEVNULL)
        wait_until(Path("pids").exists)
        pids = [int(pid) for pid in Path("pids").read_text().split()]
        assert all(map(alive, pids))
        driver.send_signal(number)
        driver.wait()
        wait_until(lambda: not any(map(alive, pids)))


def alive(pid: int) -> bool:
    """Tell whether there is such a process, and not merely its remains."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_until(condition: Callable[[], bool], seconds: float = 60) -> None:
    """Wait for the condition; AssertionError where it does not come true."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)
