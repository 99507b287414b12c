"""Reading a file of results again."""

from __future__ import annotations

import errno
import json
import os
import re
from dataclasses import replace
from typing import Any, BinaryIO

from pytest_memperf.model.errors import UsageMistake
from pytest_memperf.model.result import FORMAT, Result
from pytest_memperf.model.run import Run
from pytest_memperf.report.checksum import is_whole
from pytest_memperf.report.result_lines import COMMA, WRONG, ResultLines

_NAME, _, _VERSION = FORMAT.partition("/")
_BEFORE_RESULTS = ', "results": ['
_BEFORE_LINES = f"{_BEFORE_RESULTS}\n".encode()
_LONGEST_HEAD = 64 * 1024
_AT_ONCE = 128 * 1024
"""Bytes that are read at once, and whose lines are handed on at once: a line may be longer than Python's own buffer."""


def read(path: str) -> Run:
    """Return the run that the file holds. UsageMistake where it is missing, damaged, or of a newer format.

    The results of a file as we write it stay in there until somebody looks at them.
    """
    run = _read_lines(path) or _read_whole(path)
    _check_whole(path)  # last, for what cannot be read says what is wrong with it
    return run


def _check_whole(path: str) -> None:
    try:
        with open(path, "rb") as file:
            if is_whole(file):
                return
    except OSError as error:
        raise _unreadable(path, error) from error
    raise UsageMistake(f"{path} is damaged (its checksum is of other bytes): write it again, or remove it")


def _read_lines(path: str) -> Run | None:
    """Return the run of a file with each result in its line; None where anything is not as we write it."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    results = ResultLines(descriptor, path)
    try:
        with open(descriptor, "rb", _AT_ONCE, closefd=False) as file:
            first = file.readline(_LONGEST_HEAD)
            if not first.endswith(_BEFORE_LINES):
                return None
            behind = _add_lines(results, file, len(first))
            if not behind.startswith(b"]"):
                return None
            rest = (behind[1:] + file.read()).decode().strip()
        head = json.loads(first.removesuffix(_BEFORE_LINES).decode() + "}")
        tail = json.loads("{" + rest.removeprefix(","))
        if rest.startswith(",") is not bool(tail) or {*head, "results"} & {*tail} or "results" in head:
            return None
        data = {**head, **tail}
        _check_format(path, data)
        return replace(Run.from_json(data), results=results)
    except (OSError, *WRONG):
        return None  # the other way tells what is wrong, and where


def _add_lines(results: ResultLines, file: BinaryIO, begin: int) -> bytes:
    """Give the results their lines, the first of which begins there; return what was read behind the last one."""
    more = True
    while lines := file.readlines(_AT_ONCE):
        here = 0
        while more:
            here, begin = results.add_alike(lines, here, begin)
            if here == len(lines) or not lines[here].startswith(b"{"):
                break
            more = lines[here].endswith(COMMA)
            results.add(lines[here][: -len(COMMA) if more else -1], begin)
            begin += len(lines[here])
            here += 1
        if here < len(lines):
            return b"" if more and results else b"".join(lines[here:])
    return b""


def _read_whole(path: str) -> Run:
    """Return the run of a file in any layout. UsageMistake as of ``read``."""
    try:
        with open(path, encoding="utf-8") as file:
            data = json.load(file)
    except OSError as error:
        raise _unreadable(path, error) from error
    except (ValueError, RecursionError) as error:
        raise UsageMistake(f"{path} is damaged or no JSON ({error}): write it again, or remove it") from error
    _check_format(path, data)
    try:
        return replace(Run.from_json(data), results=[Result.from_json(result) for result in data["results"]])
    except WRONG as error:
        raise _damaged(path, error) from error


def read_head(path: str) -> Run:
    """Return the run without its results and its environment: of a file as we write it, the first line says all else.

    UsageMistake as of ``read``.
    """
    try:
        with open(path, encoding="utf-8") as file:
            line = file.readline(_LONGEST_HEAD).rstrip()
        data = json.loads(line.removesuffix(_BEFORE_RESULTS) + "}") if line.endswith(_BEFORE_RESULTS) else None
    except OSError as error:
        raise _unreadable(path, error) from error
    except (ValueError, RecursionError):
        data = None
    if data is None:
        return read(path)
    _check_format(path, data)
    try:
        return Run.from_json(data)
    except WRONG as error:
        raise _damaged(path, error) from error


def _unreadable(path: str, error: OSError) -> UsageMistake:
    mend = "mend its rights" if error.errno == errno.EACCES else "name a file of --memperf-json"
    return UsageMistake(f"{path} cannot be read ({error.strerror}): {mend}")


def _damaged(path: str, error: Exception) -> UsageMistake:
    return UsageMistake(f"{path} is damaged ({type(error).__name__}: {error}): write it again, or remove it")


def _check_format(path: str, data: Any) -> None:
    name, _, version = str(data.get("format", "")).partition("/") if isinstance(data, dict) else ("", "", "")
    if name != _NAME or not re.fullmatch("[0-9]{1,9}", version):
        raise UsageMistake(f"{path} is no file of pytest-memperf's results: name a file of --memperf-json")
    if int(version) > int(_VERSION):
        raise UsageMistake(
            f"{path} was written by a newer pytest-memperf (format {version}, read here is up to {_VERSION}): update it"
        )
