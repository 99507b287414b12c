"""What a store of runs can do, whatever it is made of: files in a folder, or rows of a database."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from pytest_memperf.model.run import Run

if TYPE_CHECKING:
    from pytest_memperf.report.json_report import Destination  # with pytest, which the commands do without


class StoredRun(Protocol):
    """A run that was saved; what its listing does not tell is read when it is asked for."""

    @property
    def number(self) -> int:
        """Its place among the runs of its platform, from 1 up."""

    @property
    def name(self) -> str:
        """``NNNN_<commit>_<time>[_dirty].json``: the name of its file, or what that would be."""

    @property
    def described(self) -> str:
        """Where it is, for a reader."""

    @property
    def saved_at(self) -> datetime.datetime:
        """When its session began, with the zone; the end of time where that is not known."""

    @property
    def head(self) -> Run:
        """The run without results and environment. UsageMistake for a damaged one."""

    def read(self) -> Run:
        """Return all of it. UsageMistake for a damaged one."""

    def document(self) -> dict[str, Any]:
        """Return all of it as plain JSON data, as it was saved. UsageMistake for a damaged one."""

    def remove(self) -> None:
        """Delete it; one that somebody else has deleted is gone. UsageMistake where it cannot be."""


@dataclass(frozen=True, slots=True)
class OfTest:
    """Some runs, with the results of some tests only."""

    runs: Sequence[tuple[int, Run]]
    """With their numbers, in the order that was asked for."""
    remarks: Sequence[str] = ()
    """What could not be read."""


class Store(Protocol):
    """The runs of one project on one platform. Any number of sessions may save at once."""

    @property
    def platform(self) -> str:
        """The platform, such as ``Linux-x86_64-CPython-3.12``."""

    @property
    def described(self) -> str:
        """Where the runs are, for a reader."""

    def runs(self) -> Sequence[StoredRun]:
        """Return the runs, the oldest first. UsageMistake where they cannot be listed."""

    def of_test(self, numbers: Sequence[int], test: str) -> OfTest:
        """Return runs with the results of the test of this id, or of tests that have it in their ids.

        UsageMistake where the runs cannot be listed; one that was deleted meanwhile is left out.
        """

    def save(self, run: Run, head: Mapping[str, Any] | None = None) -> Destination:
        """Return where the results of a run go, which is one of the store's when it is finished.

        UsageMistake where that is bound to fail.

        Args:
            head: what the document begins with, where that says more than the run.
        """
