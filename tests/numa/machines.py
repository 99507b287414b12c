"""Run the NUMA tests in virtual machines with several nodes: ``python tests/numa/machines.py``.

QEMU emulates the processors (no KVM is needed) and boots a kernel of Debian's over the file system of this machine,
which it reads and does not write: the tests run with the interpreter, the environment and the checkout that are here.
A disk of its own has the temporary files, so that a file can be cold. What is tested is where pages lie, and that the
examples hold their budgets; times in there mean nothing. ``--install`` only gets what is missing, ``-- COMMAND`` runs a
command in the first machine, other arguments go to pytest.
"""

from __future__ import annotations

import lzma
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from cyx.process import die_with_parent

HERE = Path(__file__).parent
TESTS = HERE.parent
SMALLER = TESTS.parent / "examples" / "smaller.env"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pytest-memperf" / "numa"
PACKAGES = ("qemu-system-x86", "busybox-static", "numactl")
MODULES = ("virtio_pci", "9pnet_virtio", "9p", "overlay", "virtio_blk", "crc32c_generic", "ext4")
"""Those that the guest's file systems need; what they depend on is read from themselves, where it is told there."""
DISK = 256 * 1024 * 1024
"""Bytes of the guest's disk, which takes as much here as is written there."""
TIMEOUT = 600.0
"""Seconds for a machine."""


@dataclass(frozen=True)
class Machine:
    """A virtual machine: its nodes, and the tests that it is for."""

    name: str
    memory: tuple[int, ...]
    """MiB of each node; 0 for a memoryless one."""
    processors: tuple[int, ...]
    """Of each node; 0 for a CPU-less one."""
    distances: tuple[tuple[int, ...], ...]
    huge_pages: int
    """Of 2 MiB, on each node with memory."""
    tests: tuple[str, ...]
    """Below tests, or beside it."""


ANYWHERE = (
    "cyx/probes/test_thread_counters.py",
    "cyx/test_numa.py",
    "environment/test_numa.py",
    "metrics/test_nodes.py",
)
MACHINES = (
    Machine(
        "two nodes, huge pages on each",
        memory=(512, 512),
        processors=(1, 1),
        distances=((10, 21), (21, 10)),
        huge_pages=16,
        tests=("numa/test_two_nodes.py", "numa/test_huge_pages.py", "numa/test_balancing.py", *ANYWHERE, "../examples"),
    ),
    Machine(
        "three nodes, one without memory, one without processors",
        memory=(512, 0, 256),
        processors=(1, 1, 0),
        distances=((10, 20, 17), (20, 10, 28), (17, 28, 10)),
        huge_pages=0,
        tests=("numa/test_odd_nodes.py", *ANYWHERE),
    ),
)


def end(message: str) -> None:
    """Say what is wrong, and end."""
    sys.exit(f"tests/numa/machines.py: {message}")


def install() -> None:
    """Install what is missing, where this is Debian: QEMU, busybox and numactl as root; the kernel into the cache."""
    needed = {"qemu-system-x86_64": PACKAGES[0], "busybox": PACKAGES[1], "numactl": PACKAGES[2]}
    missing = [package for program, package in needed.items() if shutil.which(program) is None]
    if not missing and have_kernel():
        return
    if shutil.which("apt-get") is None or os.uname().machine != "x86_64":
        end("the virtual machines are made of Debian's packages for x86_64: run it on such a machine")
    try:
        if missing:
            if os.geteuid() != 0:
                end(f"some programs are missing: as root, apt-get install {' '.join(missing)}")
            subprocess.run(["apt-get", "update", "-qq"], check=True)
            environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
            command = ["apt-get", "install", "-qq", "-y", "--no-install-recommends", *missing]
            subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
        fetch_kernel()
    except (OSError, subprocess.CalledProcessError) as error:
        end(f"what the virtual machines need could not be installed: {error}")


def have_kernel() -> bool:
    """Tell whether the kernel and these modules are in the cache."""
    kept = CACHE / "kept"
    return kept.exists() and kept.read_text().split() == list(MODULES)


def fetch_kernel() -> None:
    """Keep the kernel that Debian would install, with the few modules that the guest loads, in their order."""
    told = subprocess.run(["apt-cache", "depends", "linux-image-amd64"], check=True, capture_output=True, text=True)
    package = re.findall(r"Depends: (linux-image-\S+)", told.stdout)[0]
    with tempfile.TemporaryDirectory(prefix="memperf-kernel-") as name:
        folder = Path(name)
        subprocess.run(["apt-get", "download", "-qq", package], check=True, cwd=folder)
        subprocess.run(["dpkg-deb", "--extract", *folder.glob("*.deb"), folder / "tree"], check=True)
        modules = {file.name.partition(".")[0].replace("-", "_"): file for file in folder.rglob("tree/**/*.ko*")}
        shutil.rmtree(CACHE, ignore_errors=True)
        (CACHE / "modules").mkdir(parents=True)
        order: list[str] = []
        for module in MODULES:
            keep_module(module, modules, order)
        (CACHE / "modules" / "order").write_text("".join(f"{module}\n" for module in order))
        (kernel,) = folder.glob("tree/boot/vmlinuz-*")
        shutil.copy(kernel, CACHE / "vmlinuz")
        (CACHE / "kept").write_text(" ".join(MODULES))  # the last, as the sign that all is there


def keep_module(module: str, files: dict[str, Path], order: list[str]) -> None:
    """Keep a module after those that it depends on; one without a file is a part of the kernel."""
    if module in order or module not in files:
        return
    content = files[module].read_bytes()
    if files[module].suffix == ".xz":
        content = lzma.decompress(content)
    depends = re.search(rb"\0depends=([^\0]*)\0", content)
    for other in filter(None, depends[1].decode().split(",") if depends else ()):
        keep_module(other.replace("-", "_"), files, order)
    (CACHE / "modules" / module).write_bytes(content)
    order.append(module)


