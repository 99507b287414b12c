"""Work in a fork of this process: one measured call, as if the test had made it alone, or anything else."""

from __future__ import annotations

import gc
import os
import pickle
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import Any, NoReturn, TypeVar

import pytest
from _pytest.outcomes import OutcomeException

from cyx import copy_on_write, process, settling
from pytest_memperf.isolation import remains
from pytest_memperf.isolation.child import Settling, measure_settled
from pytest_memperf.measure.conditions import CONDITIONS
from pytest_memperf.measure.settings import Settings
from pytest_memperf.measure.window import Window
from pytest_memperf.metrics import Registry
from pytest_memperf.model.metric import Reading
from pytest_memperf.model.signals import ending

# pytest's own, which cannot be carried over, by name.
_OUTCOMES: dict[str, Callable[[str], Any]] = {
    "Skipped": pytest.skip,
    "Failed": partial(pytest.fail, pytrace=False),
    "XFailed": pytest.xfail,
    "Exit": pytest.exit,
}
Outcomes = Mapping[str, "Reading | str"]
T = TypeVar("T")


class InTheFork(Exception):
    """The cause of an exception that was raised in a fork: where it was raised."""


def measure_in_fork(
    function: Callable[..., Any], keywords: Mapping[str, Any], settings: Settings, registry: Registry, cow_limit: int
) -> Outcomes:
    """Return the readings of the metrics that the settings ask for, or the reason why there is none.

    What the function raises there is raised here, with the fork's own traceback as the cause; what it returns is lost.
    """
    __tracebackhide__ = True
    pages_of_files = copy_on_write.pages_of_files()
    copy_on_write.note_huge_pages()

    def measured() -> Outcomes:
        return _measured(function, keywords, settings, registry, Settling(pages_of_files, cow_limit))

    return in_fork(measured, f"the fork that called it with {dict(keywords)}")


def in_fork(work: Callable[[], T], name: str) -> T:
    """Return what the function returns in a fork of this process, or raise what it raises there.

    Args:
        work: what the fork does; what it returns is pickled.
        name: what to call the fork where it dies.
    """
    __tracebackhide__ = True
    for stream in (sys.stdout, sys.stderr):
        stream.flush()  # or both processes would write it
    reading, writing = os.pipe()
    parent = os.getpid()
    with warnings.catch_warnings():
        # CPython warns of other threads, which the fork does not have: the test has asked for one.
        warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        os.close(reading)
        _work_and_end(work, parent, writing)
    os.close(writing)
    told: tuple[Any, Any, str] | None = None
    try:
        # Not to the end of the pipe: what the function has started may keep that open.
        with open(reading, "rb") as pipe, suppress(EOFError):
            told = pickle.load(pipe)
    except BaseException:  # an interrupt
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    remains.delete_left_behind()
    remains.give_back_huge_pages()
    if told is None:
        pytest.fail(f"{name} {ending(status)}", pytrace=False)
    outcome, error, where = told
    if isinstance(error, tuple):
        kind, message = error
        _OUTCOMES[kind](message)
    if error is not None:
        raise error from InTheFork(where)
    return outcome  # type: ignore[no-any-return]


def _work_and_end(work: Callable[[], object], parent: int, writing: int) -> NoReturn:
    """In the fork: do the work, tell what came of it, and end, whatever happens."""
    status = 1
    pid = os.getpid()
    try:
        process.die_with_parent(signal.SIGKILL)
        if os.getppid() == parent:
            told = _told(work)
            if os.getpid() == pid:
                with open(writing, "wb") as pipe:
                    pipe.write(told)
                status = 0
    finally:
        try:
            if os.getpid() == pid:
                for stream in (sys.stdout, sys.stderr):
                    stream.flush()
        finally:
            os._exit(status)


def _told(work: Callable[[], object]) -> bytes:
    """Return the outcome, or the exception, as what the parent can read."""
    try:
        CONDITIONS.progress = None
        return pickle.dumps((work(), None, ""))
    except BaseException as error:
        return _told_of(error)


def _measured(
    function: Callable[..., Any],
    keywords: Mapping[str, Any],
    settings: Settings,
    registry: Registry,
    settled: Settling,
) -> Outcomes:
    """Return the readings of the call, in the fork."""
    settling.watch_arenas()
    gc.collect()
    gc.freeze()
    measure_settled(settled)
    window = Window("scaling", settings, registry, settles=True)
    window.repeat(function, (), dict(keywords))
    measured, reasons = window.measured(), window.unavailable()
    return {
        name: Reading(measured[name].value, measured[name].uncertainty)
        if name in measured
        else reasons.get(name, "it was not measured")
        for name in settings.metrics
    }


def _told_of(error: BaseException) -> bytes:
    """Return an exception, and where it was raised, as what the parent can read."""
    name = type(error).__name__
    if isinstance(error, OutcomeException) and name in _OUTCOMES:
        return pickle.dumps((None, (name, error.msg or ""), ""))
    at = error.__traceback__
    while at is not None and at.tb_next is not None and _is_ours(at):
        at = at.tb_next
    where = "".join(traceback.format_exception(type(error), error, at))
    try:
        told = pickle.dumps((None, error, where))
        pickle.loads(told)  # some exceptions can be written and not read
    except Exception:
        told = pickle.dumps((None, RuntimeError(f"{name}: {error}"), where))
    return told


def _is_ours(at: TracebackType) -> bool:
    """Tell whether a frame is of this plugin and no business of the user's."""
    return str(at.tb_frame.f_globals.get("__name__")).partition(".")[0] in ("pytest_memperf", "cyx")
