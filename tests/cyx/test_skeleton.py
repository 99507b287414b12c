"""Lines of JSON taken apart: the numbers are the right ones, and the skeleton tells whether the line is JSON."""

from __future__ import annotations

import json
import re
from array import array
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cyx.skeleton import Splitter

NUMBERS = st.integers(-(10**15) + 1, 10**15 - 1) | st.floats(allow_nan=False, allow_infinity=False)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=8) | st.text('#"\\1-', max_size=5)
DOCUMENTS = st.recursive(
    NUMBERS | TEXTS | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=15,
)


def written(document: Any, place: str | None = None) -> str:
    """Return a document as JSON, with this in the place of each number."""
    if isinstance(document, list):
        return f"[{', '.join(written(each, place) for each in document)}]"
    if isinstance(document, dict):
        return f"{{{', '.join(f'{json.dumps(name)}: {written(each, place)}' for name, each in document.items())}}}"
    is_number = isinstance(document, (int, float)) and not isinstance(document, bool)
    return place if is_number and place is not None else json.dumps(document, ensure_ascii=False)


def numbers_of(document: Any) -> list[float]:
    """Return the numbers of a document in the order in which they are written."""
    if isinstance(document, (list, dict)):
        inner = document.values() if isinstance(document, dict) else document
        return [number for each in inner for number in numbers_of(each)]
    return [document] if isinstance(document, (int, float)) and not isinstance(document, bool) else []


def is_json(text: bytes) -> bool:
    """Tell whether Python reads it."""
    try:
        json.loads(text.decode())
    except (ValueError, RecursionError):
        return False
    return True


def filled(skeleton: bytes) -> bytes:
    """Return a skeleton with a number in each place that nothing can be added to; a ``#`` in a string is no place."""
    pieces, in_string, escaped = [], False, False
    for character in skeleton:
        pieces.append(b"7.0e0" if character == ord("#") and not in_string else bytes([character]))
        if escaped:
            escaped = False
        elif in_string and character == ord("\\"):
            escaped = True
        elif character == ord('"'):
            in_string = not in_string
    return b"".join(pieces)


def split(line: bytes, start: int = 0) -> tuple[bytes, bytes] | None:
    """Take a line apart that is like none before."""
    return Splitter().split(line, start)


@given(DOCUMENTS)
def test_numbers_and_skeleton(document: Any) -> None:
    """Of any document: the numbers to the last bit, and the rest as it stands."""
    apart = split(written(document).encode())
    assert apart is not None
    assert apart[0] == written(document, "#").encode()
    assert array("d", apart[1]).tolist() == numbers_of(document)


@given(st.from_regex(r"-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,25})?([eE][-+]?[0-9]{1,3})?", fullmatch=True))
@example("0.1")
@example("123456789012345.6")
@example("0.0000000000000000000000001")
@example("5e-324")
@example("1e308")
@example("-0")
def test_every_way_to_write_a_number(text: str) -> None:
    """It is what Python reads, or is said not to fit: whole with more than 15 digits, or infinite."""
    apart = split(text.encode())
    number = float(text)
    if abs(number) == float("inf") or (text.lstrip("-").isdigit() and len(text.lstrip("-")) > 15):
        assert apart is None
    else:
        assert apart == (b"#", array("d", [number]).tobytes())


@given(DOCUMENTS, st.lists(st.tuples(st.integers(0, 200), st.sampled_from([*'0#"\\,]}-.e1 ', ""])), max_size=3))
@example({"a": 1}, [(6, "05")])
@example([1], [(1, "1.")])
def test_the_skeleton_tells_whether_it_is_json(document: Any, changes: list[tuple[int, str]]) -> None:
    """A line that was changed anywhere is JSON where its skeleton is with other numbers."""
    text = written(document)
    for place, character in changes:
        text = text[:place] + character + text[place + 1 :]
    apart = split(text.encode())
    if apart is not None:
        assert is_json(text.encode()) == is_json(filled(apart[0]))


@given(st.binary(max_size=60), st.integers(0, 60))
def test_any_bytes(line: bytes, start: int) -> None:
    """Nothing is read beyond the end."""
    if start > len(line):
        with pytest.raises(ValueError, match="start lies beyond the line"):
            split(line, start)
    else:
        split(line, start)


@pytest.mark.parametrize("line", [b"05", b"1.", b"1.x", b"-", b"-x", b"1e", b"1e+", b"#", b"1-2", b"1e999", b"9" * 16])
def test_what_has_no_numbers_of_json(line: bytes) -> None:
    """It is left to others."""
    assert split(b"[" + line + b"]") is None


