"""Where libraries are found, and what becomes of the environment."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_memperf.malloc import MALLOCS, Malloc, preload

JEMALLOC = MALLOCS["jemalloc"]
GLIBC = MALLOCS["glibc"]


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have ldconfig know nothing, and no usual folder."""
    monkeypatch.delenv("LD_LIBRARY_PATH", raising=False)
    monkeypatch.setattr(preload, "_listed", dict)
    monkeypatch.setattr(preload, "_places", lambda: ())


class TestFinding:
    """The file of a library."""

    def test_in_the_library_path(self, nowhere: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """Its folders come first."""
        library = Path(shutil.copy(sys.executable, tmp_path / "libjemalloc.so.2"))  # a file for this processor
        monkeypatch.setenv("LD_LIBRARY_PATH", f"/nowhere::{tmp_path}")
        assert preload.path_of(JEMALLOC) == str(library)
        assert preload.lack(JEMALLOC) is None

    def test_one_for_another_processor_is_passed_over(
        self, nowhere: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        """As a system for two architectures has it."""
        content = bytearray(Path(sys.executable).read_bytes())
        content[18:20] = b"\xf3\x00"  # RISC-V
        (tmp_path / "libjemalloc.so.2").write_bytes(content)
        (tmp_path / "libjemalloc.so").write_text("no library at all")
        monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path))
        assert preload.path_of(JEMALLOC) is None

    def test_one_that_is_not_installed(self, nowhere: None) -> None:
        """Names the package."""
        assert preload.lack(JEMALLOC) == "jemalloc is not installed: apt-get install libjemalloc2"

    def test_as_the_loader_finds_it(self) -> None:
        """ld.so, given no more than the name, maps the same file."""
        installed = {each: path for each in MALLOCS.values() if (path := preload.path_of(each))}
        if not installed:
            pytest.skip("no library for malloc is installed: apt-get install libjemalloc2")
        code = "print(*{line.split()[-1] for line in open('/proc/self/maps') if '/' in line}, sep='\\n')"
        for each, path in installed.items():
            environment = {**os.environ, "LD_PRELOAD": Path(path).name}
            mapped = subprocess.check_output([sys.executable, "-c", code], env=environment, text=True).splitlines()
            assert any(os.path.samefile(file, path) for file in mapped if f"lib{each.name}" in file)

    def test_a_path_that_the_variable_cannot_hold(
        self, nowhere: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        """A blank parts two libraries there."""
        folder = tmp_path / "my libraries"
        folder.mkdir()
        shutil.copy(sys.executable, folder / "libjemalloc.so.2")
        monkeypatch.setenv("LD_LIBRARY_PATH", str(folder))
        assert preload.path_of(JEMALLOC) is None

    def test_no_ldconfig(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The usual folders serve."""
        known = preload.path_of(JEMALLOC)
        monkeypatch.setattr(preload, "_listed", dict)
        found = preload.path_of(JEMALLOC)
        assert (found is None) == (known is None)
        if found and known:
            assert Path(found).resolve() == Path(known).resolve()


class TestEnvironment:
    """LD_PRELOAD of a process."""

    @pytest.fixture(autouse=True)
    def paths(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Have every library but the C library's in one folder."""
        monkeypatch.setattr(preload, "path_of", lambda each: f"/l/{each.files[0]}" if each.files else None)

    @pytest.mark.parametrize(
        ("malloc", "before", "after"),
        [
            (JEMALLOC, None, "/l/libjemalloc.so.2"),
            (JEMALLOC, "", "/l/libjemalloc.so.2"),
            (JEMALLOC, "/x/libmine.so", "/l/libjemalloc.so.2:/x/libmine.so"),
            (JEMALLOC, "/y/libmimalloc.so.2 libmine.so", "/l/libjemalloc.so.2:libmine.so"),
            (JEMALLOC, "/old/libjemalloc.so.2", "/l/libjemalloc.so.2"),
            (GLIBC, None, None),
            (GLIBC, "/y/libtcmalloc.so.4", None),
            (GLIBC, "/y/libtcmalloc.so.4:/x/libmine.so", "/x/libmine.so"),
        ],
    )
    def test_what_is_loaded_before_others(self, malloc: Malloc, before: str | None, after: str | None) -> None:
        """The library comes first, others for malloc go, and what serves something else stays."""
        environment = {"HOME": "/h"} | ({} if before is None else {"LD_PRELOAD": before})
        wanted = {"HOME": "/h"} | ({} if after is None else {"LD_PRELOAD": after})
        assert preload.environment_under(malloc, environment) == wanted
        assert environment.get("LD_PRELOAD") == before
