"""The heads of executables, beside what readelf says of them."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_memperf.environment import executable

STATIC = "int main(void) { return 0; }"


@pytest.fixture
def compiled(tmp_path: Path) -> Path:
    """Return a program that is linked statically."""
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed: apt-get install gcc")
    (tmp_path / "main.c").write_text(STATIC)
    done = subprocess.run(["gcc", "-static", "main.c", "-o", "main"], cwd=tmp_path, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"gcc links nothing statically here: {done.stderr[-80:]}")
    return tmp_path / "main"


def changed(path: Path, place: int, content: bytes) -> Path:
    """Return a copy of the interpreter with other bytes at a place."""
    data = bytearray(Path(sys.executable).read_bytes())
    data[place : place + len(content)] = content
    path.write_bytes(data)
    return path


def test_the_loader_is_what_readelf_says() -> None:
    """Of the interpreter."""
    if shutil.which("readelf") is None:
        pytest.skip("readelf is not installed: apt-get install binutils")
    told = subprocess.check_output(["readelf", "-l", sys.executable], text=True)
    head = executable.head_of(sys.executable)
    assert head is not None
    assert f"[Requesting program interpreter: {head.loader}]" in told


def test_a_usual_program_is_not_hindered() -> None:
    """The interpreter, which a script may name."""
    assert executable.preloading_hindered(sys.executable) is None


def test_a_static_program(compiled: Path) -> None:
    """Loads nothing, and the words say what to do."""
    assert executable.preloading_hindered(str(compiled)) == "is linked statically: use one that is linked dynamically"


def test_scripts_are_their_interpreters(tmp_path: Path, compiled: Path) -> None:
    """Through several of them."""
    inner, outer = tmp_path / "inner", tmp_path / "outer"
    inner.write_text(f"#! {compiled} -x\n")
    outer.write_text(f"#!{inner}\n")
    assert "linked statically" in (executable.preloading_hindered(str(outer)) or "")
    outer.write_text(f"#!{sys.executable}\n")
    assert executable.preloading_hindered(str(outer)) is None


def test_a_program_of_musl(tmp_path: Path) -> None:
    """Is told by its loader."""
    head = executable.head_of(sys.executable)
    assert head is not None
    assert head.loader is not None
    data = Path(sys.executable).read_bytes()
    name = b"/lib/ld-musl-x.so.1".ljust(len(head.loader), b"\0")
    program = changed(tmp_path / "program", data.index(head.loader.encode() + b"\0"), name)
    assert "is of musl" in (executable.preloading_hindered(str(program)) or "")


def test_no_program(tmp_path: Path) -> None:
    """A text without a first line that names one, an empty file, a folder's worth of nothing."""
    for content in (b"", b"\x7fELF", b"hello", b"#!\n"):
        (tmp_path / "text").write_bytes(content)
        assert executable.preloading_hindered(str(tmp_path / "text")) == "is no program of this system: name one"


def test_a_library_fits_a_program_of_its_machine(tmp_path: Path) -> None:
    """By width, byte order and architecture; what cannot be read fits nothing."""
    assert executable.fits(sys.executable, sys.executable)
    assert not executable.fits(sys.executable, str(changed(tmp_path / "other", 18, b"\xf3\x00")))
    assert not executable.fits(sys.executable, str(tmp_path / "missing"))
    assert not executable.fits(sys.executable, os.devnull)


def test_a_program_of_another_user(tmp_path: Path) -> None:
    """The loader loads nothing else into it; into one of one's own it does."""
    program = Path(shutil.copy(sys.executable, tmp_path / "program"))
    program.chmod(0o6755)
    assert executable.preloading_hindered(str(program)) is None
    if os.geteuid() != 0:
        pytest.skip("only root can give a file to another user: run as root")
    for user, group in ((65534, 0), (0, 65534)):
        os.chown(program, user, group)
        program.chmod(0o6755)  # chown took that away
        assert "changes its user or group" in (executable.preloading_hindered(str(program)) or "")


def damaged(**fields: int) -> bytes:
    """Return an ELF head of 64 bits with these fields, and one entry of its table behind it."""
    given = {"table": 64, "size": 56, "number": 1, "where": 0, "length": 9, "end": 120} | fields
    head = b"\x7fELF\x02\x01".ljust(18, b"\0") + struct.pack("<H", 62)
    head = head.ljust(32, b"\0") + struct.pack("<Q", given["table"])
    head = head.ljust(54, b"\0") + struct.pack("<HH", given["size"], given["number"])
    entry = struct.pack("<IIQQQQ", 3, 0, given["where"], 0, 0, given["length"])
    return (head.ljust(64, b"\0") + entry)[: given["end"]]


@pytest.mark.parametrize(
    "content",
    [
        damaged(end=55),
        damaged(size=1),
        damaged(size=8),
        damaged(table=2**64 - 1),
        damaged(where=2**63),
    ],
    ids=["short", "tiny entries", "small entries", "table beyond all", "name beyond all"],
)
def test_a_damaged_file(tmp_path: Path, content: bytes) -> None:
    """Is no program."""
    (tmp_path / "file").write_bytes(content)
    assert executable.head_of(str(tmp_path / "file")) is None
    assert not executable.fits(sys.executable, str(tmp_path / "file"))


def test_a_name_without_end(tmp_path: Path) -> None:
    """Is as long as the file at most."""
    (tmp_path / "file").write_bytes(damaged(length=2**62))
    assert executable.head_of(str(tmp_path / "file")) is not None


@given(st.binary(max_size=200), st.booleans())
def test_any_content(tmp_path: Path, content: bytes, elf: bool) -> None:
    """Is an answer, never another exception."""
    path = tmp_path / "anything"
    path.write_bytes(b"\x7fELF" + content if elf else content)
    head = executable.head_of(str(path))
    assert head is None or elf or content.startswith(b"\x7fELF")
