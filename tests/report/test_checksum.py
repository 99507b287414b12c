"""The checksum of a kept run."""

from __future__ import annotations

import contextlib
import io
import json
import random
import re
from pathlib import Path
from zlib import crc32

import pytest

from pytest_memperf.model.errors import UsageMistake
from pytest_memperf.report.checksum import checksum_of, is_whole
from pytest_memperf.report.json_file import JsonFile
from pytest_memperf.report.json_reader import read

REST = {"isolation": "inline", "allocator": "glibc", "rounds": 1, "metrics": {}, "unavailable": {}, "checks": []}
HEAD = {"created": "2026-11-22T04:29:47+00:00"}


def written(path: Path, tests: int = 3) -> bytes:
    """Write a file of results, and return its bytes."""
    file = JsonFile(str(path), HEAD)
    for number in range(tests):
        file.add({"test": f"test_é.py::test_{number}\udcff", "window": "call", **REST})
    file.finish({"environment": {"kernel": "6.18.1"}})
    return path.read_bytes()


@pytest.mark.parametrize("tests", [0, 1, 3, 20_000])
def test_is_of_all_bytes_before_it(tests: int, tmp_path: Path) -> None:
    """As zlib has it; also of more than is read at once."""
    data = written(tmp_path / "results.json", tests)
    before, _, _ = data.rpartition(b'"crc32"')

    assert json.loads(data)["crc32"] == f"{crc32(before):08x}"
    assert len(read(str(tmp_path / "results.json")).results) == tests


def test_texts_are_one_after_the_other() -> None:
    """However they are cut."""
    assert checksum_of(["ab", "", "ć"]) == checksum_of(["abć"]) == f"{crc32('abć'.encode()):08x}"


def test_any_other_byte_is_damage(tmp_path: Path) -> None:
    """Each byte in turn, one bit of it: refused by name, but for the checksum's own, which leaves all else whole."""
    path = tmp_path / "results.json"
    data, chance = written(path), random.Random(1)
    tests = [result.test for result in read(str(path)).results]
    for place in range(len(data)):
        path.write_bytes(data[:place] + bytes([data[place] ^ 1 << chance.randrange(8)]) + data[place + 1 :])
        if place >= len(data) - len('"crc32": "01234567"}\n'):
            with contextlib.suppress(UsageMistake):
                assert [each.test for each in read(str(path)).results] == tests
        else:
            with pytest.raises(UsageMistake, match=re.escape(str(path))):
                read(str(path))


@pytest.mark.parametrize(
    "rewritten",
    [
        lambda data: json.dumps(json.loads(data), indent=2).encode(),
        lambda data: json.dumps(json.loads(data), separators=(",", ":")).encode(),
        lambda data: data.replace(b"\n", b"\r\n"),
        lambda data: data.rpartition(b', "crc32"')[0] + b"}\n",
    ],
    ids=["indented", "compact", "other line ends", "of an older version"],
)
def test_a_file_that_was_written_anew_is_read(rewritten: object, tmp_path: Path) -> None:
    """Its checksum is of other bytes, or it has none."""
    path = tmp_path / "results.json"
    path.write_bytes(rewritten(written(path)))  # type: ignore[operator]

    assert len(read(str(path)).results) == 3


def test_an_empty_file_is_whole() -> None:
    """As far as this goes."""
    assert is_whole(io.BytesIO())
