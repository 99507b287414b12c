"""The library that counts what goes through malloc, before each of those that serve it."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_memperf.environment.symbols import library_with
from pytest_memperf.malloc import MALLOCS, counting, preload
from pytest_memperf.malloc.counting import Counts
from pytest_memperf.malloc.running import counted

HERE = [name for name, malloc in MALLOCS.items() if preload.lack(malloc) is None]
CALLS = """
import ctypes, sys

sys.path[:0] = sys.argv[1:]
program = ctypes.PyDLL(None)
pointer, size = ctypes.c_void_p, ctypes.c_size_t

class Counts(ctypes.Structure):
    _names = ("format", "process", "frees", "reallocs", "requested", "live", "peak")
    _fields_ = [*zip(_names, [ctypes.c_long] * 7)]
    _fields_ += [("sizes", ctypes.c_long * 48), ("told", ctypes.c_long * 3)]

def function(name, result, *arguments):
    found = program[name]
    found.restype, found.argtypes = result, arguments
    return found

malloc, calloc = function("malloc", pointer, size), function("calloc", pointer, size, size)
realloc, free = function("realloc", pointer, pointer, size), function("free", None, pointer)
reallocarray = function("reallocarray", pointer, pointer, size, size)
posix_memalign = function("posix_memalign", ctypes.c_int, pointer, size, size)
aligned_alloc, memalign = (function(name, pointer, size, size) for name in ("aligned_alloc", "memalign"))
valloc, pvalloc = (function(name, pointer, size) for name in ("valloc", "pvalloc"))
usable = function("malloc_usable_size", size, pointer)
into = pointer()
before, after = Counts(), Counts()
at_before, at_after = ctypes.byref(before), ctypes.byref(after)
place = ctypes.byref(into)
read = program.memperf_malloc_read

def difference():
    others = (getattr(after, name) - getattr(before, name) for name in ("frees", "reallocs", "requested", "live"))
    return sum(after.sizes) - sum(before.sizes), *others
"""


def under(name: str, program: str, *arguments: str) -> str:
    """Return what a Python program prints under the library of this name, counted."""
    environment = counting.environment_counted(preload.environment_under(MALLOCS[name], os.environ))
    command = [sys.executable, "-c", program, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", HERE)
class TestBeforeEachLibrary:
    """What the functions do and what is counted of them."""

    @pytest.mark.parametrize(
        ("call", "requested"),
        [
            ("malloc(1000)", 1000),
            ("malloc(0)", 0),
            ("calloc(10, 100)", 1000),
            ("realloc(None, 1000)", 1000),
            ("reallocarray(None, 10, 100)", 1000),
            ("aligned_alloc(64, 1024)", 1024),
            ("memalign(4096, 100)", 100),
            ("valloc(100)", 100),
            ("posix_memalign(place, 64, 1000) or into.value", 1000),
            ("malloc(3_000_000)", 3_000_000),
        ],
    )
    def test_a_block(self, name: str, call: str, requested: int) -> None:
        """It is one call and its usable bytes are live, until it is freed by another."""
        program = f"""{CALLS}
read(at_before); block = {call}; read(at_after)
taken, room = difference(), usable(block)
read(at_before); free(block); read(at_after)
print(*taken, *difference(), room)
"""
        *counts, room = map(int, under(name, program).split())
        assert room >= requested
        assert counts == [1, 0, 0, requested, room, 0, 1, 0, 0, -room]

    def test_a_page_by_pvalloc(self, name: str) -> None:
        """It is freed by the library that serves malloc, also where that has no pvalloc."""
        mallocs, frees, *_ = under(
            name, f"{CALLS}\nread(at_before); free(pvalloc(100)); read(at_after); print(*difference())"
        ).split()
        assert (mallocs, frees) == ("1", "1")

    def test_another_size(self, name: str) -> None:
        """It is one realloc, which gives back and takes no block; to no bytes it is a free; bytes stay as they are."""
        program = f"""{CALLS}
block = malloc(100); ctypes.memset(block, 7, 100); room = usable(block)
read(at_before); block = realloc(block, 100_000); read(at_after)
print(*difference()[:4], difference()[4] == usable(block) - room, ctypes.string_at(block, 100) == bytes([7]) * 100)
read(at_before); nothing = realloc(block, 0); read(at_after)
print(difference()[1] == 1 or nothing is not None)
"""
        assert under(name, program).split("\n")[:2] == ["0 0 1 100000 True True", "True"]

    def test_what_fails(self, name: str) -> None:
        """It is no block: nothing is counted, and errno says why."""
        program = f"""{CALLS}
huge = ctypes.c_size_t(-1).value // 4
read(at_before); blocks = calloc(huge, 8), reallocarray(None, huge, 8), malloc(huge); read(at_after)
print(blocks, *difference())
"""
        assert under(name, program) == "(None, None, None) 0 0 0 0 0\n"

    def test_the_peak(self, name: str) -> None:
        """It is the most that was held at once since it was begun anew."""
        program = f"""{CALLS}
