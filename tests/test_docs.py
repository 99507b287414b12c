"""The documentation names everything there is, and its examples do what it says."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from pytest_memperf.measure.settings import _KEYWORDS
from pytest_memperf.metrics import BUILT_IN
from pytest_memperf.model.metric import Metric
from pytest_memperf.options import OPTIONS, Option

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "pytest_memperf"
METRICS = [metric for probe in BUILT_IN for metric in probe.metrics]


def page(name: str) -> str:
    """Return the text of a page."""
    return ROOT.joinpath(name).read_text(encoding="utf-8")


def option_row(option: Option) -> str:
    """Return the row of docs/usage.md that an option has."""
    value = f"={option.metavar}" if option.metavar else ""
    default = f" (without it: {option.default:g})" if isinstance(option.default, float) else ""
    return f"| `{option.flag}{value}` | {option.help}{default} |"


def metric_row(metric: Metric) -> str:
    """Return the row of docs/metrics.md that a metric has."""
    cells = (metric.unit.name, metric.trust.value, metric.cost.value, metric.help, metric.source)
    return f"| `{metric.name}` | {' | '.join(cells)} |"


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
def test_each_option_has_its_row(option: Option) -> None:
    """docs/usage.md lists each option with the words of its help."""
    row = option_row(option)
    assert row in page("docs/usage.md").splitlines(), f"add to docs/usage.md:\n{row}"


def test_each_page_is_in_the_index() -> None:
    """docs/index.md leads to every page."""
    missing = [path.name for path in ROOT.glob("docs/*.md") if f"]({path.name})" not in page("docs/index.md")]
    assert missing == ["index.md"]


@pytest.mark.parametrize("keyword", _KEYWORDS)
def test_each_argument_of_the_marker_has_its_row(keyword: str) -> None:
    """docs/usage.md lists each argument that is no budget."""
    assert re.search(rf"^\| `{keyword}=", page("docs/usage.md"), re.MULTILINE)


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_each_metric_has_its_row(metric: Metric) -> None:
    """docs/metrics.md lists each metric with its unit, its trust, its cost and its source."""
    row = metric_row(metric)
    assert row in page("docs/metrics.md").splitlines(), f"add to docs/metrics.md:\n{row}"


def layers() -> dict[str, int]:
    """Return the place of each module and package in CONTRIBUTING's order of imports, the topmost first."""
    order = page("CONTRIBUTING.md").partition("Imports go one way:")[2].partition(";")[0]
    return {name: place for place, layer in enumerate(order.split("->")) for name in re.findall(r"`(\w+)`", layer)}


def imports(file: Path) -> set[str]:
    """Return the modules and packages below pytest_memperf that a file imports anywhere."""
    nodes = [node for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))) if isinstance(node, ast.ImportFrom)]
    names = [f"{node.module}.{alias.name}".split(".") for node in nodes for alias in node.names]
    return {name[1] for name in names if name[0] == "pytest_memperf"}


def test_each_layer_has_its_place() -> None:
    """CONTRIBUTING's order of imports names every module and package, and no other."""
    entries = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or path.joinpath("__init__.py").exists()}
    assert entries - {"__init__"} == set(layers())


@pytest.mark.parametrize("name", sorted(layers()))
def test_imports_go_one_way(name: str) -> None:
    """Each module imports from its own package and from the layers below it."""
    place = layers()
    files = [PACKAGE / f"{name}.py", *PACKAGE.joinpath(name).rglob("*.py")]
    wrong = [
        f"{file.name} imports {other}"
        for file in files
        if file.exists()
        for other in imports(file) & place.keys() - {name}
        if place[other] <= place[name]
    ]
    assert not wrong


PAGES = ["README.md", "CONTRIBUTING.md", *(str(path.relative_to(ROOT)) for path in ROOT.glob("docs/*.md"))]


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_somewhere(name: str) -> None:
    """Each relative link of a page names a file of the checkout."""
    targets = re.findall(r"\]\((?!https?:|#)([^)#]+)", page(name))
    missing = [target for target in targets if not ROOT.joinpath(name).parent.joinpath(target).exists()]
    assert not missing


def test_the_first_example_fails_as_shown(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test in the README, run as it stands, ends in the summary line that the README shows, on 80 columns."""
    readme = page("README.md")
    (example,) = re.findall(r"^```python\n(.*?)^```", readme, re.MULTILINE | re.DOTALL)
    (shown,) = re.findall(r"^MEMORY .*$", readme, re.MULTILINE)
    pytester.makepyfile(test_io=example)
    monkeypatch.setenv("COLUMNS", "80")
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(failed=1)
    without_numbers = re.sub(r"\\?\d+", r"\\d+", re.escape(shown))
    result.stdout.re_match_lines([without_numbers])
