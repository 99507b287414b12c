"""One session's results, with the commit and the environment that they belong to."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pytest_memperf.model.environment import Environment
from pytest_memperf.model.errors import UsageMistake
from pytest_memperf.model.result import Result

LATEST = "latest"
"""The word for: the run that was saved last."""


@dataclass(frozen=True, slots=True)
class Commit:
    """The state of the project's repository."""

    id: str
    branch: str | None = None
    """None on a detached head."""
    dirty: bool = False
    """Files under version control were changed and not committed."""

    def as_json(self) -> dict[str, Any]:
        """Return the commit as plain JSON data."""
        return {"id": self.id, "branch": self.branch, "dirty": self.dirty}


@dataclass(frozen=True, slots=True)
class Run:
    """What one file of results holds."""

    created: str
    """When the session started: ISO 8601, UTC."""
    commit: Commit | None = None
    """None outside a repository."""
    environment: Environment = field(default_factory=Environment)
    results: Sequence[Result] = field(default_factory=list)
    name: str | None = None
    """What the run was saved as; None where it was given no name."""

    @property
    def branch(self) -> str | None:
        """The commit's; None where there is none."""
        return self.commit.branch if self.commit else None

    @property
    def head(self) -> dict[str, Any]:
        """What a file of results begins with."""
        return {
            "created": self.created,
            **({"commit": self.commit.as_json()} if self.commit else {}),
            **({"name": self.name} if self.name else {}),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Run:
        """Return the run without its results. ValueError, KeyError, TypeError or AttributeError for other data."""
        commit = data.get("commit")
        return cls(
            str(data["created"]),
            Commit(str(commit["id"]), commit["branch"], bool(commit["dirty"])) if commit else None,
            Environment.from_json(data.get("environment") or {}),
            name=data.get("name"),
        )


def parse_name(text: str) -> str:
    """Return the name to save a run under. UsageMistake for one that would name something else."""
    if os.path.lexists(text):
        raise UsageMistake(f"{text} is there as a file or folder: give another name, or put tests before the option")
    if not re.fullmatch(r"[\w.+/-]+", text) or text == LATEST or text.isdecimal():
        raise UsageMistake(f"give a name of letters, digits and . _ - + /, which is no number and not {LATEST!r}")
    return text
