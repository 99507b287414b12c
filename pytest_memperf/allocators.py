"""``@pytest.mark.memperf_allocators`` and ``--memperf-allocator``: which libraries serve malloc for a test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_memperf.model.errors import UsageMistake
from pytest_memperf.options import spelling

if TYPE_CHECKING:
    from pytest_memperf.isolation.handover import Under

MARKER = "memperf_allocators"
PARAMETER = "_memperf_allocator"
"""What a test that bears the marker is parametrised by."""


def parametrize(metafunc: pytest.Metafunc, mark: pytest.Mark) -> None:
    """Parametrise a test that bears the marker; a mistake in it is a parameter too, and is told with all others."""
    from pytest_memperf.isolation.handover import Under

    chosen: list[Under | UsageMistake]
    try:
        names = _names_in(mark)
        chosen = [Under(name, names) for name in names]
    except UsageMistake as mistake:
        chosen = [mistake]
    ids = [each.name if isinstance(each, Under) else "mistake" for each in chosen]
    metafunc.fixturenames.append(PARAMETER)
    metafunc.parametrize(PARAMETER, chosen, ids=ids)


def bears_allocators(item: pytest.Item) -> bool:
    """Tell whether the test bears the marker."""
    callspec = getattr(item, "callspec", None)
    if callspec is not None and PARAMETER in callspec.params:
        return True
    # pytest has seen that of a function when it was collected; elsewhere, as on a method of unittest, it never does.
    if _is_plain(item):
        return any(mark.name == MARKER for mark in item.own_markers)
    return item.get_closest_marker(MARKER) is not None


def under_which(item: pytest.Item, isolation: str | None, by_option: str | None) -> Under | None:
    """Return the library that the test is to run under, None for the one that is there. UsageMistake for a wrong mark.

    Args:
        isolation: what the test itself asks for.
        by_option: the library for tests whose marks name none.
    """
    from pytest_memperf.isolation.handover import Under

    callspec = getattr(item, "callspec", None)
    chosen = None if callspec is None else callspec.params.get(PARAMETER)
    if isinstance(chosen, UsageMistake):
        raise chosen
    if chosen is None and bears_allocators(item):
        if _is_plain(item):
            raise UsageMistake(f"{MARKER} came after the collection: write it on the test, its class or its module")
        raise UsageMistake(f"{MARKER} is for test functions: a {type(item).__name__} cannot be parametrised")
    if chosen is not None and isolation == "inline":
        raise UsageMistake(f"{MARKER} needs a process for each library: leave out isolation='inline'")
    if chosen is None and by_option is not None and isolation != "inline":
        return Under(by_option)
    return chosen


def check_option(config: pytest.Config, name: str) -> None:
    """Raise UsageMistake where the library that ``--memperf-allocator`` names is not there."""
    from pytest_memperf.malloc import named, preload

    try:
        reason = preload.lack(named(name))
        if reason:
            raise UsageMistake(reason)
    except UsageMistake as mistake:
        raise UsageMistake(f"{spelling(config, 'allocator')}={name}: {mistake}") from None


def _names_in(mark: pytest.Mark) -> tuple[str, ...]:
    from pytest_memperf.malloc import MALLOCS, named

    example = f"write @pytest.mark.{MARKER}({', '.join(map(repr, MALLOCS))}), for example"
    if mark.kwargs:
        raise UsageMistake(f"{MARKER} takes names alone, no {', '.join(mark.kwargs)}=: {example}")
    if not mark.args:
        raise UsageMistake(f"{MARKER} names no library: {example}")
    try:
        names = tuple(named(each).name for each in mark.args)
    except UsageMistake as mistake:
        raise UsageMistake(f"{MARKER}: {mistake}") from None
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise UsageMistake(f"{MARKER} names {twice!r} twice: name each library once")
    return names


def _is_plain(item: pytest.Item) -> bool:
    return type(item) is pytest.Function