free(malloc(5_000_000)); program.memperf_malloc_reset_peak(); read(at_before)
one = malloc(1_000_000); two = malloc(2_000_000); rooms = usable(one) + usable(two)
free(one); free(two); free(malloc(1_000_000)); read(at_after)
print(after.peak - before.live == rooms, before.peak == before.live, after.live == before.live)
"""
        assert under(name, program) == "True True True\n"

    def test_what_is_paused(self, name: str) -> None:
        """Calls of that thread are not counted, and what is live goes on."""
        program = f"""{CALLS}
program.memperf_malloc_pause(1); read(at_before); block = malloc(100_000); read(at_after); paused = difference()
program.memperf_malloc_pause(0); free(block)
print(*paused[:4], paused[4] == usable(malloc(100_000)))
"""
        assert under(name, program) == "0 0 0 0 True\n"

    def test_which_library_serves(self, name: str) -> None:
        """It is the one behind, as it shows by its own means."""
        program = """
import sys
sys.path[:0] = sys.argv[1:]
from pytest_memperf.environment.process import serving
from pytest_memperf.malloc import named, proof
print(serving(), proof.refuted(named(serving())))
"""
        assert under(name, program, str(Path(counting.__file__).parents[2])) == f"{name} None\n"

    def test_threads_and_forks(self, name: str) -> None:
        """No call of four threads is lost, and a fork amid them can allocate."""
        program = f"""{CALLS}
import os, threading
free_running = ctypes.CDLL(None)
take, give = free_running.malloc, free_running.free
take.restype, take.argtypes, give.argtypes = pointer, [size], [pointer]

def work():
    for number in range(20_000):
        give(take(number % 3000))

read(at_before)
threads = [threading.Thread(target=work) for _ in range(4)]
for thread in threads: thread.start()
for _ in range(30):
    pid = os.fork()
    if pid == 0:
        for number in range(1000): give(take(number))
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
for thread in threads: thread.join()
read(at_after)
print(*difference())
"""
        mallocs, frees, _, _, live = map(int, under(name, program).split())
        assert 80_000 <= mallocs < 82_000
        assert 80_000 <= frees < 82_000
        assert abs(live) < 2**20


class TestACommand:
    """What all its processes take."""

    @staticmethod
    def counts(*command: str, malloc: str = "glibc") -> Counts:
        """Return what is counted of the command."""
        (found,) = counted(command, [MALLOCS[malloc]]).values()
        assert isinstance(found, Counts), found
        return found

    def test_processes(self) -> None:
        """Those that are forked, that become another program and that are killed are counted like one that ends."""
        program = (
            "import ctypes, os, signal, sys\n"
            "P = ctypes.PyDLL(None); P.malloc.restype = ctypes.c_void_p\n"
            "def take(count):\n"
            "    for _ in range(count): P.malloc(ctypes.c_size_t({size}))\n"
            "{act}\n"
        )
        size = 5_000_000  # 2^22 < size <= 2^23, which nothing else here takes
        acts = {
            "take(3)": (3, 1),
            "if os.fork(): os.wait(); take(2)\nelse: take(5); os._exit(0)": (7, 2),
            "if os.fork(): os.wait()\nelse: take(5); os.kill(os.getpid(), signal.SIGKILL)": (5, 2),
            "take(1); os.execv(sys.executable, ['python', '-c', 'pass'])": (1, 1),
        }
        for act, (blocks, processes) in acts.items():
            found = self.counts(sys.executable, "-c", program.format(size=size, act=act))
            assert (found.sizes[1 << 23], found.processes) == (blocks, processes), act
            assert found.peak >= blocks // processes * size
            assert found.requested >= blocks * size

    def test_fragmentation_at_the_end(self) -> None:
        """It is told of a process that ends by itself, by glibc's own figures, and not of one that is killed."""
        if not hasattr(ctypes.CDLL(None), "mallinfo2"):
            pytest.skip("the C library has no mallinfo2: use glibc 2.33 or newer")
        hold = (
            "import ctypes; P = ctypes.PyDLL(None)\n"
            "P.malloc.restype = ctypes.c_void_p; P.free.argtypes = [ctypes.c_void_p]\n"
            "blocks = [P.malloc(3000) for _ in range(20000)]\n"
            "for number, block in enumerate(blocks):\n    if number % {every}: P.free(block)\n"
        )
        sparse = self.counts(sys.executable, "-c", hold.format(every=10)).fragmentation
        dense = self.counts(sys.executable, "-c", hold.format(every=1)).fragmentation
        assert sparse is not None
        assert dense is not None
        assert sparse > 0.7 > 0.4 > dense
        killed = self.counts(sys.executable, "-c", "import os, sys; os._exit(0)")
        assert killed.fragmentation is None

    def test_the_same_as_valgrind(self, tmp_path: Path, compiled: Callable[[str, str], Path]) -> None:
        """Which counts a realloc as a block taken and one given back."""
        if shutil.which("valgrind") is None:
            pytest.skip("valgrind is not installed: apt-get install valgrind")
        program = compiled("cc", PLAIN)
        told = subprocess.run(["valgrind", program], capture_output=True, text=True, check=True).stderr
        (usage,) = [line for line in told.splitlines() if "total heap usage" in line]
        numbers = [int(word.replace(",", "")) for word in usage.split() if word[0].isdigit()]
        found = self.counts(str(program))
        assert numbers == [found.mallocs + found.reallocs, found.frees + found.reallocs, found.requested]

    @pytest.mark.parametrize("malloc", HERE)
    def test_cpp(self, compiled: Callable[[str, str], Path], malloc: str) -> None:
        """Blocks of its operators are counted under every library alike, also one that has operators of its own."""
        found = self.counts(str(compiled("c++", OPERATORS)), malloc=malloc)
        assert found.sizes[1 << 20] == 8 * 100
        assert found.mallocs - found.frees < 50

    @pytest.mark.parametrize("malloc", HERE)
    def test_cpp_without_memory(self, compiled: Callable[[str, str], Path], malloc: str) -> None:
        """The program ends as it does uncounted: by the exception, or as mimalloc has it, which knows none."""
        program = compiled("c++", NO_MEMORY)
        environment = preload.environment_under(MALLOCS[malloc], os.environ)
        ends = [
            subprocess.run([program], env=each, capture_output=True, check=False).returncode
            for each in (environment, counting.environment_counted(environment))
        ]
        assert ends[0] == ends[1]
        assert malloc == "mimalloc" or ends == [42, 42]

    def test_one_that_loads_nothing(self, tmp_path: Path) -> None:
        """It is told that LD_PRELOAD was removed."""
        with counting.counts_of_processes() as file:
            assert file.read() == "no process of the command loaded the library that counts: it removes LD_PRELOAD"
        assert not file.path.exists()