def archive(files: Iterator[tuple[str, int, bytes]]) -> bytes:
    """Return an initial file system: a cpio archive of the "newc" format, see cpio(5)."""
    packed = bytearray()
    for inode, (name, mode, content) in enumerate(files, 1):
        numbers = [inode, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0]
        packed += b"070701" + b"".join(b"%08x" % number for number in numbers)
        for part in (name.encode() + b"\0", content):
            packed += part
            packed += bytes(-len(packed) % 4)
    return bytes(packed)


def initial_files() -> Iterator[tuple[str, int, bytes]]:
    """Yield name, mode and content of each file that the guest begins with."""
    for folder in ("bin", "modules", "dev"):
        yield folder, 0o040755, b""
    yield "init", 0o100755, (HERE / "guest_init").read_bytes()
    yield "bin/busybox", 0o100755, Path(shutil.which("busybox") or "").read_bytes()
    for file in (CACHE / "modules").iterdir():
        yield f"modules/{file.name}", 0o100644, file.read_bytes()
    yield "TRAILER!!!", 0, b""


def qemu_options(machine: Machine) -> Iterator[str]:
    """Yield the options for the machine's processors, memory and nodes."""
    yield from ("-m", f"{sum(machine.memory)}M", "-smp", str(sum(machine.processors)))
    first = 0
    for node, (memory, processors) in enumerate(zip(machine.memory, machine.processors, strict=True)):
        words = [f"node,nodeid={node}"]
        if memory:
            yield from ("-object", f"memory-backend-ram,id=memory{node},size={memory}M")
            words.append(f"memdev=memory{node}")
        if processors:
            words.append(f"cpus={first}-{first + processors - 1}")
            first += processors
        yield from ("-numa", ",".join(words))
    for source, row in enumerate(machine.distances):
        for target, distance in enumerate(row):
            yield from ("-numa", f"dist,src={source},dst={target},val={distance}")


def script(machine: Machine, command: Sequence[str]) -> str:
    """Return what the guest runs: the huge pages, then the command, as it would run here."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "VIRTUAL_ENV") if name in os.environ}
    kept |= {"MEMPERF_NUMA": machine.name, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # other plugins take half a minute
    kept |= {"TMPDIR": "/disk", **dict(line.split("=") for line in SMALLER.read_text().split())}
    lines = [f"export {name}={shlex.quote(value)}" for name, value in kept.items()]
    for node, memory in enumerate(machine.memory):
        if memory and machine.huge_pages:
            pool = f"/sys/devices/system/node/node{node}/hugepages/hugepages-2048kB/nr_hugepages"
            lines.append(f"echo {machine.huge_pages} > {pool}")
    return "\n".join([*lines, f"cd {shlex.quote(os.getcwd())}", f"exec {shlex.join(command)}", ""])


def run(machine: Machine, command: Sequence[str]) -> int:
    """Run the command in the machine, and return its exit status."""
    with tempfile.TemporaryDirectory(prefix="memperf-numa-") as name:
        folder = Path(name)
        share = folder / "share"
        share.mkdir()
        (share / "run").write_text(script(machine, command))
        (folder / "initrd").write_bytes(archive(initial_files()))
        disk = folder / "disk"
        disk.touch()
        os.truncate(disk, DISK)
        options = [
            "qemu-system-x86_64", "-nodefaults", "-display", "none", "-no-reboot",
            "-accel", "tcg,thread=multi", "-cpu", "max", *qemu_options(machine),
            "-kernel", str(CACHE / "vmlinuz"), "-initrd", str(folder / "initrd"),
            "-append", "console=ttyS0 quiet panic=-1", "-serial", f"file:{folder / 'console'}", "-serial", "stdio",
            "-virtfs", "local,mount_tag=host,path=/,security_model=none,readonly=on,multidevs=remap",
            "-virtfs", f"local,mount_tag=share,path={share},security_model=none",
            "-drive", f"file={disk},if=virtio,format=raw,cache=unsafe",
        ]  # fmt: skip
        try:
            subprocess.run(
                options, stdin=subprocess.DEVNULL, timeout=TIMEOUT, preexec_fn=partial(die_with_parent, signal.SIGKILL)
            )
            return int((share / "status").read_text())
        except subprocess.TimeoutExpired:
            end(f"{machine.name}: no end after {TIMEOUT:g} s")
        except (OSError, ValueError):
            console = folder / "console"
            told = console.read_text(errors="replace").splitlines()[-15:] if console.exists() else ()
            end("\n".join([f"{machine.name}: the command told no status; the console's last lines are", *told]))
    return 1


def main(arguments: Sequence[str]) -> int:
    """Run the tests of every machine, and return 0 where all of them passed."""
    install()
    if "--install" in arguments:
        return 0
    if arguments[:1] == ["--"]:
        return run(MACHINES[0], arguments[1:])
    pytest = str(Path(sys.executable).with_name("pytest"))  # by -m it would import the checkout, not what is installed
    failed = 0
    for machine in MACHINES:
        began = time.monotonic()
        tests = [str(TESTS / test) for test in machine.tests]
        print(f"=== {machine.name}", flush=True)
        command = [pytest, "-p", "memperf", "-p", "no:cacheprovider", "-rs", *arguments, *tests]
        failed |= run(machine, command)
        print(f"=== {machine.name}: {time.monotonic() - began:.0f} s", flush=True)
    return failed


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # leave no machine and no folder behind
    sys.exit(main(sys.argv[1:]))
