"""Each library in a process that was started for it: it serves that one, and shows it; in any other one it does not."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from pytest_memperf.malloc import MALLOCS, Malloc, named, preload
from pytest_memperf.model.errors import UsageMistake

ASK = """
from pytest_memperf.malloc import named, proof
malloc = named({!r})
print(proof.refuted(malloc), proof.version_of(malloc), sep=";")
"""


@pytest.fixture(params=MALLOCS.values(), ids=MALLOCS.keys())
def malloc(request: pytest.FixtureRequest) -> Malloc:
    """Each library that is installed."""
    reason = preload.lack(request.param)
    if reason:
        pytest.skip(reason)
    return request.param  # type: ignore[no-any-return]


def asked(serving: Malloc, about: Malloc) -> tuple[str, str]:
    """Return what a process under one library says about another: why it does not serve, and its version."""
    environment = preload.environment_under(serving, os.environ)
    command = [sys.executable, "-c", ASK.format(about.name)]
    refuted, version = subprocess.check_output(command, text=True, env=environment).strip().split(";")
    return refuted, version


def test_it_serves_a_process_that_was_started_for_it(malloc: Malloc) -> None:
    """By the symbol and by its own knowledge; and tells its version."""
    refuted, version = asked(malloc, malloc)
    assert refuted == "None"
    assert re.fullmatch(r"\d+\.\d+(\.\d+)?", version)


def test_it_does_not_serve_another_ones_process(malloc: Malloc) -> None:
    """What serves there is named."""
    for other in MALLOCS.values():
        if other is not malloc and preload.lack(other) is None:
            refuted, _ = asked(other, malloc)
            assert f"served by {other.name}, not by {malloc.name}" in refuted


def test_a_library_that_does_not_know_its_blocks_is_refuted(malloc: Malloc) -> None:
    """The symbol alone is no proof: here the library is asked about memory that somebody else has mapped."""
    code = f"""
import ctypes, mmap
from pytest_memperf.malloc import named
region = mmap.mmap(-1, 1 << 22)
address = ctypes.addressof(ctypes.c_char.from_buffer(region))
print(named({malloc.name!r}).serves(ctypes.CDLL(None), lambda size: address))
"""
    environment = preload.environment_under(malloc, os.environ)
    assert subprocess.check_output([sys.executable, "-c", code], text=True, env=environment).strip() == "False"


def test_its_maps_agree(malloc: Malloc) -> None:
    """The kernel has the file in the process's mappings, and no other library's."""
    code = "print(open('/proc/self/maps').read())"
    environment = preload.environment_under(malloc, os.environ)
    maps = subprocess.check_output([sys.executable, "-c", code], text=True, env=environment)
    mapped = {name for name in ("jemalloc", "tcmalloc", "mimalloc") if f"/lib{name}" in maps}
    assert mapped == {malloc.name} - {"glibc"}


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("jemaloc", "there is no allocator 'jemaloc'; did you mean 'jemalloc'?"),
        ("xyz", "there is no allocator 'xyz': choose from glibc, jemalloc, tcmalloc, mimalloc"),
        (7, "7 is no name of an allocator: choose from glibc, jemalloc, tcmalloc, mimalloc"),
    ],
)
def test_another_name_is_a_mistake(name: object, told: str) -> None:
    """It names the nearest, or all."""
    with pytest.raises(UsageMistake) as mistake:
        named(name)
    assert str(mistake.value) == told
