"""The machine: processors, memory, control group, container and hypervisor."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

from pytest_memperf.environment import control_groups
from pytest_memperf.environment.files import field, text

_LIMITS = ("memory.max", "memory.high", "memory.swap.max", "cpu.max")
_LIMITS_V1 = {
    "memory": ("memory.limit_in_bytes", "memory.soft_limit_in_bytes", "memory.memsw.limit_in_bytes"),
    "cpu": ("cpu.cfs_quota_us", "cpu.cfs_period_us"),
}
_UNLIMITED_V1 = 2**62  # "no limit" is the largest multiple of the page size
# Words in the DMI strings, as systemd-detect-virt(1) tells hypervisors apart.
_HYPERVISORS = {
    "KVM": "kvm", "QEMU": "qemu", "Amazon EC2": "amazon", "Google": "google", "VMware": "vmware", "innotek": "oracle",
    "VirtualBox": "oracle", "Xen": "xen", "Bochs": "bochs", "Parallels": "parallels", "BHYVE": "bhyve",
    "Hyper-V": "microsoft", "Virtual Machine": "microsoft", "Firecracker": "firecracker", "OpenStack": "openstack",
}  # fmt: skip


def collect(root: Path) -> dict[str, Any]:
    """Return the fields of Environment that the machine makes up."""
    import psutil  # only for the record: no window needs it

    cpuinfo = root / "proc/cpuinfo"
    return {
        "machine": identity(root),
        "architecture": os.uname().machine,
        "cpu": field(cpuinfo, "model name") or field(cpuinfo, "Model"),
        "cpus": os.cpu_count(),
        "cores": psutil.cpu_count(logical=False),
        "affinity": affinity(),
        **memory(root),
        "page_size": os.sysconf("SC_PAGESIZE"),
        "cgroup": cgroup(root),
        "container": container(root),
        "vm": hypervisor(root),
    }


def identity(root: Path) -> str:
    """Return what tells this machine from others, also from those of the same image: machine-id(5) and its name."""
    known = f"pytest-memperf {text(root / 'etc/machine-id')} {os.uname().nodename}"
    return hashlib.sha256(known.encode()).hexdigest()[:12]


def memory(root: Path) -> dict[str, int | None]:
    """Return the sizes of memory and of swap."""
    meminfo = root / "proc/meminfo"
    return {"memory": _size(field(meminfo, "MemTotal")), "swap": _size(field(meminfo, "SwapTotal"))}


def _size(told: str | None) -> int | None:
    """Return the bytes of ``1024 kB``."""
    amount, _, unit = (told or "").partition(" ")
    return int(amount) * 1024 if amount.isdecimal() and unit == "kB" else None


def affinity() -> str | None:
    """Return the processors that the process may run on, as ranges."""
    try:
        allowed = sorted(os.sched_getaffinity(0))
    except OSError:
        return None
    ranges: list[list[int]] = []
    for cpu in allowed:
        if ranges and cpu == ranges[-1][1] + 1:
            ranges[-1][1] = cpu
        else:
            ranges.append([cpu, cpu])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in ranges)


def cgroup(root: Path) -> dict[str, str] | None:
    """Return the limits set for this process's control groups, the tightest on the way up; None without any groups."""
    hierarchies = control_groups.hierarchies(root)
    if hierarchies is None:
        return None
    found: dict[str, str] = {}
    for controllers, groups in hierarchies:
        if controllers is None:
            found.setdefault("version", "2")
            for name in _LIMITS:
                _tightest(found, groups, name)
            continue
        for controller in controllers & _LIMITS_V1.keys():
            found["version"] = "1"
            for name in _LIMITS_V1[controller]:
                _tightest(found, groups, name)
    if "cpu.cfs_quota_us" not in found:
        found.pop("cpu.cfs_period_us", None)  # a period without a quota limits nothing
    return found


def _tightest(found: dict[str, str], groups: list[Path], name: str) -> None:
    """Keep the smallest limit of the groups."""
    for group in groups:
        value = text(group / name)
        if value is not None and _is_limit(value) and (name not in found or _amount(value) < _amount(found[name])):
            found[name] = value


def _is_limit(value: str) -> bool:
    first = value.split(" ")[0]
    return first.isdigit() and int(first) < _UNLIMITED_V1


def _amount(value: str) -> float:
    amount, _, period = value.partition(" ")
    return int(amount) / int(period) if period.isdigit() and int(period) else int(amount)


def container(root: Path) -> str | None:
    """Return the kind of container that the process runs in, ``none`` outside one; None where nothing can be read."""
    named = text(root / "run/systemd/container")
    if named:
        return named
    if (root / ".dockerenv").exists():
        return "docker"
    if (root / "run/.containerenv").exists():
        return "podman"
    groups = text(root / "proc/1/cgroup")
    for word, name in (("kubepods", "kubernetes"), ("docker", "docker"), ("libpod", "podman"), ("/lxc", "lxc")):
        if word in (groups or ""):
            return name
    release = text(root / "proc/sys/kernel/osrelease") or ""
    if "WSL" in release or "microsoft" in release:
        return "wsl"
    return None if groups is None and not (root / "run").exists() else "none"


def hypervisor(root: Path) -> str | None:
    """Return the hypervisor under this machine, ``none`` on bare metal, ``unknown`` for one without a name."""
    dmi = root / "sys/class/dmi/id"
    words = " ".join(text(dmi / name) or "" for name in ("product_name", "sys_vendor", "board_vendor", "bios_vendor"))
    for word, name in _HYPERVISORS.items():
        if word.lower() in words.lower():
            return name
    named = text(root / "sys/hypervisor/type")
    if named:
        return named
    flags = field(root / "proc/cpuinfo", "flags")
    if flags is None:
        return None
    return "unknown" if "hypervisor" in flags.split() else "none"
