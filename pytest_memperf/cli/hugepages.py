"""memperf hugepages: show the huge pages of this machine; reserve some, mount their file system, and undo both."""

from __future__ import annotations

import argparse
import contextlib
import errno
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from cyx import hugepages
from pytest_memperf.environment import room
from pytest_memperf.environment.hugepages import mounts, status
from pytest_memperf.environment.hugetlbfs import Mounts
from pytest_memperf.environment.reservations import Ledger, NotEnough, Reservation
from pytest_memperf.model.errors import UsageMistake
from pytest_memperf.model.units import format_count, format_size, parse_size
from pytest_memperf.report.table import Cell, align, text_lines

_FOLDER = "/mnt/hugepages"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the commands below this one."""
    commands = parser.add_subparsers(title="commands", dest="act", metavar="COMMAND", required=True)

    def add(name: str, text: str, run: Any, changes: bool = True) -> argparse.ArgumentParser:
        row = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
        row.set_defaults(act_run=run)
        if changes:
            row.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")
        return row

    add("status", "Show pools, transparent huge pages, khugepaged and free memory.", _status, False).add_argument(
        "--json", action="store_true", help="print it all as JSON"
    )
    reserve = add("reserve", "Add pages to a pool, until they are released or the machine starts anew.", _reserve)
    reserve.add_argument("pages", metavar="N", help="how many pages")
    add("release", "Give back what was reserved here, and what sessions that were killed left behind.", _release)
    mount = add("mount", "Mount hugetlbfs, the file system of reserved huge pages.", _mount)
    for row in (reserve, mount):
        row.add_argument("--page-size", metavar="SIZE", help="such as 1GiB; without it, the machine's usual size")
    mount.add_argument("folder", nargs="?", default=_FOLDER, metavar="FOLDER", help=f"where (without it: {_FOLDER})")
    unmount = add("unmount", "Unmount what was mounted here.", _unmount)
    unmount.add_argument("folder", nargs="?", metavar="FOLDER", help="where (without it: all that was mounted here)")


def run(options: argparse.Namespace) -> int:
    """Do what was asked for; the exit code is 0."""
    for line in options.act_run(options):
        print(line, flush=True)
    return 0


# --- what changes the machine ----------------------------------------------------------------------------------------


def _reserve(options: argparse.Namespace) -> Iterator[str]:
    page_size = _page_size(options.page_size)
    pages = _count(options.pages)
    what = f"{format_count(pages)} x {format_size(page_size)}"
    file = hugepages.folder(page_size) / "nr_hugepages"
    kept = hugepages.pool(page_size).kept
    there = room.available()
    if there is not None and pages * page_size > there:
        raise UsageMistake(f"{what} do not fit: {format_size(there)} of memory are free: reserve fewer")
    if options.dry_run:
        yield f"would reserve {what}: write {kept + pages} to {file}, which has {kept}"
        return
    ledger = Ledger()
    with _as_root(f"{what} cannot be reserved"):
        ledger.clear()
        with ledger.locked():
            kept = hugepages.pool(page_size).kept
            try:
                ledger.reserve(pages, page_size, None)
            except NotEnough as error:
                raise UsageMistake(
                    f"{what} cannot be reserved: the kernel finds {format_count(error.found)} in one piece: reserve "
                    "fewer, or soon after the machine's start (nothing was changed)"
                ) from None
    yield f"reserved {what}: the pool keeps {kept + pages} now, {kept} before (undo: memperf hugepages release)"


def _release(options: argparse.Namespace) -> Iterator[str]:
    ledger = Ledger()
    entries = {file: entry for file, entry in ledger.entries().items() if entry.owner is None or entry.is_left_behind}
    if not entries:
        yield "nothing to release: nothing was reserved here, or left behind"
        return
    if options.dry_run:
        for entry in entries.values():
            yield f"would release {_described(entry)}"
        return
    with _as_root("the pages cannot be released"), ledger.locked():
        for file, entry in entries.items():
            if file.exists():  # a session may have cleared it meanwhile
                pages = ledger.give_back(file)
                kept = hugepages.pool(entry.page_size).kept
                yield f"released {format_count(pages)} x {format_size(entry.page_size)}: the pool keeps {kept} now"


def _mount(options: argparse.Namespace) -> Iterator[str]:
    page_size = _page_size(options.page_size)
    folder = Path(options.folder).resolve()
    if str(folder) in mounts():
        raise UsageMistake(f"hugetlbfs is mounted at {folder} already: use that, or name another folder")
    if not folder.parent.is_dir():
        raise UsageMistake(f"there is no folder {folder.parent}: make it, or name another")
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise UsageMistake(f"{folder} is not an empty folder: name another")
    what = f"hugetlbfs with pages of {format_size(page_size)} at {folder}"
    if options.dry_run:
        yield f"would mount {what}{'' if folder.exists() else ', a new folder'}"
        return
    with _as_root(f"{what} cannot be mounted"):
        Mounts().mount(folder, page_size)
    yield f"mounted {what} (undo: memperf hugepages unmount)"


def _unmount(options: argparse.Namespace) -> Iterator[str]:
    made = Mounts()
    folders = list(made.entries())
    if options.folder is not None:
        folder = str(Path(options.folder).resolve())
        if folder not in folders:
            raise UsageMistake(f"{folder} was not mounted here: umount it by the means by which it was mounted")
        folders = [folder]
    if not folders:
        yield "nothing to unmount: nothing was mounted here"
    for folder in folders:
        if options.dry_run:
            yield f"would unmount {folder}"
            continue
        with _as_root(f"{folder} cannot be unmounted"):
            made.unmount(Path(folder))
        yield f"unmounted {folder}"


@contextlib.contextmanager
def _as_root(what: str) -> Iterator[None]:
    """Tell in one line what the system refuses."""
    try:
        yield
    except OSError as error:
        mends = {
            errno.EACCES: "run as root",
            errno.EPERM: "run as root, on the host rather than in a container",
            errno.EROFS: "run on the host rather than in a container",
            errno.EBUSY: "end the processes that use it (fuser -m names them)",
        }
        mend = mends.get(error.errno or 0, "see memperf hugepages status")
        raise UsageMistake(f"{what} ({error.strerror}): {mend}") from None


def _count(told: str) -> int:
    if not (told.isascii() and told.isdecimal() and 0 < int(told) < 2**40):
        raise UsageMistake(f"N={told}: give a whole number of pages, such as 64")
    return int(told)


def _page_size(told: str | None) -> int:
    sizes = hugepages.sizes()
    if not sizes:
        raise UsageMistake("this kernel has no reserved huge pages: use one with CONFIG_HUGETLBFS")
    if told is None:
        return hugepages.default_size()
    try:
        size = parse_size(told)
    except UsageMistake as mistake:
        raise UsageMistake(f"--page-size: {mistake}") from None
    if size not in sizes:
        raise UsageMistake(f"--page-size={told}: this machine has {' and '.join(map(format_size, sizes))}")
    return size


def _described(entry: Reservation) -> str:
    who = "by hand" if entry.owner is None else f"by process {entry.owner.pid}"
    end = ", which has ended" if entry.is_left_behind else ""
    return f"{format_count(entry.pages)} x {format_size(entry.page_size)}, reserved {who}{end}"


# --- what shows it ---------------------------------------------------------------------------------------------------


def _status(options: argparse.Namespace) -> Iterator[str]:
    found = status()
    entries = Ledger().entries().values()
    made = Mounts().entries()
    if options.json:
        described = [
            {
                "page_size": entry.page_size,
                "pages": entry.pages,
                "process": entry.owner and entry.owner.pid,
                "left_behind": entry.is_left_behind,
            }
            for entry in entries
        ]
        yield json.dumps({**found, "reservations": described, "mounted_here": list(made)}, indent=2)
        return
    yield "Reserved huge pages"
    yield from _pools(found)
    yield from (f"  of these: {_described(entry)}" for entry in entries)
    yield from (f"  hugetlbfs at {folder} ({how})" for folder, how in found["mounts"].items())
    yield ""
    yield "Transparent huge pages"
    yield from _table([*found["transparent"].items(), *found["sizes"].items(), *found["used"].items()])
    yield ""
    yield "khugepaged"
    yield from _table(found["khugepaged"].items())
    yield ""
    yield "Since the machine started"
    yield from _table(found["counters"].items())
    yield ""
    yield "Free memory (/proc/buddyinfo)"
    rows = [("node", "zone", "free", "huge pages in it", "blocks of 1, 2, 4 ... pages")]
    rows += [
        (row["node"], row["zone"], format_size(row["free"]), str(row["huge_pages"]), " ".join(map(str, row["blocks"])))
        for row in found["free"]
    ]
    yield from _rows(rows)


def _pools(found: dict[str, Any]) -> Iterator[str]:
    if not found["pools"]:
        yield "  none: use a kernel with CONFIG_HUGETLBFS"
        return
    names = ("total", "free", "reserved", "surplus", "available", "overcommit")
    rows: list[tuple[str, ...]] = [("size", *names, "by node", "group leaves")]
    for pool in found["pools"]:
        nodes = ", ".join(f"{node}: {count}" for node, count in pool["nodes"].items())
        group = "all" if pool["group_leaves"] is None else str(pool["group_leaves"])
        size = format_size(pool["page_size"]) + (" (usual)" if pool["page_size"] == found["usual"] else "")
        rows.append((size, *[str(pool[name]) for name in names], nodes or "-", group))
    yield from _rows(rows)


def _table(pairs: Any) -> Iterator[str]:
    rows = [(name, "unknown" if value is None else str(value)) for name, value in pairs]
    yield from _rows(rows) if rows else ["  unknown"]


def _rows(rows: Sequence[tuple[str, ...]]) -> list[str]:
    cells = [[Cell(text) for text in row] for row in rows]
    return [f"  {line}".rstrip() for line in text_lines(align(cells, left=range(len(rows[0]))))]
