"""``memperf doctor``: what this machine can and cannot measure, each with its reason and its mend."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from typing import Any

from pytest_memperf.environment import collect
from pytest_memperf.environment.capabilities import CAPABILITIES
from pytest_memperf.metrics import BUILT_IN, Registry
from pytest_memperf.model.environment import Environment
from pytest_memperf.model.metric import Cost
from pytest_memperf.model.units import BYTES
from pytest_memperf.report.table import Cell, align, text_lines

EXIT_CODES = "Exit code: 0 when every metric that is always taken can be measured, 1 when one of them cannot."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")
    parser.epilog = EXIT_CODES


def run(options: argparse.Namespace) -> int:
    """Print the findings; return 1 where a metric that is always taken is missing, else 0."""
    registry = Registry(BUILT_IN)
    reasons = _reasons()
    findings = {
        "metrics": [
            {
                "name": metric.name,
                "unit": metric.unit.name,
                "trust": metric.trust.value,
                "taken": metric.cost.value,
                "source": metric.source,
                "unavailable": reasons.get(metric.name),
            }
            for metric in registry
        ],
        "capabilities": [
            {"name": row.name, "serves": row.serves, "unavailable": _tried(row.missing)} for row in CAPABILITIES
        ],
        "environment": collect(_installed_plugins()).as_json(),
    }
    if options.json:
        print(json.dumps(findings, indent=2))
    else:
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        for line in report(findings, width):
            print(line)
    core = {metric.name for metric in registry if metric.cost is Cost.ALWAYS}
    return 1 if core & reasons.keys() else 0


def _reasons() -> dict[str, str]:
    """Return why metrics cannot be had; a probe that breaks spoils its own metrics only."""
    reasons: dict[str, str] = {}
    for probe in BUILT_IN:
        try:
            reasons.update(probe.unavailable())
        except Exception as error:
            reasons.update(dict.fromkeys((metric.name for metric in probe.metrics), _broken(error)))
    return reasons


def _tried(missing: Any) -> str | None:
    try:
        answer: str | None = missing()
        return answer
    except Exception as error:
        return _broken(error)


def _broken(error: Exception) -> str:
    return f"trying it failed ({type(error).__name__}: {error}): please report this"


def _installed_plugins() -> dict[str, str]:
    """Return the pytest plugins that a session would find here, with their versions."""
    found = {
        point.dist.metadata["Name"]: point.dist.version
        for point in metadata.entry_points(group="pytest11")
        if point.dist is not None
    }
    return dict(sorted(found.items()))


def report(findings: Mapping[str, Any], width: int | None) -> Iterator[str]:
    """Yield the findings as lines: metrics, what the kernel allows, the environment, the upshot; reasons once each.

    Args:
        width: fold reasons to this many characters; None for one line each.
    """
    yield "Metrics"
    rows = [("metric", "unit", "trust", "taken", "from", "available")]
    rows += [
        (*(row[key] for key in ("name", "unit", "trust", "taken", "source")), _mark(row)) for row in findings["metrics"]
    ]
    yield from _table(rows)
    yield from _why(findings["metrics"], width)
    yield ""
    yield "What the kernel allows"
    yield from _table(
        [
            ("capability", "for", "available"),
            *((row["name"], row["serves"], _mark(row)) for row in findings["capabilities"]),
        ]
    )
    yield from _why(findings["capabilities"], width)
    yield ""
    yield "Environment"
    names = Environment.__dataclass_fields__
    yield from _table([(name, _shown(name, findings["environment"][name])) for name in names])
    yield ""
    yield _summary(findings["metrics"])


def _summary(metrics: Sequence[Mapping[str, Any]]) -> str:
    lost = [row["name"] for row in metrics if row["unavailable"]]
    if not lost:
        return f"All {len(metrics)} metrics can be measured here."
    return f"{len(metrics) - len(lost)} of {len(metrics)} can be measured here, not {', '.join(lost)}: see above."


def _table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    cells = [[Cell(text) for text in row] for row in rows]
    return [f"  {line}".rstrip() for line in text_lines(align(cells, left=range(len(rows[0]))))]


def _mark(row: Mapping[str, Any]) -> str:
    return "no" if row["unavailable"] else "yes"


def _why(rows: list[dict[str, Any]], width: int | None) -> Iterator[str]:
    """Yield each reason once, with all that it holds for."""
    names: dict[str, list[str]] = {}
    for row in rows:
        if row["unavailable"]:
            names.setdefault(row["unavailable"], []).append(row["name"])
    for reason, affected in names.items():
        line = f"  no {', '.join(affected)}: {reason}"
        yield from [line] if width is None else textwrap.wrap(line, max(width, 20), subsequent_indent="     ")


def _shown(name: str, value: Any) -> str:
    if value is None:
        return "unknown"
    if name in ("memory", "swap", "page_size"):
        return BYTES.format(value)
    if isinstance(value, dict):
        return ", ".join(f"{name} {setting}" for name, setting in value.items()) or "none"
    if isinstance(value, bool):
        return "on" if value else "off"
    return str(value)
