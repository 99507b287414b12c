"""Every option: the flag, its ini twin, and one line for a wrong value."""

from __future__ import annotations

import pytest

from pytest_memperf.options import OPTIONS, Option, resolve

SAMPLES = {"isolation": "process", "timeout": "7.5", "sort": "name", "columns": "minor_faults,peak_rss", "save": "main"}


def sample(option: Option) -> str:
    """Return a value, as it is written, that the option takes and that is not its default."""
    return SAMPLES.get(option.name, "7")


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
class TestEveryOption:
    """No option and no ini key without effect."""

    def test_flag(self, pytester: pytest.Pytester, option: Option) -> None:
        """The flag is read."""
        switch = option.parse is None
        config = pytester.parseconfig(option.flag if switch else f"{option.flag}={sample(option)}")

        assert resolve(config, option.name) == (True if option.parse is None else option.parse(sample(option)))

    def test_ini(self, pytester: pytest.Pytester, option: Option) -> None:
        """The ini key is read where there is no flag."""
        pytester.makeini(f"[pytest]\n{option.ini} = {'true' if option.parse is None else sample(option)}\n")
        config = pytester.parseconfig()

        assert resolve(config, option.name) == (True if option.parse is None else option.parse(sample(option)))

    def test_default(self, pytester: pytest.Pytester, option: Option) -> None:
        """Without either, the default holds."""
        config = pytester.parseconfig()

        assert resolve(config, option.name) == (False if option.parse is None else option.default)

    def test_help(self, pytester: pytest.Pytester, option: Option) -> None:
        """The option stands in the help."""
        result = pytester.runpytest("--help")

        result.stdout.fnmatch_lines([f"*{option.flag}*"])


def test_flag_wins_over_ini(pytester: pytest.Pytester) -> None:
    """The command line is closer than the file."""
    pytester.makeini("[pytest]\nmemperf_timeout = 1\n")
    config = pytester.parseconfig("--memperf-timeout=2")

    assert resolve(config, "timeout") == 2.0


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("cow-limit", "4096", 4096),
        ("cow-limit", "64 MiB", 64 << 20),
        ("timeout", "30", 30.0),
        ("timeout", "2 min", 120),
    ],
)
def test_a_number_is_one_although_options_are_text(
    pytester: pytest.Pytester, name: str, text: str, value: float
) -> None:
    """A plain number is bytes or seconds, as it is in a marker; text has its unit."""
    assert resolve(pytester.parseconfig(f"--memperf-{name}={text}"), name) == value


@pytest.mark.parametrize(
    ("argument", "line"),
    [
        ("--memperf-isolation=fork", "--memperf-isolation=fork: choose from 'inline', 'process'"),
        ("--memperf-timeout=0", "--memperf-timeout=0: give a time above 0, such as 30 (seconds) or"),
        ("--memperf-timeout=soon", "--memperf-timeout=soon: give a time above 0, such as 30 (seconds) or"),
        ("--memperf-cow-limit=-1", "--memperf-cow-limit=-1: give a size from 0 up"),
        ("--memperf-layouts=1.5", "--memperf-layouts=1.5: give a whole number from 1 up"),
        ("--memperf-json=", "--memperf-json= is empty: give FILE, or leave the option out"),
        ("--memperf-timeout=", "--memperf-timeout= is empty: give SECONDS, or leave the option out"),
        ("--memperf-cow-limit=64 parrots", "--memperf-cow-limit=64 parrots: '64 parrots' is not a size: write"),
    ],
)
def test_wrong_value(pytester: pytest.Pytester, argument: str, line: str) -> None:
    """A wrong value ends the session with one line that names the mend, before anything runs."""
    pytester.makepyfile("def test_it(): ...")
    result = pytester.runpytest(argument)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {line}*"])
    result.stderr.no_fnmatch_line("*Traceback*")


def test_wrong_ini_value_names_the_key(pytester: pytest.Pytester) -> None:
    """A wrong ini value is reported under its key."""
    pytester.makeini("[pytest]\nmemperf_timeout = -3\n")
    result = pytester.runpytest()

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: memperf_timeout=-3: give a time above 0, such as 30 (seconds) or '2 min'"])


def test_an_empty_ini_key_is_none(pytester: pytest.Pytester) -> None:
    """``-o memperf_json=`` lifts the key of the file."""
    pytester.makeini("[pytest]\nmemperf_json =\nmemperf_timeout =\n")
    config = pytester.parseconfig()

    assert resolve(config, "json") is None
    assert resolve(config, "timeout") == 300.0
