"""The pages for GitHub, GitLab and Jenkins: their files are in order, and their shell parts do what they say."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from actions import ROOT, Job
from forge import GitLab
from projects import INSTALL, Project
from ruamel.yaml import YAML

PAGES = {"github": "vendor.github-workflows", "gitlab": "vendor.gitlab-ci"}
MARK = "<!-- pytest-memperf -->\n"


def blocks(page: str, language: str) -> list[str]:
    """Return the files on a page."""
    text = (ROOT / "docs" / f"ci-{page}.md").read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def parsed(page: str, number: int = 0) -> Any:
    """Return what a file in YAML says."""
    return YAML(typ="safe").load(blocks(page, "yaml")[number])


@pytest.mark.parametrize("page", PAGES)
def test_each_file_keeps_to_the_schema(page: str, tmp_path: Path) -> None:
    """Of SchemaStore for workflows, and of GitLab itself."""
    files = blocks(page, "yaml")
    assert files
    for number, text in enumerate(files):
        (tmp_path / f"{number}.yml").write_text(text)
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", PAGES[page]]
    checked = subprocess.run([*command, *map(str, tmp_path.glob("*.yml"))], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout


class Checkout:
    """A checkout as a system makes it, and a shell in it.

    Args:
        fetched: what is fetched of the origin, and what of that is checked out.
        installed: a job with an environment that pytest-memperf is installed in.
    """

    def __init__(self, folder: Path, origin: Project, fetched: list[str], installed: Job, *depth: str) -> None:
        self.project, self._installed = Project.new(folder), installed
        self.project.git("config", "remote.origin.url", f"file://{origin.folder}")
        self.project.git("fetch", "--quiet", "--no-tags", *depth, "origin", *fetched)
        self.project.git("checkout", "--quiet", "--force", fetched[0].partition(":")[2])

    def run(self, script: str, *shell: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a script that needs no index, for all that it installs is there; --install is what is right here."""
        script = script.replace("memperf ab", f"memperf ab --install='{INSTALL}'").replace(
            'bin/memperf" ab', f"bin/memperf\" ab --install='{INSTALL}'"
        )
        binaries = self._installed.temporary / "runner" / "memperf" / "bin"
        own = {
            "PATH": f"{binaries}:{os.environ['PATH']}",
            "HOME": str(self._installed.temporary / "home"),
            "GIT_CONFIG_NOSYSTEM": "1",
            "PIP_NO_INDEX": "1",
        }
        return subprocess.run(
            [*shell, "-c", script], cwd=self.project.folder, env={**own, **variables}, text=True, capture_output=True
        )

    def comparison(self, path: str = "memperf.json") -> Any:
        """Return what was kept of the only comparison."""
        (found,) = json.loads((self.project.folder / path).read_text())["comparisons"]
        return found


class TestGithub:
    """Without the action."""

    def test_a_call_is_enough(self, origin: Project, installed: Job, tmp_path: Path) -> None:
        """The steps of the page find the base, mark the line and fill the summary."""
        (job,) = parsed("github", 4)["jobs"].values()
        script = "\n".join(step["run"] for step in job["steps"] if "run" in step)
        reference = "refs/remotes/pull/harmful/merge"
        checkout = Checkout(
            tmp_path / "here", origin, [f"+refs/pull/harmful/merge:{reference}"], installed, "--depth=1"
        )
        ended = checkout.run(
            script, "bash", "--noprofile", "--norc", "-eo", "pipefail",
            GITHUB_SHA=checkout.project.git("rev-parse", "HEAD"), GITHUB_BASE_REF="main",
            GITHUB_WORKSPACE=str(checkout.project.folder), GITHUB_STEP_SUMMARY=str(tmp_path / "summary"),
        )  # fmt: skip

        assert ended.returncode == 1, ended.stderr
        assert "\n::error file=tests/test_it.py,line=5," in ended.stdout
        assert (tmp_path / "summary").read_text().startswith("### 1 memory regression")
        assert checkout.comparison()["regressions"] == 1

    @pytest.mark.parametrize(("code", "passes"), [("0", True), ("1", False), ("2", False), ("3", True), ("", False)])
    def test_the_step_that_lets_3_pass(self, code: str, passes: bool) -> None:
        """It fails for every other one, and where there is none."""
        (job,) = parsed("github", 1)["jobs"].values()
        ended = subprocess.run(["bash", "-e", "-c", job["steps"][-1]["run"]], env={**os.environ, "CODE": code})
        assert (ended.returncode == 0) is passes

    def test_no_workflow_that_judges_may_write(self) -> None:
        """But for the one that says so; and the one that comments has no checkout of what it comments on."""
        found = [parsed("github", number) for number in range(5)]
        assert [each["permissions"].get("pull-requests") for each in found] == [None, None, "write", "write", None]
        assert "checkout" not in blocks("github", "yaml")[2]
        assert found[2]["on"]["workflow_run"]["workflows"] == [found[0]["name"]]

    def test_inputs_are_those_of_the_action(self) -> None:
        """The table names each, and no workflow another."""
        page = (ROOT / "docs" / "ci-github.md").read_text()
        inputs = YAML(typ="safe").load(ROOT / "action.yml")["inputs"]
        rows = re.findall(r"^\| (`[^|]*`) \|", page, re.MULTILINE)
        assert [name for row in rows for name in re.findall(r"`([a-z-]+)`", row)] == list(inputs)
        for number in (0, 1, 3):
            (job,) = parsed("github", number)["jobs"].values()
            (step,) = [step for step in job["steps"] if step.get("uses", "").endswith("pytest-memperf@v1")]
            assert step.get("with", {}).keys() <= inputs.keys()


