"""What environments are kept under: another one for all that may decide what they come to."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pytest_memperf.baseline.ab.deciding import digest, with_included
from pytest_memperf.baseline.ab.interpreter import OWN, Interpreter


@pytest.mark.parametrize(
    "name",
    [
        "CFLAGS", "CXXFLAGS", "CPPFLAGS", "LDFLAGS", "CC", "CXX", "RUSTFLAGS", "CMAKE_ARGS", "CARGO_BUILD_TARGET",
        "PIP_CONSTRAINT", "PIP_REQUIREMENT", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_NO_BINARY",
        "PIP_ONLY_BINARY", "PIP_PRE", "UV_INDEX_URL", "UV_DEFAULT_INDEX", "UV_PRERELEASE",
        "SETUPTOOLS_SCM_PRETEND_VERSION",
    ],
)  # fmt: skip
def test_variables(name: str) -> None:
    """Each value has its own environment, and so has none."""
    without, one, other = (digest(["key"], OWN, variables) for variables in ({}, {name: "1"}, {name: "2"}))

    assert len({without, one, other}) == 3


@pytest.mark.parametrize("name", ["HOME", "TMPDIR", "PIP_CACHE_DIR", "UV_CACHE_DIR", "UV_PUBLISH_TOKEN", "CI_JOB_ID"])
def test_variables_of_a_job(name: str) -> None:
    """Those that each job in CI has to itself decide nothing, or nothing would be kept."""
    assert digest(["key"], OWN, {name: "1"}) == digest(["key"], OWN, {})


def test_passwords_of_a_job() -> None:
    """The address of an index counts, the token in it does not."""
    one, same, other = (
        digest(["key"], OWN, {"PIP_EXTRA_INDEX_URL": f"https://example.org/one https://{address}/simple"})
        for address in ("ci:secret@example.org", "ci:other@example.org", "ci:secret@example.com")
    )

    assert one == same != other


@pytest.mark.parametrize(
    "other", [replace(OWN, path="/opt/python"), replace(OWN, version="3.99")], ids=["path", "version"]
)
def test_interpreters(other: Interpreter) -> None:
    """An environment holds for the interpreter that has made it."""
    assert digest(["key"], other, {}) != digest(["key"], OWN, {})


@pytest.mark.parametrize("name", ["PIP_CONSTRAINT", "PIP_REQUIREMENT", "PIP_BUILD_CONSTRAINT", "UV_OVERRIDE"])
@pytest.mark.parametrize("changed", ["first.txt", "second.txt", "below/third.txt"])
def test_files_that_variables_name(tmp_path: Path, name: str, changed: str) -> None:
    """What they say counts, also of the second one and of those that they include."""
    (tmp_path / "below").mkdir()
    (tmp_path / "first.txt").write_text("numpy==1\n")
    (tmp_path / "second.txt").write_text("-r below/third.txt\n")
    (tmp_path / "below" / "third.txt").write_text("scipy==1\n")
    variables = {name: f"{tmp_path}/first.txt {tmp_path}/second.txt https://example.org/third.txt"}
    before = digest(["key"], OWN, variables)
    assert digest(["key"], OWN, variables) == before
    with (tmp_path / changed).open("a") as file:
        file.write("pandas==2\n")

    assert digest(["key"], OWN, variables) != before


@pytest.mark.parametrize(
    "line",
    ["-r other.txt", "-rother.txt", "-c other.txt  # pinned", "  --requirement other.txt", "--constraint='other.txt'"],
)
def test_included_files(tmp_path: Path, line: str) -> None:
    """By each way to write it, relative to the file that includes; once each, also where they include each other."""
    (tmp_path / "below").mkdir()
    (tmp_path / "first.txt").write_text("-c below/second.txt\n")
    (tmp_path / "below" / "second.txt").write_text(f"numpy\n{line}\n-r missing.txt\n")
    (tmp_path / "below" / "other.txt").write_text("-r ../first.txt\n-r ../below\n")
    found = [text.partition("\n")[0] for text in with_included([str(tmp_path / "first.txt")])]

    assert found == ["-c below/second.txt", "numpy", "-r ../first.txt"]
