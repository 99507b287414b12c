"""Huge pages that were reserved for a while: who has how many, so that exactly those are given back.

Each reservation is a small file, written before the pool changes and again after it, so that a process that is killed
in between leaves behind what the next one needs to put the pool back. All of it happens under one lock.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from cyx import hugepages
from pytest_memperf.environment.files import inside, pools_by_node, write_whole
from pytest_memperf.environment.lists import HUGE_PAGES
from pytest_memperf.environment.locks import locked
from pytest_memperf.environment.owner import Owner, this_boot

_ROOT = Path("/")


class NotEnough(Exception):
    """The kernel finds fewer pages in one piece than are wanted."""

    def __init__(self, found: int) -> None:
        super().__init__(found)
        self.found = found


@dataclass(frozen=True, slots=True)
class Reservation:
    """Pages that were added to a pool, by a process or, without an owner, by hand."""

    page_size: int
    by_node: Mapping[str, int]
    """How many on each node, by its name; under an empty one where the kernel does not tell them apart."""
    boot: str
    owner: Owner | None = None
    from_kept: Mapping[str, int] | None = None
    """How many pages each node kept before a change that is under way."""
    most: int = 0
    """What ``pages`` can be at most, whatever came of that change."""

    @property
    def pages(self) -> int:
        """How many they are."""
        return sum(self.by_node.values())

    @property
    def is_left_behind(self) -> bool:
        """Whether its owner has ended without giving it back, or its pool is gone."""
        return self.is_void or (self.owner is not None and self.owner.is_dead())

    @property
    def is_void(self) -> bool:
        """Whether the machine was started anew, and with it the pools."""
        return self.boot.partition("-")[0] != this_boot().partition("-")[0]


class Ledger:
    """The reservations of this machine. What the system forbids is an OSError.

    Args:
        folder: where their files are.
        root: where /sys is found.
    """

    def __init__(self, folder: Path = HUGE_PAGES, root: Path = _ROOT) -> None:
        self._folder = folder
        self._root = root

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep every other process from changing a pool through its ledger."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with locked(self._folder / "lock", 0o600):
            for file in self._unfinished():
                file.unlink(missing_ok=True)
            yield

    def entries(self) -> dict[Path, Reservation]:
        """Return the reservations by their files."""
        found = {}
        for file in inside(self._folder, ending=".json"):
            # Given back meanwhile, or written by another version, which knows what it says.
            with contextlib.suppress(FileNotFoundError, TypeError):
                found[file] = _read(file)
        return found

    def reserve(self, pages: int, page_size: int, owner: Owner | None) -> Path:
        """Add so many pages to the pool, under the lock, and return the file that says so. NotEnough where it cannot.

        Args:
            owner: the process after whose end they are given back; None for pages that are kept until asked for.
        """
        before = self._kept(page_size)
        name = f"{owner.pid}-{owner.start}" if owner else "by-hand"
        number = sum(file.name.startswith(f"{name}-") for file in self.entries())
        while (file := self._folder / f"{name}-{number}.json").exists():
            number += 1
        entry = Reservation(page_size, {}, this_boot(), owner, from_kept=before, most=pages)
        _write(file, entry)
        try:
            self._keep(hugepages.folder(page_size, self._root), sum(before.values()) + pages)
        except OSError:
            file.unlink()
            raise
        entry = replace(self._settled(entry), from_kept=None)
        _write(file, entry)
        if entry.pages < pages:
            self.give_back(file)
            raise NotEnough(entry.pages)
        return file

    def give_back(self, file: Path) -> int:
        """Take the pages of a reservation out of its pool, under the lock, and return how many they were.

        Each node keeps as many fewer as it had been given. Those that someone uses go when they are not used any more,
        for the kernel keeps them in surplus until then.
        """
        entry = _read(file)
        if entry.is_void:
            file.unlink()
            return 0
        if entry.from_kept is not None:  # whoever changed the pool did not live to write how far it came
            entry = self._settled(entry)
        kept = self._kept(entry.page_size)
        _write(file, replace(entry, from_kept=kept, most=entry.pages))
        for node, folder in self._folders(entry.page_size).items():
            if pages := entry.by_node.get(node, 0):
                self._lower(folder, max(0, kept[node] - pages))
        file.unlink()
        return entry.pages

    def clear(self) -> int:
        """Give back what processes that have ended left behind, and return how many pages those were."""
        if not self._unfinished() and not any(entry.is_left_behind for entry in self.entries().values()):
            return 0
        with self.locked():
            return sum(self.give_back(file) for file, entry in self.entries().items() if entry.is_left_behind)

    def _unfinished(self) -> list[Path]:
        """Return the files that someone is writing, who holds the lock, or was killed at that."""
        return [file for file in inside(self._folder, ending=".new") if "-" in file.name]

    def _settled(self, entry: Reservation) -> Reservation:
        """Return the entry with the pages that a change has left it, as the nodes keep them now."""
        by_node, left = {}, entry.most
        for node, kept in self._kept(entry.page_size).items():
            added = entry.by_node.get(node, 0) + kept - (entry.from_kept or {}).get(node, 0)
            by_node[node] = min(max(0, added), left)
            left -= by_node[node]
        return replace(entry, by_node=by_node)

    def _folders(self, page_size: int) -> dict[str, Path]:
        """Return where the kernel shows the pages of this size on each node, or those of the whole machine."""
        whole = hugepages.folder(page_size, self._root)
        return {pool.parents[1].name: pool for pool in pools_by_node(self._root, whole.name)} or {"": whole}

    def _kept(self, page_size: int) -> dict[str, int]:
        return {node: _kept_in(folder) for node, folder in self._folders(page_size).items()}

    def _lower(self, folder: Path, pages: int) -> None:
        self._keep(folder, pages)
        # Linux 6.1 takes what other nodes have in surplus for kept, and leaves as many more here.
        if (over := _kept_in(folder) - pages) > 0:
            self._keep(folder, max(0, pages - over))

    def _keep(self, folder: Path, pages: int) -> None:
        (folder / "nr_hugepages").write_text(str(pages))


def _kept_in(folder: Path) -> int:
    return int((folder / "nr_hugepages").read_text()) - int((folder / "surplus_hugepages").read_text())


def _read(file: Path) -> Reservation:
    fields = json.loads(file.read_text())
    owner = fields.pop("owner")
    return Reservation(owner=Owner(**owner) if owner else None, **fields)


def _write(file: Path, entry: Reservation) -> None:
    write_whole(file, json.dumps(asdict(entry)))
