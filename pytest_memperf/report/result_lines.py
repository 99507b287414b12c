"""The results of a file, each in its line: checked when the file is read, an object when somebody asks for it.

Of many thousand results nobody sees more than how many are the same. Lines that differ in their test and their numbers
alone have one shape (``cyx.skeleton``): the first of them is read as any result is, and what holds of it holds of the
others, but for their numbers, which are kept.
"""

from __future__ import annotations

import json
import os
import weakref
from array import array
from collections.abc import Iterable, Iterator, KeysView, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import NamedTuple, overload

from cyx.skeleton import Splitter
from pytest_memperf.model.errors import UsageMistake
from pytest_memperf.model.result import Key, Result

WRONG = (KeyError, TypeError, ValueError, AttributeError, IndexError, RecursionError)
"""What reading damaged data raises."""
COMMA = b",\n"
"""What a result's line ends with, but for the last one's."""
_TEST = b'{"test": "'
_SHAPES = 1000
"""Shapes that are kept: where most lines have one of their own, they tell nothing of each other."""
_DOUBLE = 8


@dataclass(slots=True)
class Shape:
    """What lines have in common that differ in their test and their numbers alone."""

    first: int
    """The place of the first result of this shape."""
    window: str
    allocator: str
    isolation: str
    width: int
    """How many numbers a line has."""
    rows: int = 0
    """How many lines there are."""
    numbers: bytearray = field(default_factory=bytearray)
    """Those of all lines, one line after the other, as doubles."""


