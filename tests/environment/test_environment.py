"""The recorded environment: each fact against another witness, and made-up machines in folders."""

from __future__ import annotations

import ctypes.util
import json
import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import psutil
import pytest

from pytest_memperf.environment import collect, kernel, machine, process
from pytest_memperf.environment.machine import cgroup, container, hypervisor
from pytest_memperf.model.environment import Environment


def make(root: Path, files: dict[str, str]) -> Path:
    """Write files below a folder that stands for the root."""
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content + "\n")
    return root


class TestHere:
    """This machine, by other ways of asking."""

    def test_agrees_with_other_witnesses(self) -> None:
        """The facts that Python can tell in another way are the same."""
        found = collect({"pytest-memperf": "1"})
        assert found.kernel == platform.release()
        assert found.architecture == platform.machine()
        assert found.python == f"CPython {platform.python_version()}"
        assert found.page_size == os.sysconf("SC_PAGESIZE")
        assert found.memory == psutil.virtual_memory().total
        assert found.swap == psutil.swap_memory().total
        assert found.cpus == os.cpu_count()
        siblings = Path("/sys/devices/system/cpu").glob("cpu[0-9]*/topology/thread_siblings_list")
        assert found.cores == len({path.read_text() for path in siblings})
        assert found.numpy == metadata.version("numpy")
        assert found.plugins == {"pytest-memperf": "1"}

    def test_affinity_is_the_allowed_processors(self) -> None:
        """Pinned to one processor, the affinity is that one."""
        code = "import os; os.sched_setaffinity(0, {0}); from pytest_memperf.environment.machine import affinity"
        code += "; print(affinity())"
        assert subprocess.check_output([sys.executable, "-c", code], text=True) == "0\n"

    @pytest.mark.parametrize("allowed", [{0, 1, 2, 5, 7, 8}])
    def test_affinity_is_written_in_ranges(self, allowed: set[int], monkeypatch: pytest.MonkeyPatch) -> None:
        """Neighbours are joined, as in /proc/self/status."""
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: allowed)
        assert machine.affinity() == "0-2,5,7-8"

    def test_plain_data_brings_it_back(self) -> None:
        """Through JSON and back it is the same; members of a later version are left out."""
        found = collect({"a": "1"})
        data = json.loads(json.dumps(found.as_json()))
        assert Environment.from_json({**data, "later": 1}) == found

    def test_address_randomisation_is_of_the_process(self) -> None:
        """setarch -R is seen."""
        code = "from pathlib import Path; from pytest_memperf.environment import kernel; print(kernel.aslr(Path('/')))"
        answer = subprocess.run(
            ["setarch", "-R", sys.executable, "-c", code], capture_output=True, text=True, check=False
        )
        if answer.returncode:
            pytest.skip("personality(2) is forbidden here")
        assert answer.stdout == "off\n"


