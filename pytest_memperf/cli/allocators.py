"""``memperf allocators``: a command under each library for malloc, and which of them there are."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

from pytest_memperf.environment import executable
from pytest_memperf.malloc import MALLOCS, Malloc, counting, named, preload
from pytest_memperf.malloc.counting import Counts
from pytest_memperf.malloc.running import CommandFailed, Usage, counted, in_turns
from pytest_memperf.model.errors import UsageMistake
from pytest_memperf.model.units import BYTES, COUNT, SECONDS, SHARE, Unit
from pytest_memperf.model.values import number_or_text, whole
from pytest_memperf.report.table import Cell, align, text_lines

FAILED = 1
EPILOG = """
memperf allocators list           which there are, their versions, and how to get the others
memperf allocators -- COMMAND     the command under each, in turns

Figures are medians, beside those of the first library as ratios. One run under each comes before and is not counted.
The command gets no input, and its output is dropped. Peaks are of the largest of its processes.
With --count one more run under each counts what all its processes take through malloc: blocks, bytes asked for, the
most bytes held at once (by their usable sizes, of one process), and the fragmentation of its heap when it ended.

Exit code: 0, 1 where the command does not end with 0 under one of them, 2 for a mistake in the call.
"""
_ROUNDS = 5
_UNITS: Mapping[str, Unit] = {
    "wall_time": SECONDS, "cpu_time": SECONDS, "minor_faults": COUNT, "major_faults": COUNT, "peak_rss": BYTES,
}  # fmt: skip
_COUNTED: Mapping[str, Unit] = {
    "mallocs": COUNT, "frees": COUNT, "reallocs": COUNT, "requested": BYTES, "peak": BYTES, "fragmentation": SHARE,
}  # fmt: skip
_PROVE = """
import sys
sys.path.insert(0, sys.argv[2])
from pytest_memperf.malloc import named, proof
malloc = named(sys.argv[1])
refuted = proof.refuted(malloc)
print(refuted or "", proof.version_of(malloc) or "", sep="\\n")
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("list", nargs="?", choices=["list"], help="show which libraries there are")
    parser.add_argument(
        "--only", metavar="NAMES", help=f"of {', '.join(MALLOCS)}, separated by commas; the first leads"
    )
    parser.add_argument("--rounds", metavar="NUMBER", help=f"how often the command runs under each ({_ROUNDS})")
    parser.add_argument("--count", action="store_true", help="count what goes through malloc, in a run of its own")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.set_defaults(pytest_arguments=[])
    parser.epilog = EPILOG


def run(options: argparse.Namespace) -> int:
    """Print the table and return the exit code."""
    command = options.pytest_arguments
    chosen = _chosen(options.only)
    if options.list:
        if command or options.rounds is not None or options.count:
            raise UsageMistake("memperf allocators list takes no command, no --rounds and no --count: leave them out")
        return _show([_state_of(each) for each in chosen], options.json)
    if not command:
        raise UsageMistake("name a command: memperf allocators -- COMMAND, or memperf allocators list")
    try:
        rounds = whole(number_or_text(options.rounds), 1) if options.rounds is not None else _ROUNDS
    except UsageMistake as mistake:
        raise UsageMistake(f"--rounds={options.rounds}: {mistake}") from None
    file = _found(command[0])
    lacking = {each.name: reason for each in chosen if (reason := _lack(each, file))}
    if lacking and options.only:
        raise UsageMistake("; ".join(lacking.values()))
    there = [each for each in chosen if each.name not in lacking]
    if not there:
        raise UsageMistake("; ".join(lacking.values()))
    reason = counting.lack() if options.count else None
    if reason:
        raise UsageMistake(f"--count: {reason}")
    try:
        usages = in_turns(command, there, rounds)
        counts = counted(command, there) if options.count else {}
    except CommandFailed as failed:
        print(failed.said, end="", file=sys.stderr)
        print(f"memperf: {command[0]} {failed.how}", file=sys.stderr)
        return FAILED
    if options.json:
        print(json.dumps(_as_json(command, usages, counts, lacking), indent=2))
        return 0
    tables = [_table(usages), *([_table_of_counts(counts)] if counts else [])]
    print("\n\n".join("\n".join(text_lines(table)) for table in tables))
    for reason in (*lacking.values(), *(f"{name}: {each}" for name, each in counts.items() if isinstance(each, str))):
        print(reason)
    return 0


def _chosen(only: str | None) -> list[Malloc]:
    """Return the libraries that are named, or all."""
    if only is None:
        return list(MALLOCS.values())
    try:
        return [named(name) for name in dict.fromkeys(name.strip() for name in only.split(","))]
    except UsageMistake as mistake:
        raise UsageMistake(f"--only={only}: {mistake}") from None