PLAIN = """
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
int main(void) {
    void *many[1000], *block = malloc(100);
    int i;
    block = realloc(block, 1000);
    block = realloc(block, 50);
    free(block);
    free(calloc(10, 10));
    free(NULL);
    free(aligned_alloc(64, 128));
    free(memalign(4096, 100));
    free(strdup("a copy"));
    for (i = 0; i < 1000; i++) many[i] = malloc(i);
    for (i = 0; i < 1000; i += 2) free(many[i]);
    return 0;
}
"""
OPERATORS = """
#include <new>
struct alignas(256) Wide { char bytes[600000]; };
struct Plain { char bytes[600000]; };
int main() {
    for (int i = 0; i < 100; i++) {
        delete new Plain;
        delete[] new Plain[1];
        delete new (std::nothrow) Plain;
        delete[] new (std::nothrow) Plain[1];
        delete new Wide;
        delete[] new Wide[1];
        delete new (std::nothrow) Wide;
        delete[] new (std::nothrow) Wide[1];
    }
}
"""
NO_MEMORY = """
#include <cstddef>
#include <new>
int main() {
    volatile std::size_t much = std::size_t(1) << 60;
    try { ::operator new(much); return 1; } catch (const std::bad_alloc &) { return 42; }
}
"""


@pytest.fixture
def compiled(tmp_path: Path) -> Callable[[str, str], Path]:
    """Return a function that compiles a program; skip without the compiler."""

    def compile_it(compiler: str, text: str) -> Path:
        found = shutil.which(compiler)
        if found is None:
            pytest.skip(f"{compiler} is not installed: apt-get install g++")
        source = tmp_path / ("program.cpp" if compiler == "c++" else "program.c")
        source.write_text(text)
        program = tmp_path / "program"
        standard = "-std=c++17" if compiler == "c++" else "-std=gnu11"
        subprocess.run([found, "-O0", "-fno-builtin", "-w", standard, source, "-o", program], check=True)
        return program

    return compile_it


class TestWhereItCannotBeHad:
    """The reasons."""

    def test_the_library_is_there(self) -> None:
        """It is beside the package, and nothing hinders it; in this process malloc is that of the system."""
        assert counting.lack() is None
        assert counting.library().is_file()
        assert library_with("malloc") != str(counting.library())

    def test_its_folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """One with a blank in its name cannot stand in LD_PRELOAD; one without the library is told."""
        folder = tmp_path / "a folder"
        folder.mkdir()
        monkeypatch.setattr(counting, "library", lambda: folder / "preload.so")
        assert "install pytest-memperf again" in str(counting.lack())
        (folder / "preload.so").touch()
        assert "has a blank or a colon in its name" in str(counting.lack())
