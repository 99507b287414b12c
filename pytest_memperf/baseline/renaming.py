"""What may have become of tests that one side alone has: renamed, or parametrised. A hint in words, no more."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from difflib import SequenceMatcher

from pytest_memperf.model.result import Key

ALIKE = 0.8
"""The resemblance from which on one name may be another one changed."""
PAIRS = 20_000
"""Pairs of names that are looked at, some 0.2 s: after a large move of tests there is nothing to guess."""
Names = Mapping[str, str]
"""The class, the function and the parameters of tests of one file, by their ids."""


def hints_of_renames(gone: Iterable[Key], new: Iterable[Key]) -> dict[tuple[str, str], str]:
    """Return what can be guessed of a test and its window, in words.

    Tests are looked for in the same file and with the same window only.
    """
    before, after = _by_place(gone), _by_place(new)
    hints: dict[tuple[str, str], str] = {}
    pairs = PAIRS
    for place, ours in before.items():
        theirs = after.get(place, {})
        told = dict(_parametrised(ours, theirs))
        ours, theirs = ({test: names[test] for test in names if test not in told} for names in (ours, theirs))
        pairs -= len(ours) * len(theirs)
        for old, now in _renamed(ours, theirs) if pairs >= 0 else ():
            told[old] = f"perhaps {theirs[now]} now"
            told[now] = f"perhaps {ours[old]} renamed"
        hints.update({(test, place[1]): words for test, words in told.items()})
    return hints


def _by_place(keys: Iterable[Key]) -> dict[tuple[str, str], dict[str, str]]:
    """Return the tests of each file and window."""
    found: dict[tuple[str, str], dict[str, str]] = {}
    for key in keys:
        file, _, name = key.test.partition("::")
        found.setdefault((file, key.window), {})[key.test] = name
    return found


def _parametrised(gone: Names, new: Names) -> Iterator[tuple[str, str]]:
    """Yield what has parameters on one side only."""
    for plain, others, words in ((gone, new, "was parametrised"), (new, gone, "is not parametrised any more")):
        by_name = {name: test for test, name in plain.items()}
        for test, name in others.items():
            function, bracket, _ = name.partition("[")
            if bracket and function in by_name:
                yield by_name[function], f"{function} {words}"
                yield test, f"{function} {words}"


def _renamed(gone: Names, new: Names) -> Iterator[tuple[str, str]]:
    """Yield the only test that is gone with the only new one, or those whose names are nearest, one to one."""
    if len(gone) == len(new) == 1:
        yield next(iter(gone)), next(iter(new))
        return
    taken: set[str] = set()
    for _, old, now in sorted(_alike(gone, new), key=lambda pair: -pair[0]):
        if old not in taken and now not in taken:
            taken |= {old, now}
            yield old, now


def _alike(gone: Names, new: Names) -> Iterator[tuple[float, str, str]]:
    """Yield the pairs of names that resemble each other, and how much."""
    matcher = SequenceMatcher(autojunk=False)
    for now, name in new.items():
        matcher.set_seq2(name)  # of which it remembers most
        for old, other in gone.items():
            matcher.set_seq1(other)
            if matcher.real_quick_ratio() >= ALIKE and matcher.quick_ratio() >= ALIKE:
                ratio = matcher.ratio()
                if ratio >= ALIKE:
                    yield ratio, old, now