class TestProcess:
    """Allocator and NumPy, in interpreters started for it."""

    def run(self, expression: str, **environment: str) -> str:
        """Evaluate an expression over the module ``process`` in a new interpreter."""
        code = f"from pytest_memperf.environment import process\n{expression}"
        return subprocess.check_output(
            [sys.executable, "-c", code], text=True, env={**os.environ, **environment}
        ).strip()

    def test_the_c_library_is_named_with_its_version(self) -> None:
        """Without a preloaded library malloc is the C library's."""
        name, version = platform.libc_ver()
        if name != "glibc":
            pytest.skip("the C library is not glibc")
        assert self.run("print(process.allocator())") == f"glibc {version}"

    @pytest.mark.parametrize("name", ["jemalloc", "tcmalloc_minimal", "mimalloc"])
    def test_a_preloaded_allocator_is_found(self, name: str) -> None:
        """The library that really serves malloc is named, and what preloaded it is recorded."""
        library = ctypes.util.find_library(name)
        if library is None:
            pytest.skip(f"lib{name} is not installed")
        assert self.run("print(process.allocator())", LD_PRELOAD=library) == name.removesuffix("_minimal")
        tuning = self.run("print(process.collect(None)['allocator_tuning'])", LD_PRELOAD=library)
        assert f"'LD_PRELOAD': '{library}'" in tuning

    @pytest.mark.parametrize(
        ("file", "name"),
        [
            ("/usr/lib/libjemalloc.so.2", "jemalloc"),
            ("libtcmalloc.so.4", "tcmalloc"),
            ("/x/libtcmalloc_minimal.so.4", "tcmalloc"),
            ("libmimalloc.so.2.0", "mimalloc"),
            ("/lib/ld-musl-x86_64.so.1", "musl"),
            ("/opt/libmine.so", "libmine.so"),
            ("", None),
        ],
    )
    def test_a_library_has_a_short_name(self, file: str, name: str | None) -> None:
        """Any other library is named by its file."""
        assert process._allocator_in(file) == name

    def test_tuning_is_what_allocators_read(self) -> None:
        """Variables of other programs are not recorded."""
        tuning = self.run(
            "print(process.collect(None)['allocator_tuning'])",
            GLIBC_TUNABLES="glibc.malloc.arena_max=1",
            MALLOC_ARENA_MAX="1",
            MALLOC_CONF="x",
            PYTHONMALLOC="malloc",
            SECRET_MALLOC="no",
            PYTHONHASHSEED="0",
            LD_PRELOAD="",
        )
        assert tuning == str(
            {
                "GLIBC_TUNABLES": "glibc.malloc.arena_max=1",
                "LD_PRELOAD": "",
                "MALLOC_ARENA_MAX": "1",
                "MALLOC_CONF": "x",
                "PYTHONHASHSEED": "0",
                "PYTHONMALLOC": "malloc",
            }
        )

    def test_numpy_is_not_loaded_to_ask_for_it(self) -> None:
        """Its version comes from the metadata; its setting is unknown until something loads it."""
        asked = "found = process.collect(None); import sys; print('numpy' in sys.modules, found['numpy_huge_pages'])"
        assert self.run(asked) == "False None"

    @pytest.mark.parametrize(("setting", "shown"), [("0", "False"), ("1", "True")])
    def test_numpy_says_whether_it_asks_for_huge_pages(self, setting: str, shown: str) -> None:
        """Where a test has loaded it."""
        asked = "import numpy; print(process.numpy_huge_pages())"
        assert self.run(asked, NUMPY_MADVISE_HUGEPAGE=setting) == shown


class TestKernelSettings:
    """A kernel's settings in a folder."""

    FILES = {  # noqa: RUF012
        "proc/sys/kernel/osrelease": "6.1.0-custom",
        "proc/sys/kernel/numa_balancing": "1",
        "proc/sys/kernel/randomize_va_space": "1",
        "proc/self/personality": "00000000",
        "sys/kernel/mm/transparent_hugepage/enabled": "always [madvise] never",
        "sys/kernel/mm/transparent_hugepage/defrag": "always defer defer+madvise [madvise] never",
        "sys/kernel/mm/transparent_hugepage/hugepages-64kB/enabled": "always inherit madvise [never]",
        "sys/kernel/mm/transparent_hugepage/hugepages-2048kB/enabled": "always [inherit] madvise never",
        "sys/kernel/mm/transparent_hugepage/khugepaged/defrag": "1",
        "sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages": "64",
        "sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages": "0",
        "sys/devices/system/node/node0/cpulist": "0",
        "sys/devices/system/node/node1/cpulist": "1",
        "sys/devices/system/node/possible": "0-1",
    }

    def test_are_read_as_they_are(self, tmp_path: Path) -> None:
        """Every file becomes its field."""
        assert kernel.collect(make(tmp_path, self.FILES)) == {
            "kernel": "6.1.0-custom",
            "thp": "madvise",
            "thp_defrag": "madvise",
            "thp_sizes": {"64kB": "never", "2048kB": "inherit"},
            "khugepaged": {"defrag": "1"},
            "huge_pages": {"2048kB": 64, "1048576kB": 0},
            "numa_nodes": 2,
            "numa_balancing": True,
            "aslr": "partial",
        }

    @pytest.mark.parametrize(
        ("personality", "setting", "aslr"),
        [("00040000", "2", "off"), ("00000000", "0", "off"), ("00000000", "2", "full"), ("odd", "9", None)],
    )
    def test_address_randomisation(self, personality: str, setting: str, aslr: str | None, tmp_path: Path) -> None:
        """The process's own flag comes before the kernel's setting."""
        files = {"proc/self/personality": personality, "proc/sys/kernel/randomize_va_space": setting}
        assert kernel.aslr(make(tmp_path, files)) == aslr

    def test_an_empty_machine_is_unknown(self, tmp_path: Path) -> None:
        """Nothing is made up and nothing breaks."""
        found = collect(root=tmp_path)
        unknown = [name for name, value in found.as_json().items() if value is None]
        assert {"thp", "thp_sizes", "huge_pages", "numa_nodes", "memory", "cpu", "cgroup", "container", "vm"} <= {
            *unknown
        }