class ResultLines(Sequence[Result]):
    """The results of a file, in its order.

    Args:
        descriptor: of the file, which is closed with this.
        path: what messages call the file.
    """

    def __init__(self, descriptor: int, path: str) -> None:
        weakref.finalize(self, os.close, descriptor)
        self._descriptor = descriptor
        self._path = path
        self._known: dict[bytes, int] = {}
        self._splitter = Splitter()
        self._begins, self._sizes = array("q"), array("q")
        self.shape_of, self.row_of = array("q"), array("q")
        """The number of each result's shape, -1 where it is like no other, and which of its lines it is."""
        self.shapes: list[Shape] = []
        self.places: dict[Key, int] = {}
        """Where each key's result is: of a test that ran twice the last one."""

    def add_alike(self, lines: list[bytes], first: int, begin: int) -> tuple[int, int]:
        """Take the lines from ``first`` on, with commas and ends, up to one that is not like some of the last before.

        One of ``WRONG`` where one of them holds no result.

        Args:
            begin: where the first one begins.

        Returns:
            Which is the next one, and where it begins.
        """
        for test, (skeleton, numbers) in self._splitter.split_all(lines, first, _TEST):
            size = len(lines[first]) - len(COMMA)
            number = self._known.get(skeleton, -1)
            if number >= 0:
                self._put_alike(test, number, numbers, size, begin)
            else:
                self._put(_parse(lines[first][:size]).key, size, begin)
            begin += size + len(COMMA)
            first += 1
        return first, begin

    def add(self, line: bytes, begin: int) -> None:
        """Take the line that begins there, without its end. One of ``WRONG`` where it holds no result."""
        end = line.find(b'"', len(_TEST)) + 1 if line.startswith(_TEST) else 0
        test = line[len(_TEST) : end - 1].decode() if end else ""
        is_plain = end and "\\" not in test and test.isprintable()  # not cut short by an escaped quote, and JSON's
        apart = self._splitter.split(line, end) if is_plain else None
        if apart:
            skeleton, numbers = apart
            number = self._known.get(skeleton, -1)
            if number < 0:
                number = self._learn(skeleton, line, test, len(numbers) // _DOUBLE)
            if number >= 0:
                self._put_alike(test, number, numbers, len(line), begin)
                return
        self._put(_parse(line).key, len(line), begin)

    def _put_alike(self, test: str, number: int, numbers: bytes, size: int, begin: int) -> None:
        shape = self.shapes[number]
        shape.numbers += numbers
        self._put(Key(test, shape.window, shape.allocator, shape.isolation), size, begin, number, shape.rows)
        shape.rows += 1

    def _put(self, key: Key, size: int, begin: int, shape: int = -1, row: int = -1) -> None:
        self.places[key] = len(self._begins)
        self._begins.append(begin)
        self._sizes.append(size)
        self.shape_of.append(shape)
        self.row_of.append(row)

    def _learn(self, skeleton: bytes, line: bytes, test: str, width: int) -> int:
        """Return the number of a new shape; -1 where its lines are better read one by one."""
        if not width or len(self.shapes) >= _SHAPES:
            return -1
        key = _parse(line).key
        # Another member "test" further on would be the one that counts.
        if key.test != test or not all(isinstance(part, str) for part in key):
            return -1
        number = self._known[skeleton] = len(self.shapes)
        self.shapes.append(Shape(len(self._begins), key.window, key.allocator, key.isolation, width))
        return number

    def line(self, place: int) -> bytes:
        """Return the line of a result. UsageMistake where it cannot be read any more."""
        size = self._sizes[place]
        try:
            line = os.pread(self._descriptor, size, self._begins[place])
        except OSError as error:
            raise UsageMistake(f"{self._path} cannot be read ({error.strerror}): name another file") from error
        if len(line) < size:
            raise self._changed()
        return line

    def slots(self, number: int) -> tuple[dict[str, MetricSlots], list[int]]:
        """Return where among the numbers of a shape those of each metric are, and where those that say what they mean.

        Rounds and limits, which no comparison looks at, are in neither.
        """
        shape = self.shapes[number]
        places = count()

        def slot(_: str) -> _Slot:
            return _Slot(next(places))

        data = json.loads(self.line(shape.first).decode(), parse_int=slot, parse_float=slot)
        metrics = {
            name: MetricSlots([int(each) for each in row["samples"]], int(row["uncertainty"]))
            for name, row in data["metrics"].items()
        }
        others = [data["rounds"], *(row["limit"] for row in data["checks"])]
        others += [row.get("value") for row in data["metrics"].values()]
        free = {int(each) for each in others if isinstance(each, _Slot)}
        free.update(*([*each.samples, each.uncertainty] for each in metrics.values()))
        return metrics, [place for place in range(shape.width) if place not in free]

    @overload
    def __getitem__(self, place: int) -> Result: ...
    @overload
    def __getitem__(self, place: slice) -> list[Result]: ...
    def __getitem__(self, place: int | slice) -> Result | list[Result]:
        if isinstance(place, slice):
            return [self[each] for each in range(*place.indices(len(self)))]
        line = self.line(place)
        try:
            return _parse(line)
        except WRONG as error:
            raise self._changed() from error

    def __len__(self) -> int:
        return len(self._begins)

    def __eq__(self, other: object) -> bool:
        return list(self) == list(other) if isinstance(other, Sequence) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def _changed(self) -> UsageMistake:
        return UsageMistake(f"{self._path} was changed while it was read: try again")


class _Slot(int):
    """The place that a number has among those of its line."""


class MetricSlots(NamedTuple):
    """The places of a metric's numbers."""

    samples: list[int]
    uncertainty: int


class ByKey(Mapping[Key, Result]):
    """The results of a file by their keys; each is read when it is asked for."""

    def __init__(self, lines: ResultLines) -> None:
        self.lines = lines

    def __getitem__(self, key: Key) -> Result:
        return self.lines[self.lines.places[key]]

    def __contains__(self, key: object) -> bool:
        return key in self.lines.places

    def __iter__(self) -> Iterator[Key]:
        return iter(self.lines.places)

    def __len__(self) -> int:
        return len(self.lines.places)

    def keys(self) -> KeysView[Key]:
        """Return a dictionary's: those of ``Mapping`` call Python for each question."""
        return self.lines.places.keys()


def by_key(results: Iterable[Result]) -> Mapping[Key, Result]:
    """Return the results by their keys; of a test that ran twice the last one counts."""
    return ByKey(results) if isinstance(results, ResultLines) else {result.key: result for result in results}


def _parse(line: bytes) -> Result:
    return Result.from_json(json.loads(line.decode()))