@given(st.lists(DOCUMENTS, min_size=1, max_size=3), st.data())
def test_a_line_like_those_before(documents: list[Any], data: st.DataObject) -> None:
    """It is taken apart as if it were the first, wherever it differs."""
    splitter, lines = Splitter(), [written(each).encode() for each in documents]
    for _ in range(12):
        line = data.draw(st.sampled_from(lines))
        place = data.draw(st.integers(0, len(line)))
        changed = line[:place] + data.draw(st.sampled_from([b"", b"0", b"-1.5", b"#", b'"', b" ", b"e"])) + line[place:]
        for each in (line, changed, line[:place]):
            assert splitter.split(each) == split(each)


def test_more_forms_than_are_kept() -> None:
    """The oldest ones are forgotten, and are learned anew."""
    splitter = Splitter()
    for number in [*range(20), *range(20), 19, 19]:
        line = f'{{"{"a" * number}": {number}}}'.encode()
        assert splitter.split(line) == (f'{{"{"a" * number}": #}}'.encode(), array("d", [number]).tobytes())


def test_a_known_skeleton_is_the_same_object() -> None:
    """So that it is hashed once; another one of its length is not taken for it, nor one from another start."""
    splitter = Splitter()
    first = splitter.split(b'{"a": 1}', 1)
    assert first is not None
    for line, start, same in (
        (b'{"a": 25}', 1, True),
        (b'{"b": 25}', 1, False),
        (b'{"ab": 25}', 1, False),
        (b'{"a": 25}', 0, False),
        (b'{"a": 25}', 1, True),
    ):
        again = splitter.split(line, start)
        assert again is not None
        assert (again[0] is first[0]) is same
        assert again == split(line, start)


class TestManyLines:
    """Lines that are like those before are taken apart at once, up to one that is not."""

    BEFORE = b'{"test": "'

    @given(
        st.lists(st.tuples(st.sampled_from(["a", "a[1]", "", "é", '"', "\\", "\t", "\x7f"]), DOCUMENTS), max_size=4),
        st.data(),
    )
    def test_as_one_by_one(self, results: list[tuple[str, Any]], data: st.DataObject) -> None:
        """Each is taken apart as by itself; where this stops it would have been no other way."""
        whole = [f'{{"test": {json.dumps(test)}, "is": {written(what)}}},\n'.encode() for test, what in results]
        cut = [line[: data.draw(st.integers(0, len(line)))] for line in whole]
        lines = data.draw(st.lists(st.sampled_from([*whole, *cut, b"]"]), max_size=8))
        first = data.draw(st.integers(0, len(lines)))
        splitter, begins = Splitter(), [line.find(b'"', len(self.BEFORE)) + 1 for line in whole]
        known = {splitter.split(line[:-2], begin) for line, begin in zip(whole, begins, strict=True)}
        skeletons = {apart[0] for apart in known if apart}
        found = splitter.split_all(lines, first, self.BEFORE)
        for line, (test, apart) in zip(lines[first:], found, strict=False):
            assert line.startswith(self.BEFORE + test.encode() + b'"')
            assert line.endswith(b",\n")
            assert apart == split(line[:-2], len(self.BEFORE + test.encode()) + 1)
        for line in lines[first + len(found) :][:1]:
            plain = re.fullmatch(rb'{"test": "([ !#-\[\]-~]*)"(.*),\n', line)
            assert plain is None or (split(plain[2]) or b"?")[0] not in skeletons

    def test_what_it_stops_at(self) -> None:
        """Another beginning, no plain string, another form, no comma; and it goes on from any line."""
        splitter = Splitter()
        splitter.split(b'{"test": "a", "b": 1}', 12)
        good, numbers = b'{"test": "c", "b": 2.5},\n', array("d", [2.5]).tobytes()
        for bad in (
            b'{"test": "c", "b": 2.5}\n',
            b'{"test": "c", "b": x},\n',
            b'{"test": "c", "c": 2.5},\n',
            b'{"test": "\xc3\xa9", "b": 2.5},\n',
            b'{"test": "\\"", "b": 2.5},\n',
            b'{"test": "c,\n',
            b'{"test": "c",\n',
            b'{"test": ",\n',
            b'{"test": "\n',
            b'{"rest": "c", "b": 2.5},\n',
            b"]",
            b"",
        ):
            found = splitter.split_all([good, good, bad, good], 1, self.BEFORE)
            assert found == [("c", (b', "b": #}', numbers))]
        assert splitter.split_all([good], 1, self.BEFORE) == []
        assert Splitter().split_all([good], 0, self.BEFORE) == []

    def test_other_arguments(self) -> None:
        """What is no line is refused, not read."""
        for lines, first in (([1], 0), (["text"], 0), (None, 0), ([b"a"], -1)):
            with pytest.raises((TypeError, ValueError)):
                Splitter().split_all(lines, first, self.BEFORE)  # type: ignore[arg-type]
