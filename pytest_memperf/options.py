"""The options: one row each, which becomes a flag, its ini twin and a line of the help."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from pytest_memperf.model.errors import UsageMistake
from pytest_memperf.model.values import ISOLATIONS, choice, duration, number_or_text, whole

if TYPE_CHECKING:
    from pytest_memperf.model.limits import Limits


@dataclass(frozen=True, slots=True)
class Option:
    """``--memperf-NAME`` and ``memperf_NAME``; the flag wins, then the ini value, then the default."""

    name: str
    help: str
    default: Any = None
    parse: Callable[[Any], Any] | None = None
    """How a value is read; None makes the option a switch."""
    metavar: str | None = None
    bare: str | None = None
    """What the flag means without a value; None where it needs one."""
    repeatable: bool = False
    """Whether it may be given several times; its value is a list, then."""
    reaches_templates: bool = False
    """Whether it bears on how a test runs in a child; the others are the driver's business alone."""

    @property
    def flag(self) -> str:
        """The flag on the command line."""
        return f"--memperf-{self.name}"

    @property
    def ini(self) -> str:
        """The key in the ini file."""
        return f"memperf_{self.name.replace('-', '_')}"


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _size(text: str) -> int:
    from pytest_memperf.model.units import parse_size  # which most sessions can do without

    size = parse_size(number_or_text(text))
    if size < 0:
        raise UsageMistake("give a size from 0 up")
    return size


def _plugin_names(text: str) -> tuple[str, ...]:
    return tuple(name for name in text.replace(",", " ").split() if name != "none")


def _run_name(text: str) -> str:
    from pytest_memperf.model.run import parse_name

    return parse_name(text)


def _limits(words: Sequence[str]) -> Limits:
    from pytest_memperf.model.limits import Limits

    return Limits.parse(words)


OPTIONS: tuple[Option, ...] = (
    Option("all", "measure every test, marked or not", reaches_templates=True),
    Option("only", "run only the tests that are measured"),
    Option("skip", "leave out the tests that are measured"),
    Option("disable", "judge no budget and report nothing"),
    Option("strict", "fail a budget that could not be checked, and a test whose fixture this machine cannot serve"),
    Option("json", "write the results to this file", parse=str, metavar="FILE"),
    Option(
        "save",
        "keep this run, under a name if one is given, for comparisons; not where a test failed",
        parse=_run_name,
        metavar="NAME",
        bare="",
    ),
    Option("autosave", "keep every run in which no test failed"),
    Option(
        "storage",
        "where runs are kept: a folder (.memperf beside the ini file), sqlite:///FILE or postgresql://HOST/DATABASE",
        parse=str,
        metavar="URI",
    ),
    Option(
        "compare",
        "compare with a kept run: its number, name, commit, branch or pattern, or a file; the latest by default",
        parse=str,
        metavar="RUN",
        bare="latest",
    ),
    Option(
        "compare-fail",
        "what is a regression, METRIC:LIMIT such as peak_rss:5% or minor_faults:0; "
        "by default all that is worse beyond doubt; 'none' fails nothing",
        parse=_limits,
        metavar="LIMIT",
        repeatable=True,
    ),
    Option("columns", "the metrics in the table of results, separated by commas", parse=_words, metavar="NAMES"),
    Option("sort", "sort the table of results by 'name' or by a metric, largest first", parse=str, metavar="NAME"),
    Option(
        "isolation",
        "where a measured test runs: inline, or process for a fork of a clean interpreter",
        default="inline",
        parse=lambda text: choice(text, ISOLATIONS),
        metavar="MODE",
    ),
    Option(
        "allocator",
        "run each measured test in a process that this library serves malloc for: glibc, jemalloc, tcmalloc, mimalloc",
        parse=str,
        metavar="NAME",
    ),
    Option(
        "timeout",
        "seconds that a test may take in a child",
        default=300.0,
        parse=lambda text: duration(number_or_text(text)),
        metavar="SECONDS",
    ),
    Option(
        "layouts",
        "run each test of process isolation in this many memory layouts; their spread becomes the uncertainty",
        default=1,
        parse=lambda text: whole(number_or_text(text), 1),
        metavar="NUMBER",
    ),
    Option(
        "cow-limit",
        "bytes of a template that a child may copy before it measures (256 MiB); what is beyond stays shared",
        default=256 * 2**20,
        parse=_size,
        metavar="SIZE",
    ),
    Option(
        "template-plugins",
        "the installed plugins that templates load, by name, or 'none'; "
        "by default those that take part in running the tests",
        parse=_plugin_names,
        metavar="NAMES",
    ),
)
_BY_NAME = {option.name: option for option in OPTIONS}


def add_options(parser: pytest.Parser) -> None:
    """Add every option and its ini twin."""
    group = parser.getgroup("memperf", "memory performance (pytest-memperf)")
    for option in OPTIONS:
        text = option.help.replace("%", "%%")  # argparse takes it for a format; the help of ini keys is none
        if option.parse is None:
            group.addoption(option.flag, action="store_true", default=None, help=text)
            parser.addini(option.ini, option.help, type="bool", default=False)
        elif option.repeatable:
            group.addoption(option.flag, action="append", default=None, metavar=option.metavar, help=text)
            parser.addini(option.ini, option.help, type="linelist", default=[])
        elif option.bare is not None:
            group.addoption(option.flag, nargs="?", const=True, default=None, metavar=option.metavar, help=text)
            parser.addini(option.ini, option.help, default=None)
        else:
            group.addoption(option.flag, default=None, metavar=option.metavar, help=text)
            parser.addini(option.ini, option.help, default=None)
    parser.addini(
        "memperf_defaults", "budgets and settings of every measured test, such as max_peak_rss = 100 MiB", "linelist"
    )


def resolve(config: pytest.Config, name: str) -> Any:
    """Return the option's value: the flag, else the ini key, else the default. UsageMistake for a wrong value."""
    option = _BY_NAME[name]
    value = config.getoption(option.flag)
    if value is True and option.bare is not None:
        return option.bare
    if "" in (value if isinstance(value, list) else [value]):
        # Most often a variable of a script that is not set; an empty ini key is a usual way to unset one.
        raise UsageMistake(f"{option.flag}= is empty: give {option.metavar}, or leave the option out")
    if value is None:
        value = config.getini(option.ini)
    if option.parse is None:
        return bool(value)
    if value in (None, "", []):
        return option.default
    try:
        return option.parse(value)
    except UsageMistake as mistake:
        given = ", ".join(value) if isinstance(value, list) else value
        raise UsageMistake(f"{spelling(config, name)}={given}: {mistake}") from None


def spelling(config: pytest.Config, name: str) -> str:
    """Return the option as the user gave it, the flag or the ini key."""
    option = _BY_NAME[name]
    return option.ini if config.getoption(option.flag) is None else option.flag


def is_compared(config: pytest.Config) -> bool:
    """Tell whether the session's results are kept for comparisons, or compared themselves."""
    return resolve(config, "save") is not None or resolve(config, "autosave") or resolve(config, "compare") is not None


def check_options(config: pytest.Config) -> None:
    """Read every option once, so that a wrong value ends the session before anything runs. UsageMistake names it."""
    for option in OPTIONS:
        resolve(config, option.name)
    if resolve(config, "only") and resolve(config, "skip"):
        raise UsageMistake("--memperf-only and --memperf-skip leave no test: choose one")
    if config.getoption("--memperf-compare-fail") is not None and resolve(config, "compare") is None:
        raise UsageMistake("--memperf-compare-fail needs a run to compare with: add --memperf-compare")
