"""The action of this repository: its scripts run as a runner runs them, in the checkout of a pull request."""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from actions import ROOT, Job, Run, read
from projects import INSTALL, Project

ACTIONS = (ROOT, ROOT / "comment")


@pytest.fixture
def gate(origin: Project, installed: Job, tmp_path: Path) -> Callable[..., Run]:
    """Return a function that checks a pull request out as actions/checkout does, and runs the action."""

    def gate(pull: str, **inputs: str) -> Run:
        checkout = Project.new(tmp_path / "checkout")
        reference = f"refs/remotes/pull/{pull}/merge"
        checkout.git("config", "remote.origin.url", f"file://{origin.folder}")
        checkout.git("fetch", "--quiet", "--no-tags", "--depth=1", "origin", f"+refs/pull/{pull}/merge:{reference}")
        checkout.git("checkout", "--quiet", "--force", reference)
        job = Job(installed.temporary, checkout.folder)
        job.context["github.event.pull_request.base.sha"] = origin.git("rev-parse", "main")
        head = checkout.git("rev-parse", "HEAD")
        job.variables |= {"GITHUB_SHA": head, "GITHUB_BASE_REF": "main", "GITHUB_EVENT_NAME": "pull_request"}
        before = checkout.seen()
        run = job.run(ROOT, done={"install": {"python": "3"}}, **{"install": INSTALL, **inputs})
        assert checkout.seen() == before
        return run

    return gate


def found(run: Run) -> dict[str, Any]:
    """Return the comparison that a run has kept as JSON, whose exit code it tells."""
    folder = Path(run.outputs[""]["folder"])
    assert sorted(path.name for path in folder.iterdir()) == ["memperf.json", "memperf.md", "memperf.xml"]
    assert run.outputs[""]["exit-code"] == str(run.code)
    kept = run.used["actions/upload-artifact@v4"]
    assert (kept["path"], kept["name"]) == (str(folder), "memperf")
    (comparison,) = json.loads((folder / "memperf.json").read_text())["comparisons"]
    return dict(comparison)


class TestVerdicts:
    """Pull requests, each in a checkout of depth 1."""

    def test_a_regression(self, gate: Callable[..., Run], origin: Project) -> None:
        """It fails with 1, marks the line of the test, and is in the log, in the summary and in every file."""
        run = gate("harmful")
        comparison = found(run)
        folder = Path(run.outputs[""]["folder"])
        (failure,) = ElementTree.parse(folder / "memperf.xml").getroot().iterfind("testsuite/testcase/failure")

        assert run.code == 1
        assert comparison["base"] == f"HEAD^1 ({origin.git('rev-parse', 'main')[:12]})"
        assert "\n::error file=tests/test_it.py,line=5,title=minor_faults of test_work::" in run.output
        assert "worse, fails" in run.output
        assert run.summary.startswith("### 1 memory regression in 1 test\n")
        assert run.summary == (folder / "memperf.md").read_text()
        assert failure.attrib["message"].startswith("minor_faults 6")
        assert run.used["actions/cache@v4"]["key"].endswith(origin.git("rev-parse", "main"))

    def test_an_innocent_change(self, gate: Callable[..., Run]) -> None:
        """It passes."""
        run = gate("innocent")

        assert (run.code, found(run)["regressions"]) == (0, 0)
        assert "::error" not in run.output
        assert run.summary.startswith("### No memory regression\n")

    def test_a_test_that_fails(self, gate: Callable[..., Run]) -> None:
        """It is an error on its line and in the comment, though no metric tells."""
        run = gate("broken")

        assert run.code == 1
        assert found(run)["failed"] == {"tests/test_it.py::test_work": "AssertionError: broken"}
        assert "::error file=tests/test_it.py,line=5,title=failure of test_work::" in run.output
        assert run.summary.startswith("### 1 failure on head\n")

    def test_where_nothing_can_be_judged(self, gate: Callable[..., Run]) -> None:
        """A test that base cannot run is new: 3, with a warning, and the results are kept."""
        run = gate("first")

        assert (run.code, found(run)["counts"]) == (3, {"new": 1})
        assert "::warning title=memperf::Memory: nothing could be judged: " in run.output


class TestInputs:
    """What is asked for."""

    def test_commits(self, gate: Callable[..., Run], origin: Project) -> None:
        """By names that the checkout has not got: they are fetched, one commit each."""
        comparison = found(gate("innocent", base="main", head="harmful"))

        assert comparison["base"].endswith(f"({origin.git('rev-parse', 'main')[:12]})")
        assert comparison["head"].endswith(f"({origin.git('rev-parse', 'harmful')[:12]})")
        assert comparison["regressions"] == 1

    @pytest.mark.parametrize(
        ("inputs", "told"),
        [
            ({"base": "nowhere"}, "::error title=memperf::neither this checkout nor origin knows a commit nowhere"),
            ({"head": "main"}, "::error title=memperf::head is given without base: give both, or neither"),
            ({"options": "--no-such-option"}, "memperf: "),
        ],
    )
    def test_a_mistake(self, gate: Callable[..., Run], inputs: dict[str, str], told: str) -> None:
        """One line, and 2."""
        run = gate("innocent", **inputs)
        lines = [line for line in run.output.splitlines() if "memperf" in line]

        assert run.code == 2
        assert len(lines) == 1
        assert lines[0].startswith(told)

    def test_the_others_reach_memperf(self, gate: Callable[..., Run], tmp_path: Path) -> None:
        """Limits a line each; words as quotes hold them together, of which nothing is evaluated."""
        run = gate(
            "harmful",
            fail="\nminor_faults:1000\npeak_rss:1 MiB\n",
            tests=f"""tests -k "test_work and not '$(touch {tmp_path}/evaluated)'" """,
            options="--max-time '10 s' --all",
        )
        assert run.code == 2  # pytest does not take that for an expression
        assert f"$(touch {tmp_path}/evaluated)" in run.output
        assert not (tmp_path / "evaluated").exists()

        run = gate(
            "harmful", fail="\nminor_faults:1000\npeak_rss:1 MiB\n", strict="true", options="--max-time '1 s' --all"
        )
        assert run.code == 0
        assert found(run)["counts"]["worse"] == 1
        assert " same " in run.output


@pytest.mark.parametrize("folder", ACTIONS, ids=lambda folder: folder.name if folder != ROOT else "action")
class TestFiles:
    """The files themselves."""

    def test_keeps_to_the_schema(self, folder: Path) -> None:
        """Of SchemaStore, for actions."""
        command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-actions"]
        checked = subprocess.run([*command, str(folder / "action.yml")], capture_output=True, text=True)
        assert checked.returncode == 0, checked.stdout

    def test_shellcheck_has_nothing_to_say(self, folder: Path, tmp_path: Path) -> None:
        """About any script of its steps, and those beside it."""
        scripts = list(folder.glob("*.sh"))
        for number, step in enumerate(read(folder / "action.yml")["runs"]["steps"]):
            if "run" in step:
                scripts.append(tmp_path / f"{number}.sh")
                scripts[-1].write_text("#!/bin/bash\n" + step["run"])
        checked = subprocess.run(
            [str(Path(sysconfig.get_path("scripts"), "shellcheck")), *map(str, scripts)], capture_output=True, text=True
        )
        assert checked.returncode == 0, checked.stdout

    def test_no_script_holds_an_expression(self, folder: Path) -> None:
        """What a pull request's author can name reaches scripts as variables, and is never a part of them."""
        steps = read(folder / "action.yml")["runs"]["steps"]
        assert [step["name"] for step in steps if "${{" in step.get("run", "")] == []