@pytest.mark.parametrize(
    ("meminfo", "memory", "swap"),
    [
        ("MemTotal:       16384 kB\nMemFree:         1024 kB\nSwapTotal:           0 kB", 16 << 20, 0),
        ("MemTotal:       16384 kB", 16 << 20, None),  # a kernel without swap
        ("MemFree:         1024 kB\nSwapTotal:        2048 kB", None, 2 << 20),
        ("MemTotal:        a lot\nSwapTotal:       -1 kB", None, None),
        ("", None, None),
    ],
)
def test_memory_where_little_is_told(meminfo: str, memory: int | None, swap: int | None, tmp_path: Path) -> None:
    """What a container or a small kernel leaves out is unknown, and the rest is recorded all the same."""
    found = collect(root=make(tmp_path, {"proc/meminfo": meminfo}))
    assert (found.memory, found.swap) == (memory, swap)


class TestControlGroups:
    """Limits of either version, in folders."""

    def test_the_tightest_on_the_way_up_holds(self, tmp_path: Path) -> None:
        """A limit of a group holds for all below it."""
        root = make(
            tmp_path,
            {
                "proc/self/cgroup": "0::/a/b",
                "sys/fs/cgroup/cgroup.controllers": "memory cpu",
                "sys/fs/cgroup/a/memory.max": "1000000",
                "sys/fs/cgroup/a/b/memory.max": "2000000",
                "sys/fs/cgroup/a/b/memory.high": "max",
                "sys/fs/cgroup/a/cpu.max": "max 100000",
                "sys/fs/cgroup/a/b/cpu.max": "50000 100000",
            },
        )
        assert cgroup(root) == {"version": "2", "memory.max": "1000000", "cpu.max": "50000 100000"}

    def test_a_container_sees_its_own_group_as_the_top(self, tmp_path: Path) -> None:
        """With a group namespace the path is / and the limit at the top."""
        files = {
            "proc/self/cgroup": "0::/",
            "sys/fs/cgroup/cgroup.controllers": "memory",
            "sys/fs/cgroup/memory.max": "1048576",
        }
        assert cgroup(make(tmp_path, files)) == {"version": "2", "memory.max": "1048576"}

    def test_version_1_is_read_per_controller(self, tmp_path: Path) -> None:
        """No limit is a very large number there; a period without a quota is none either."""
        root = make(
            tmp_path,
            {
                "proc/self/cgroup": "5:memory:/x\n4:cpu,cpuacct:/x\n0::/",
                "sys/fs/cgroup/memory/x/memory.limit_in_bytes": "9223372036854771712",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "3000000",
                "sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_quota_us": "-1",
                "sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_period_us": "100000",
            },
        )
        assert cgroup(root) == {"version": "1", "memory.limit_in_bytes": "3000000"}


@pytest.mark.parametrize(
    ("files", "name"),
    [
        ({"run/systemd/container": "lxc"}, "lxc"),
        ({".dockerenv": ""}, "docker"),
        ({"run/.containerenv": ""}, "podman"),
        ({"proc/1/cgroup": "0::/kubepods/besteffort/pod1"}, "kubernetes"),
        ({"proc/1/cgroup": "0::/", "proc/sys/kernel/osrelease": "5.15-microsoft-standard-WSL2"}, "wsl"),
        ({"proc/1/cgroup": "0::/init.scope"}, "none"),
        ({}, None),
    ],
)
def test_container(files: dict[str, str], name: str | None, tmp_path: Path) -> None:
    """By the traces that each kind leaves."""
    assert container(make(tmp_path, files)) == name


@pytest.mark.parametrize(
    ("files", "name"),
    [
        ({"sys/class/dmi/id/sys_vendor": "QEMU"}, "qemu"),
        ({"sys/class/dmi/id/product_name": "KVM Virtual Machine"}, "kvm"),
        ({"sys/class/dmi/id/sys_vendor": "Amazon EC2"}, "amazon"),
        ({"sys/hypervisor/type": "xen"}, "xen"),
        ({"proc/cpuinfo": "processor\t: 0\nflags\t\t: fpu hypervisor sse"}, "unknown"),
        ({"proc/cpuinfo": "processor\t: 0\nflags\t\t: fpu sse"}, "none"),
        ({}, None),
    ],
)
def test_hypervisor(files: dict[str, str], name: str | None, tmp_path: Path) -> None:
    """By the firmware's words, or the processor's flag."""
    assert hypervisor(make(tmp_path, files)) == name
