"""Reading a file of results again."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from pytest_memperf.model.environment import Environment
from pytest_memperf.model.errors import UsageMistake
from pytest_memperf.model.result import FORMAT, Result
from pytest_memperf.model.run import Commit, Run

_NAME, _, _VERSION = FORMAT.partition("/")
_BEFORE_RESULTS = ', "results": ['
_WRONG = (KeyError, TypeError, ValueError, AttributeError, IndexError)


def read(path: str) -> Run:
    """Return the run that the file holds. UsageMistake where it is missing, damaged, or of a newer format."""
    try:
        with open(path, encoding="utf-8") as file:
            data = json.load(file)
    except OSError as error:
        raise _unreadable(path, error) from error
    except (ValueError, RecursionError) as error:
        raise UsageMistake(f"{path} is damaged or no JSON ({error}): write it again, or remove it") from error
    _check_format(path, data)
    try:
        run = _head(data)
        run.results.extend(Result.from_json(result) for result in data["results"])
    except _WRONG as error:
        raise _damaged(path, error) from error
    return run


def read_head(path: str) -> Run:
    """Return the run without its results and its environment: of a file as we write it, the first line says all else.

    UsageMistake as of ``read``.
    """
    try:
        with open(path, encoding="utf-8") as file:
            line = file.readline(64 * 1024).rstrip()
        data = json.loads(line.removesuffix(_BEFORE_RESULTS) + "}") if line.endswith(_BEFORE_RESULTS) else None
    except OSError as error:
        raise _unreadable(path, error) from error
    except (ValueError, RecursionError):
        data = None
    if data is None:
        return read(path)
    _check_format(path, data)
    try:
        return _head(data)
    except _WRONG as error:
        raise _damaged(path, error) from error


def _unreadable(path: str, error: OSError) -> UsageMistake:
    return UsageMistake(f"{path} cannot be read ({error.strerror}): name a file of --memperf-json")


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


def _head(data: Mapping[str, Any]) -> Run:
    commit = data.get("commit")
    return Run(
        str(data["created"]),
        Commit(str(commit["id"]), commit["branch"], bool(commit["dirty"])) if commit else None,
        Environment.from_json(data.get("environment") or {}),
        name=data.get("name"),
    )
