"""The comment on a pull request, written by gh itself to a server that stands in for GitHub's REST API."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from actions import ROOT, Job, Run
from forge import GitHub

pytestmark = pytest.mark.skipif(shutil.which("gh") is None, reason="needs gh: apt-get install gh")

BOT = "github-actions[bot]"
MARK = "<!-- pytest-memperf -->\n"
OWN = {"github.event.pull_request.number": "7"}
FORK = {
    "github.event.workflow_run.id": "123",
    "github.event.workflow_run.head_repository.owner.login": "somebody",
    "github.event.workflow_run.head_branch": "topic",
    "github.event.workflow_run.head_sha": "a" * 40,
}


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., GitHub]]:
    """Return a function that starts the server with these comments on the pull request."""
    servers = []

    def serve(*comments: tuple[str, str], page: int = 100) -> GitHub:
        servers.append(GitHub(tmp_path / "socket", "may write", list(comments), page))
        return servers[-1]

    yield serve
    for server in servers:
        server.close()


@pytest.fixture
def comment(tmp_path: Path) -> Callable[..., Run]:
    """Return a function that runs the action, after the results were fetched."""

    def comment(
        text: str | None = "### Fine\n", token: str = "may write", event: dict[str, str] = OWN, **inputs: str
    ) -> Run:
        job = Job(tmp_path / "job", tmp_path, **{"github.token": token, "github.repository": "o/r", **event})
        settings = tmp_path / "gh"
        settings.mkdir(exist_ok=True)
        (settings / "config.yml").write_text(f"http_unix_socket: {tmp_path / 'socket'}\n")
        job.variables |= {"GH_CONFIG_DIR": str(settings), "TMPDIR": str(job.temporary)}
        before = {path.name for path in job.temporary.iterdir()}
        if text is not None:
            file = job.temporary / "runner" / "memperf-comment" / "memperf.md"
            file.parent.mkdir(exist_ok=True)
            file.write_text(text)
        run = job.run(ROOT / "comment", **inputs)
        assert not [path for path in job.temporary.iterdir() if path.is_dir() and path.name not in before]
        return run

    return comment


def test_the_first_one(serve: Callable[..., GitHub], comment: Callable[..., Run]) -> None:
    """It is added, with a mark that nobody sees; nothing else is written."""
    server = serve(("somebody", "Nice!"))
    run = comment("### Fine & `good`\n@é\n")

    assert (run.code, run.output) == (0, "https://github.com/o/r/pull/7#new\n")
    assert server.comments[1]["body"] == f"{MARK}### Fine & `good`\n@é\n"
    assert [request.method for request in server.requests if request.path != "/graphql"] == ["GET", "POST"]


@pytest.mark.parametrize("others", [0, 3, 250])
def test_the_next_one(serve: Callable[..., GitHub], comment: Callable[..., Run], others: int) -> None:
    """It takes the place of the one before, on whatever page that stands."""
    server = serve(*[("somebody", "Nice!")] * others, (BOT, f"{MARK}older"), ("somebody", "Really."), page=2)
    run = comment("newer")

    assert (run.code, run.output) == (0, "https://github.com/o/r/pull/7#old\n")
    assert server.comments[others]["body"] == f"{MARK}newer"
    assert len(server.comments) == others + 2


def test_a_mark_that_somebody_else_has_written(serve: Callable[..., GitHub], comment: Callable[..., Run]) -> None:
    """It is no reason to write over their comment, which they could change afterwards."""
    server = serve(("somebody", f"{MARK}all is fine"), (BOT, "quoted: {MARK}"))
    run = comment("newer")

    assert run.code == 0
    assert [each["body"] for each in server.comments] == [f"{MARK}all is fine", "quoted: {MARK}", f"{MARK}newer"]


def test_several_on_a_pull_request(serve: Callable[..., GitHub], comment: Callable[..., Run]) -> None:
    """Their names tell them apart."""
    server = serve()
    for name in ("small", "large", ""):
        for text in ("older", "newer"):
            assert comment(text, name=name).code == 0

    assert [each["body"] for each in server.comments] == [
        "<!-- pytest-memperf: small -->\nnewer",
        "<!-- pytest-memperf: large -->\nnewer",
        f"{MARK}newer",
    ]


def test_of_a_fork(serve: Callable[..., GitHub], comment: Callable[..., Run]) -> None:
    """The workflow that ran before has no number of it: its branch and commit find it."""
    server = serve()
    server.pulls = [
        {"number": 6, "head": {"label": "somebody:topic", "sha": "b" * 40}},
        {"number": 7, "head": {"label": "somebody:topic", "sha": "a" * 40}},
        {"number": 8, "head": {"label": "else:topic", "sha": "a" * 40}},
    ]
    run = comment(event=FORK)

    assert (run.code, run.output) == (0, "https://github.com/o/r/pull/7#new\n")
    assert run.used["actions/download-artifact@v4"]["run-id"] == "123"


def test_that_has_moved_on(serve: Callable[..., GitHub], comment: Callable[..., Run]) -> None:
    """A run that ends late does not hide the result of a later one."""
    server = serve()
    server.pulls = [{"number": 7, "head": {"label": "somebody:topic", "sha": "b" * 40}}]
    run = comment(event=FORK)

    assert run.code == 0
    assert run.output == f"memperf: no open pull request is at {'a' * 40} any more: there is nothing to comment on\n"
    assert server.comments == []


@pytest.mark.parametrize(
    ("token", "told"),
    [
        (
            "may read",
            "the token may not comment (gh: Resource not accessible by integration (HTTP 403)): give the job ",
        ),
        ("unknown", "GitHub does not know the token ("),
    ],
)
def test_a_token_that_may_not(serve: Callable[..., GitHub], comment: Callable[..., Run], token: str, told: str) -> None:
    """One line that names the permission, or the event for a fork, whose token may never write."""
    serve()
    run = comment(token=token)

    assert run.code == 1
    assert run.output.startswith(f"::error title=memperf::{told}")
    assert run.output.count("\n") == 1


def test_no_result(serve: Callable[..., GitHub], comment: Callable[..., Run]) -> None:
    """An older comment is not touched."""
    server = serve((BOT, f"{MARK}older"))
    run = comment(None)

    assert run.code == 1
    assert run.output.endswith("memperf.md is missing: the comparison ended before it had a result\n")
    assert server.requests == []


def test_a_text_that_is_too_long(serve: Callable[..., GitHub], comment: Callable[..., Run]) -> None:
    """It is cut, whatever wrote it."""
    server = serve()
    assert comment("é" * 100_000).code == 0
    assert 32_000 < len(server.comments[0]["body"]) <= 65_536


def test_a_file_of_the_same_job(serve: Callable[..., GitHub], comment: Callable[..., Run], tmp_path: Path) -> None:
    """Nothing is fetched then."""
    server = serve()
    (tmp_path / "own.md").write_text("own")
    run = comment(None, file=str(tmp_path / "own.md"))

    assert (run.code, run.used) == (0, {})
    assert server.comments[0]["body"] == f"{MARK}own"
