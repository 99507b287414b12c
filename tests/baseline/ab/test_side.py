"""A side: its interpreter, what it has imported, and its end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from projects import PACKAGE, Project, interpreter, processes

from pytest_memperf.baseline.ab.neutral import leave_out
from pytest_memperf.baseline.ab.side import Side
from pytest_memperf.model.errors import UsageMistake

MARKED = "import os, pytest, mypkg\npytestmark = pytest.mark.memperf\n"
IS_BASE = MARKED + "def test_it(): assert mypkg.SIDE == 'base', mypkg.__file__\n"
IT = "tests/test_it.py::test_it"
HEAD = PACKAGE.format(side="head", pages=80)

Start = Callable[..., Side]


class TestRun:
    """A test in a layout."""

    def test_a_sample_of_each_kind(self, start: Start) -> None:
        """What was measured; what failed and why; a budget; a skip; the same in each layout."""
        text = MARKED + (
            "def test_good(): mypkg.work()\n"
            "def test_fails(): assert mypkg.SIDE == 'none', 'no side'\n"
            "def test_skips(): pytest.skip('for once')\n"
            "@pytest.mark.memperf(max_minor_faults=50)\n"
            "def test_budget(): mypkg.work()\n"
            "def test_ends(): os._exit(3)\n"
            "@pytest.mark.xfail\n"
            "@pytest.mark.memperf(max_minor_faults=50)\n"
            "def test_expected(): mypkg.work()\n"
        )
        side = start("base", files={"test_it.py": text})
        good, fails, skips, budget, ends, expected = (side.run(test, 0) for test in side.tests)
        (result,) = good.results

        assert 64 <= result.metrics["minor_faults"].value <= 70
        assert (good.failed, good.skipped) == (None, None)
        assert (fails.failed, fails.over_budget) == ("AssertionError: no side", False)
        assert skips.skipped == "Skipped: for once"
        assert budget.over_budget
        assert (expected.failed, expected.skipped, len(expected.results)) == (None, None, 1)
        assert len(budget.results) == 1
        assert ends.failed == "the test ended its process itself, with status 3 (os._exit or the like)"
        assert side.run(side.tests[0], 5).results[0].metrics["minor_faults"].value >= 64

    def test_a_process_that_waits(self, start: Start) -> None:
        """It has pages of its own before the test runs in it, and the counts are those of any other."""
        text = MARKED + "def test_it(): mypkg.work()\ndef test_pid(): raise ValueError(os.getpid())\n"
        side = start("base", files={"test_it.py": text})
        work, pid = side.tests
        (before,) = side.run(work, 0).results
        session = psutil.Process(side._process.pid)
        templates = set(session.children(recursive=True))
        for test in (pid, work):  # the second time there is one already, whichever test it is for
            side.fork_ahead(test, 0)
            side.wait()
        (waiting,) = set(session.children(recursive=True)) - templates

        assert side.run(pid, 0).failed == f"ValueError: {waiting.pid}"
        side.fork_ahead(work, 0)
        side.wait()
        (after,) = side.run(work, 0).results
        assert after.metrics["minor_faults"].samples == before.metrics["minor_faults"].samples

    def test_where_warnings_are_errors(self, start: Start) -> None:
        """That this plugin was imported before pytest is none of the project's."""
        files = {"pytest.ini": "[pytest]\nfilterwarnings = error\n", "test_it.py": IS_BASE}
        side = start("base", files=files)

        assert side.run(side.tests[0], 0).failed is None

    def test_what_cannot_be_imported(self, start: Start) -> None:
        """The other modules are collected all the same, and the reason is kept."""
        files = {"test_it.py": IS_BASE, "test_later.py": "import mypkg.later"}
        side = start("base", files=files)

        assert side.tests == ["test_it.py::test_it"]
        assert side.uncollected == {"test_later.py": "ModuleNotFoundError: No module named 'mypkg.later'"}

    def test_arguments_and_settings(self, start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
        """Arguments reach pytest; what the shell has set for other sessions does not."""
        monkeypatch.setenv("PYTEST_ADDOPTS", "--no-such-option")
        monkeypatch.setenv("PYTHONPATH", "/nowhere")
        text = "import sys, pytest\ndef test_one(): pass\ndef test_two(): assert '/nowhere' not in sys.path\n"
        side = start("base", "-k", "two", "--memperf-all", files={"test_it.py": text})

        assert side.tests == ["test_it.py::test_two"]
        assert side.run(side.tests[0], 0).failed is None


LAYOUTS = {
    "beside the package": {"mypkg/__init__.py": HEAD, "test_it.py": IS_BASE},
    "tests as a package": {"mypkg/__init__.py": HEAD, "tests/__init__.py": "", "tests/test_it.py": IS_BASE},
    "conftest adds ..": {
        "mypkg/__init__.py": HEAD,
        "tests/conftest.py": "import os, sys\nsys.path.insert(0, os.path.join(os.path.dirname(__file__), '..'))",
        "tests/test_it.py": IS_BASE,
    },
    "conftest adds src": {
        "src/mypkg/__init__.py": HEAD,
        "conftest.py": "import os, sys\nsys.path.insert(0, os.path.join(os.path.dirname(__file__), 'src'))",
        "tests/test_it.py": IS_BASE,
    },
    "pythonpath in the ini file": {
        "pytest.ini": "[pytest]\npythonpath = src .",
        "src/mypkg/__init__.py": HEAD,
        "tests/test_it.py": IS_BASE,
    },
}
FAR_AWAY = {
    "pytest.ini": "[pytest]\npythonpath = some/where",
    "some/where/mypkg/__init__.py": HEAD,
    "tests/test_it.py": IS_BASE,
}


class TestWhoseCode:
    """HEAD's tests on base run base's code, or not at all."""

    @pytest.mark.parametrize("files", LAYOUTS.values(), ids=LAYOUTS)
    def test_from_a_neutral_place(self, start: Start, tmp_path: Path, files: dict[str, str]) -> None:
        """Whichever way the tests find the project in its repository, they find that of the side."""
        Project(tmp_path / "tests").write({"pytest.ini": "[pytest]\n", **files})
        leave_out(tmp_path / "tests", "", ("mypkg",))
        side = start("base", files={name: text for name, text in files.items() if "mypkg/" not in name})

        assert side.run(side.tests[0], 0).failed is None

    @pytest.mark.parametrize("files", [*LAYOUTS.values(), FAR_AWAY], ids=[*LAYOUTS, "an unusual folder"])
    def test_where_the_project_is_still_there(self, start: Start, files: dict[str, str]) -> None:
        """The run ends, and says which file was imported: it would compare head with head."""
        side = start("base", files=files)

        with pytest.raises(UsageMistake, match=r"base: .* imported mypkg from .*/mypkg/__init__.py, which is not what"):
            side.run(side.tests[0], 0)

    def test_pythonpath(self, start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The variable that finds the project for other sessions does not reach the side, nor its children."""
        Project(tmp_path).write({"checkout/mypkg/__init__.py": HEAD})
        monkeypatch.setenv("PYTHONPATH", str(tmp_path / "checkout"))
        side = start("base", files={"tests/test_it.py": IS_BASE})

        assert side.run(IT, 0).failed is None

    def test_the_working_directory(self, start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """What lies where the command was started is not found either."""
        Project(tmp_path).write({"checkout/mypkg/__init__.py": HEAD})
        monkeypatch.chdir(tmp_path / "checkout")
        side = start("base", files={"tests/test_it.py": IS_BASE})

        assert side.run(IT, 0).failed is None

    @pytest.mark.parametrize("noted", [True, False], ids=["by pip", "by a path alone"])
    def test_installed_in_place(self, start: Start, tmp_path: Path, noted: bool) -> None:
        """A side whose project is imported from its sources is refused, before or when a test does so."""
        sources = tmp_path / "checkout"
        Project(sources).write({"mypkg/__init__.py": HEAD})
        files = {"mypkg.pth": str(sources)}
        if noted:
            files["mypkg-1.dist-info/METADATA"] = "Metadata-Version: 2.1\nName: mypkg\nVersion: 1\n"
            noted_by_pip = {"url": sources.as_uri(), "dir_info": {"editable": True}}
            files["mypkg-1.dist-info/direct_url.json"] = json.dumps(noted_by_pip)
        python = interpreter(tmp_path / "side", files)

        with pytest.raises(UsageMistake, match=r"^base.*mypkg from .*install it there, not editable"):
            start("base", python=python, files={"tests/test_it.py": IS_BASE}).run(IT, 0)


class TestMistakes:
    """A side that cannot be one."""

    def test_no_such_interpreter(self, tools: Path, tmp_path: Path) -> None:
        """It is named, with the reason."""
        with pytest.raises(UsageMistake, match=r"^base: /no/python cannot be started \(No such file or directory\)"):
            Side("base", Path("/no/python"), tmp_path, tools, ())

    def test_no_interpreter(self, tools: Path, tmp_path: Path) -> None:
        """A program that is none does not come to running tests."""
        side = Side("base", Path("/bin/false"), tmp_path, tools, ())
        with pytest.raises(UsageMistake, match=r"^base: its pytest did not come .*: it ended with status 1"):
            side.collect()
        side.close()

    def test_a_wrong_argument(self, start: Start) -> None:
        """What pytest says of it is told."""
        with pytest.raises(UsageMistake, match=r"^base: its pytest did not come .*--no-such-option"):
            start("base", "--no-such-option")

    def test_another_version(self, start: Start, tmp_path: Path) -> None:
        """A side that has the plugin itself must have this one: the numbers would be those of two plugins."""
        import pytest_memperf

        python = interpreter(tmp_path / "side", {})
        (site,) = (tmp_path / "side").glob("lib/python3*/site-packages")
        folder = Path(pytest_memperf.__file__).parent
        (site / "pytest_memperf").mkdir()
        for path in folder.iterdir():
            if path.name != "__init__.py":
                (site / "pytest_memperf" / path.name).symlink_to(path)
        own = (folder / "__init__.py").read_text()
        (site / "pytest_memperf" / "__init__.py").write_text(f"{own}\n__version__ = '0.0.1'\n")

        with pytest.raises(UsageMistake, match=r"base has pytest-memperf 0\.0\.1, here it is .*install the same there"):
            start("base", python=python)

    def test_a_session_that_is_killed(self, start: Start) -> None:
        """A test that kills the session which drives it ends the run; the side and the test are named."""
        text = MARKED + (
            "import signal\n"
            "def parent(pid): return int(open(f'/proc/{pid}/stat').read().rpartition(')')[2].split()[1])\n"
            "def test_it(): os.kill(parent(parent(os.getppid())), signal.SIGKILL)\n"
        )
        side = start("base", files={"tests/test_it.py": text})

        with pytest.raises(UsageMistake, match=rf"^base ended while it ran {IT}: it ended with status -9"):
            side.run(IT, 0)


class TestEnd:
    """Nothing stays behind."""

    SLOW = MARKED + "import time\ndef test_it():\n    open(os.environ['STARTED'], 'w').close()\n    time.sleep(60)\n"

    def test_in_the_midst_of_a_test(self, start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Closing does not wait for the test, and ends its processes."""
        monkeypatch.setenv("STARTED", str(tmp_path / "started"))
        side = start("base", files={"tests/test_it.py": self.SLOW})
        before = signal.signal(signal.SIGALRM, signal.default_int_handler)
        signal.setitimer(signal.ITIMER_REAL, 2)
        try:
            with pytest.raises(KeyboardInterrupt):
                side.run(IT, 0)
        finally:
            signal.signal(signal.SIGALRM, before)
        begun = time.monotonic()
        side.close()

        assert (tmp_path / "started").exists()
        assert time.monotonic() - begun < 8
        assert gone(f"STARTED={tmp_path}")

    def test_in_the_midst_of_the_collection(self, tools: Path, interpreters: dict[str, Path], tmp_path: Path) -> None:
        """Closing does not wait for a module either that takes long to import."""
        Project(tmp_path / "tests").write({"pytest.ini": "[pytest]\n", "test_it.py": "import time\ntime.sleep(60)\n"})
        side = Side("base", interpreters["base"], tmp_path / "tests", tools, ())
        before = signal.signal(signal.SIGALRM, signal.default_int_handler)
        signal.setitimer(signal.ITIMER_REAL, 2)
        try:
            with pytest.raises(KeyboardInterrupt):
                side.collect()
        finally:
            signal.signal(signal.SIGALRM, before)
        begun = time.monotonic()
        side.close()

        assert time.monotonic() - begun < 8

    def test_with_a_process_that_waits(self, start: Start, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """Nobody came for it, and it ends with its template."""
        monkeypatch.setenv("STARTED", str(tmp_path / "started"))
        side = start("base", files={"tests/test_it.py": self.SLOW})
        side.fork_ahead(IT, 0)
        side.wait()
        side.close()

        assert gone(f"STARTED={tmp_path}")

    def test_the_command_is_killed(self, tools: Path, interpreters: dict[str, Path], tmp_path: Path) -> None:
        """Its sides go with it, and what they run."""
        Project(tmp_path).write({"tests/pytest.ini": "[pytest]", "tests/tests/test_it.py": self.SLOW})
        code = (
            "import sys; from pathlib import Path; from pytest_memperf.baseline.ab.side import Side\n"
            f"side = Side('base', Path('{interpreters['base']}'), Path('{tmp_path}/tests'), Path('{tools}'), ())\n"
            f"side.collect(); side.run('{IT}', 0)\n"
        )
        environment = {**os.environ, "STARTED": str(tmp_path / "started")}
        process = subprocess.Popen([sys.executable, "-c", code], env=environment)
        until = time.monotonic() + 60
        while not (tmp_path / "started").exists() and time.monotonic() < until:
            time.sleep(0.01)
        assert len(processes(f"STARTED={tmp_path}")) >= 4
        process.kill()
        process.wait()

        assert gone(f"STARTED={tmp_path}")


def gone(mark: str) -> bool:
    """Tell whether the processes with this text in their environment end within a moment."""
    until = time.monotonic() + 5
    while processes(mark) and time.monotonic() < until:
        time.sleep(0.02)
    return not processes(mark)
