"""memperf doctor: every metric and capability, with a reason for each that is missing."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import pytest

from pytest_memperf.cli import doctor, main
from pytest_memperf.environment.capabilities import CAPABILITIES, Capability
from pytest_memperf.metrics import BUILT_IN, Observation, Probe, Registry
from pytest_memperf.model.environment import Environment
from pytest_memperf.model.metric import Better, Cost, Metric, Reading, Trust
from pytest_memperf.model.units import COUNT


def probe(reason: str | Exception | None, cost: Cost) -> type[Probe]:
    """Return a probe of one metric that is missing for this reason, or breaks."""

    class Made(Probe):
        metrics = (Metric("made", COUNT, Better.LOWER, Trust.EXACT, cost, help="", source="a test"),)

        @classmethod
        def unavailable(cls) -> Mapping[str, str]:
            if isinstance(reason, Exception):
                raise reason
            return {} if reason is None else {"made": reason}

        def read(self, observation: Observation) -> Mapping[str, Reading | str]:
            return {}

    return Made


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, list[str]]:
    """Return the exit code and the lines of a run."""
    code = main(["doctor", *arguments])
    return code, capsys.readouterr().out.splitlines()


class TestText:
    """What a user reads."""

    def test_has_a_row_for_each_metric_capability_and_fact(self, capsys: pytest.CaptureFixture[str]) -> None:
        """Nothing that is registered is left out, and nothing is invented."""
        _, lines = run(capsys)
        titles = [lines.index(title) for title in ("Metrics", "What the kernel allows", "Environment")]
        metrics, allows, environment = (
            [line for line in lines[start + 1 : end] if line and not line.startswith("  no ")]
            for start, end in zip(titles, [*titles[1:], -2], strict=True)
        )
        assert [line.split()[0] for line in metrics] == ["metric", *(metric.name for metric in Registry(BUILT_IN))]
        assert [re.split("  +", line)[1] for line in allows] == ["capability", *(row.name for row in CAPABILITIES)]
        assert [line.split()[0] for line in environment] == list(Environment.__dataclass_fields__)

    @pytest.mark.parametrize(("reason", "mark"), [("no such thing: buy one", "no"), (None, "yes")])
    @pytest.mark.parametrize("cost", list(Cost))
    def test_exit_code_is_of_the_metrics_always_taken(
        self,
        reason: str | None,
        mark: str,
        cost: Cost,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        """A metric on request may be missing; one of the others is a failed check."""
        monkeypatch.setattr(doctor, "BUILT_IN", (probe(reason, cost),))
        code, lines = run(capsys)
        assert code == (1 if reason and cost is Cost.ALWAYS else 0)
        assert re.split("  +", lines[2].strip()) == ["made", "count", "exact", cost.value, "a test", mark]
        assert (f"  no made: {reason}" in lines) is (reason is not None)

    @pytest.mark.parametrize(
        ("reasons", "upshot"),
        [
            ((None, None), "All 2 metrics can be measured here."),
            ((None, "no such thing: buy one"), "1 of 2 can be measured here, not m1: see above."),
        ],
    )
    def test_the_last_line_is_the_upshot(self, reasons: tuple[str | None, ...], upshot: str) -> None:
        """It is what a reader sees first on a terminal."""
        row = {"unit": "B", "trust": "exact", "taken": "always", "source": ""}
        findings = {
            "metrics": [{"name": f"m{number}", **row, "unavailable": reason} for number, reason in enumerate(reasons)],
            "capabilities": [],
            "environment": Environment().as_json(),
        }
        assert list(doctor.report(findings, None))[-1] == upshot

    def test_a_broken_probe_is_a_reason(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Whatever goes wrong in a poor place, the rest is still told."""
        monkeypatch.setattr(doctor, "BUILT_IN", (probe(ZeroDivisionError("oh"), Cost.ALWAYS),))
        monkeypatch.setattr(doctor, "CAPABILITIES", (Capability("luck", "all", lambda: str(1 // 0)),))
        code, lines = run(capsys)
        assert code == 1
        assert "  no made: trying it failed (ZeroDivisionError: oh): please report this" in lines
        assert any(line.startswith("  no luck: trying it failed (ZeroDivisionError: ") for line in lines)

    def test_a_reason_is_given_once_and_folded_to_the_terminal(self) -> None:
        """Metrics that lack the same thing share the line."""
        row = {"unit": "B", "trust": "exact", "taken": "always", "source": "", "unavailable": "no /proc here: mount it"}
        findings: dict[str, Any] = {
            "metrics": [{"name": "a", **row}, {"name": "b", **row}],
            "capabilities": [],
            "environment": Environment().as_json(),
        }
        assert "  no a, b: no /proc here: mount it" in list(doctor.report(findings, None))
        folded = list(doctor.report(findings, 22))
        assert folded[4:7] == ["  no a, b: no /proc", "     here: mount it", ""]

    def test_json_has_the_same(self, capsys: pytest.CaptureFixture[str]) -> None:
        """--json is for programs."""
        _, lines = run(capsys, "--json")
        findings = json.loads("\n".join(lines))
        assert [row["name"] for row in findings["metrics"]] == [metric.name for metric in Registry(BUILT_IN)]
        assert [row["name"] for row in findings["capabilities"]] == [row.name for row in CAPABILITIES]
        assert Environment.from_json(findings["environment"]).as_json() == findings["environment"]


PROGRAM = "import sys; from pytest_memperf.cli import main; code = main(['doctor', '--json']); sys.stdout.flush(); "


def findings_of(command: list[str]) -> dict[str, Any]:
    """Return what the doctor finds in another place; it must have ended well."""
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.stderr == ""
    assert answer.returncode in (0, 1)
    found: dict[str, Any] = json.loads(answer.stdout)
    return found


def missing(findings: dict[str, Any]) -> dict[str, str]:
    """Return the capabilities that are missing, each with its reason."""
    return {row["name"]: row["unavailable"] for row in findings["capabilities"] if row["unavailable"]}


class TestPoorPlaces:
    """Where little is allowed, nothing breaks, and what is lost has a reason of this very place."""

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
    def test_as_an_ordinary_user(self) -> None:
        """What needs no privilege is there."""
        # Run once before, so that the other user needs no right to read the interpreter's own files.
        code = f"""
import contextlib, ctypes, io, os
from pytest_memperf.cli import main
with contextlib.redirect_stdout(io.StringIO()):
    main(["doctor", "--json"])
os.setgroups([]); os.setgid(65534); os.setuid(65534)
ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)  # PR_SET_DUMPABLE: /proc/self belongs to the new user, as after a login
{PROGRAM}sys.exit(code)
"""
        found = findings_of([sys.executable, "-c", code])
        lost = missing(found)
        assert not {"high-water mark", "page map"} & lost.keys()
        assert all(": " in reason for reason in lost.values())

    def namespace(self, mounts: str) -> dict[str, Any]:
        """Run in a mount namespace of its own, after these mounts."""
        if shutil.which("unshare") is None or subprocess.run(["unshare", "-rm", "true"], check=False).returncode:
            pytest.skip("no mount namespaces for this user")
        script = f'{mounts} && exec {sys.executable} -c "{PROGRAM}sys.exit(code)"'
        return findings_of(["unshare", "-rm", "sh", "-c", script])

    def test_without_proc(self) -> None:
        """The files of /proc are named, and the facts from it are unknown."""
        found = self.namespace("mount -t tmpfs none /proc")
        lost = missing(found)
        assert lost["high-water mark"].startswith(
            "/proc/self/clear_refs cannot be written (No such file or directory): "
        )
        assert lost["page map"].startswith("/proc/self/pagemap cannot be read (No such file or directory): ")
        assert [found["environment"][name] for name in ("cpu", "memory", "swap", "cgroup", "aslr")] == [None] * 5
        assert found["environment"]["page_size"] == os.sysconf("SC_PAGESIZE")

    def test_without_sys(self) -> None:
        """The same for /sys."""
        found = self.namespace("mount -t tmpfs none /sys")
        lost = missing(found)
        assert lost["transparent huge pages"].startswith("the kernel has no transparent huge pages: ")
        assert lost["reserved huge pages"].startswith("the kernel has no huge pages: ")
        assert lost["tracepoints"].startswith("tracefs is not mounted: ")
        assert [found["environment"][name] for name in ("thp", "thp_sizes", "huge_pages", "numa_nodes")] == [None] * 4

    def test_with_temporary_files_in_memory(self) -> None:
        """A tmpfs cannot be cold."""
        found = self.namespace("mount -t tmpfs none /var/tmp && export TMPDIR=/var/tmp")
        assert missing(found)["dropping cached files"] == (
            "files in /var/tmp stay in memory: set TMPDIR to a folder on a disk"
        )