def _found(name: str) -> str:
    """Return the command's file. UsageMistake where it cannot be started, or not with another library for malloc."""
    path = shutil.which(name)
    if path is None:
        raise UsageMistake(f"there is no command {name!r}: give its name on PATH, or its path")
    hindrance = executable.preloading_hindered(path)
    if hindrance:
        raise UsageMistake(f"{path} {hindrance}")
    return path


def _lack(malloc: Malloc, program: str) -> str | None:
    """Return why a command cannot run under the library: it is not there, serves nobody, or not such programs."""
    reason = preload.lack(malloc) or _asked(malloc)[0]
    path = preload.path_of(malloc)
    if reason is None and path and not executable.fits(executable.behind_scripts(program), path):
        return f"{path} is for other processors than {program}: install {malloc.name} for those"
    return reason


def _state_of(malloc: Malloc) -> dict[str, str | None]:
    """Return what is known of a library, of which a process that it serves tells the version."""
    state: dict[str, str | None] = {"name": malloc.name, "version": None, "file": None, "unavailable": None}
    reason = preload.lack(malloc)
    if reason is None:
        state["file"] = preload.path_of(malloc)
        reason, state["version"] = _asked(malloc)
    return {**state, "unavailable": reason}


def _asked(malloc: Malloc) -> tuple[str | None, str | None]:
    """Return why the library does not serve a process started for it, None where it does, and its version."""
    command = [sys.executable, "-c", _PROVE, malloc.name, str(Path(__file__).parents[2])]
    environment = preload.environment_under(malloc, os.environ)
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    lines = done.stdout.split("\n")
    if done.returncode or len(lines) < 2:
        return f"a process under {malloc.name} could not start: {done.stderr.strip()[-200:] or done.returncode}", None
    return lines[0] or None, lines[1] or None


def _show(states: Sequence[Mapping[str, str | None]], as_json: bool) -> int:
    if as_json:
        print(json.dumps({"allocators": states}, indent=2))
        return 0
    rows = [["allocator", "version", "file"]]
    rows += [
        [state["name"] or "", state["version"] or "-", state["unavailable"] or state["file"] or "the C library"]
        for state in states
    ]
    for line in text_lines(align([[Cell(text) for text in row] for row in rows], left=range(3))):
        print(line)
    return 0


def _middle(usages: Sequence[Usage], name: str) -> float:
    return float(median(getattr(each, name) for each in usages))


def _table(usages: Mapping[str, Sequence[Usage]]) -> list[list[Cell]]:
    """Return a row for each library: its figures, and beside them how they are to those of the first."""
    first = next(iter(usages.values()))
    rows = [["allocator", *(text for name in _UNITS for text in (name, ""))]]
    for library, runs in usages.items():
        row = [library]
        for name, unit in _UNITS.items():
            value, base = _middle(runs, name), _middle(first, name)
            least = name == "peak_rss" and value <= _middle(runs, "least")
            row.append(f"{'at most ' if least else ''}{unit.format(value)}")
            row.append("" if runs is first or not base or least else f"{value / base:,.2f} x")
        rows.append(row)
    return align([[Cell(text) for text in row] for row in rows])


def _table_of_counts(counts: Mapping[str, Counts | str]) -> list[list[Cell]]:
    """Return a row for each library: what went through malloc."""
    rows = [["allocator", "processes", *_COUNTED]]
    for library, found in counts.items():
        if isinstance(found, str):
            rows.append([library, *["-"] * (len(_COUNTED) + 1)])
            continue
        values = [(getattr(found, name), unit) for name, unit in _COUNTED.items()]
        rows.append(
            [library, str(found.processes), *("-" if value is None else unit.format(value) for value, unit in values)]
        )
    return align([[Cell(text) for text in row] for row in rows])


def _as_json(
    command: Sequence[str],
    usages: Mapping[str, Sequence[Usage]],
    counts: Mapping[str, Counts | str],
    lacking: Mapping[str, str],
) -> dict[str, Any]:
    def counted_under(library: str) -> dict[str, Any]:
        found = counts.get(library)
        if found is None:
            return {}
        return {"counts": {"unavailable": found} if isinstance(found, str) else asdict(found)}

    return {
        "command": list(command),
        "allocators": {
            library: {
                **{name: _middle(runs, name) for name in _UNITS},
                **counted_under(library),
                "runs": [asdict(each) for each in runs],
            }
            for library, runs in usages.items()
        },
        "unavailable": dict(lacking),
    }