class TestGitlab:
    """Merge request pipelines."""

    @pytest.mark.parametrize(("name", "code"), [("harmful", 1), ("innocent", 0)])
    def test_the_job(self, origin: Project, installed: Job, tmp_path: Path, name: str, code: int) -> None:
        """It compares with where the branch left its target, and leaves the files that it names."""
        job = parsed("gitlab")["memory"]
        reference = f"+refs/merge-requests/{name}/head:refs/pipelines/1"
        checkout = Checkout(tmp_path / "here", origin, [reference], installed, "--depth=1")
        base, head = origin.git("rev-parse", "main"), checkout.project.git("rev-parse", "HEAD")
        variables = {
            key: value.replace("$CI_PROJECT_DIR", str(tmp_path / "here")) for key, value in job["variables"].items()
        }
        ended = checkout.run(
            "\n".join(job["script"]), "bash", "-eo", "pipefail", **variables,
            CI_COMMIT_SHA=head, CI_MERGE_REQUEST_DIFF_BASE_SHA=base, CI_MERGE_REQUEST_TARGET_BRANCH_SHA="",
            CI_MERGE_REQUEST_TARGET_BRANCH_NAME="main",
        )  # fmt: skip
        artifacts = job["artifacts"]
        suites = ElementTree.parse(checkout.project.folder / artifacts["reports"]["junit"]).getroot()

        assert ended.returncode == code, ended.stderr
        assert checkout.comparison()["base"] == f"where it left main ({base[:12]})"
        assert checkout.comparison()["head"] == f"HEAD ({head[:12]})"
        assert len(list(suites.iterfind("testsuite/testcase/failure"))) == code
        assert all((checkout.project.folder / path).exists() for path in artifacts["paths"])
        assert any((checkout.project.folder / path).iterdir() for path in job["cache"]["paths"])

    @pytest.fixture
    def serve(self) -> Iterator[Callable[..., GitLab]]:
        """Return a function that starts a server with these notes on the merge request."""
        servers = []

        def serve(*notes: tuple[int, str]) -> GitLab:
            servers.append(GitLab("may write", list(notes)))
            return servers[-1]

        yield serve
        for server in servers:
            server.close()

    def note(self, folder: Path, server: GitLab, text: str, token: str = "may write") -> int:
        """Run the last line of the job's script, by python-gitlab itself."""
        (folder / "memperf.md").write_text(text)
        script = parsed("gitlab")["memory-note"]["script"][-1]
        variables = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(folder),
            "CI_SERVER_URL": f"http://127.0.0.1:{server.address[1]}",
            "CI_MERGE_REQUEST_PROJECT_ID": "9",
            "CI_MERGE_REQUEST_IID": "7",
            "MEMPERF_TOKEN": token,
        }
        return subprocess.run(["bash", "-eo", "pipefail", "-c", script], cwd=folder, env=variables).returncode

    @pytest.mark.parametrize("others", [0, 45])
    def test_the_note(self, serve: Callable[..., GitLab], tmp_path: Path, others: int) -> None:
        """It is added once, whatever others there are and whoever writes its mark; then it is changed."""
        server = serve(*[(1, "Nice!")] * others, (1, f"{MARK}all is fine"))
        for text in ("older", "newer"):
            assert self.note(tmp_path, server, text) == 0
        assert [note["body"] for note in server.notes[others:]] == [f"{MARK}all is fine", f"{MARK}newer"]

    def test_a_token_that_may_not(self, serve: Callable[..., GitLab], tmp_path: Path) -> None:
        """The job fails, and nothing is written."""
        server = serve()
        assert self.note(tmp_path, server, "text", "wrong") != 0
        assert server.notes == []


class TestJenkins:
    """A multibranch job."""

    @pytest.mark.parametrize(("name", "code"), [("harmful", 1), ("innocent", 0)])
    def test_the_stage(self, origin: Project, installed: Job, tmp_path: Path, name: str, code: int) -> None:
        """Its two scripts, after Jenkins has merged the target into the pull request."""
        target = origin.git("rev-parse", "release")
        references = [f"+refs/pull/{name}/head:refs/remotes/origin/PR-7", "+refs/heads/*:refs/remotes/origin/*"]
        checkout = Checkout(tmp_path / "here", origin, references, installed)
        checkout.project.git("merge", "--quiet", "--no-edit", target)
        variables = {
            "CHANGE_ID": "7",
            "CHANGE_TARGET": "release",
            "WORKSPACE": str(checkout.project.folder),
            "WORKSPACE_TMP": str(installed.temporary / "runner"),
        }
        scripts = re.findall(r"'''(.*?)'''", blocks("jenkins", "groovy")[0], re.DOTALL)
        joined = [script.replace("\\\n", "") for script in scripts]  # as Groovy reads it
        ended = [checkout.run(script, "sh", "-xe", **variables) for script in joined]
        suites = ElementTree.parse(checkout.project.folder / "memperf" / "memperf.xml").getroot()

        assert [each.returncode for each in ended] == [0, code], ended[-1].stderr
        assert checkout.project.git("rev-parse", "HEAD^2") == target
        assert checkout.comparison("memperf/memperf.json")["base"] == f"where it left release ({target[:12]})"
        assert len(list(suites.iterfind("testsuite/testcase/failure"))) == code
        assert len(list(suites.iterfind("testsuite/testcase/properties/property"))) > 2
