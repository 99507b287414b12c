"""The block of results at the end of a session, as a user sees it."""

from __future__ import annotations

import pytest

BUDGETS = """
    import pytest
    from tokens import spend

    @pytest.mark.memperf(max_tokens=10)
    def test_over():
        spend(2048)

    @pytest.mark.memperf(max_tokens=100_000)
    def test_within():
        spend(512)

    @pytest.mark.memperf
    def test_plain():
        spend(1024)
"""


def block(lines: list[str]) -> list[str]:
    """Return the lines between the block's title and the next title, but what a busy machine adds."""
    titles = [number for number, line in enumerate(lines) if "====" in line]
    start = next(number for number in titles if " memperf " in lines[number])
    end = next(number for number in titles if number > start)
    return [line for line in lines[start + 1 : end] if not line.startswith("note: interference")]


@pytest.fixture
def budgets(tokens: pytest.Pytester) -> pytest.Pytester:
    """A test file with a budget that fails, one that holds, and a test without any."""
    tokens.makepyfile(test_it=BUDGETS)
    return tokens


def columns(lines: list[str]) -> list[list[str]]:
    """Return the words of each line."""
    return [line.split() for line in lines]


class TestTable:
    """The table without options."""

    def test_shows_failed_ones_first_in_aligned_columns(self, budgets: pytest.Pytester) -> None:
        """Failed, budgeted, the rest; one unit for a column, under its name."""
        lines = block(budgets.runpytest("--memperf-columns=tokens").outlines)
        assert lines == [
            "test                      budgets  tokens",
            "test_it.py::test_over    1 failed   2,048",
            "test_it.py::test_within  1 passed     512",
            "test_it.py::test_plain          -   1,024",
        ]

    def test_default_columns_are_the_headlines_and_what_has_a_budget(self, pytester: pytest.Pytester) -> None:
        """A metric that nobody asked about has no column; one with a budget has."""
        pytester.makepyfile("import pytest\n@pytest.mark.memperf(max_cpu_time='9 s')\ndef test_it(): pass")
        lines = columns(block(pytester.runpytest().outlines))
        head, row = lines[0], lines[-1]
        assert head == ["test", "budgets", "minor_faults", "peak_rss", "retained_rss", "wall_time", "cpu_time"]
        assert row[1:3] == ["1", "passed"]

    @pytest.mark.parametrize("options", [[], ["-n1", "-pxdist"], ["--memperf-isolation=process"]])
    def test_metrics_that_a_test_asks_for_have_one(self, pytester: pytest.Pytester, options: list[str]) -> None:
        """Those that come from the same source, and that nobody asked for, have none."""
        pytester.makepyfile("import pytest\n@pytest.mark.memperf(metrics=['uss'])\ndef test_it(): pass")
        lines = columns(block(pytester.runpytest_subprocess(*options).outlines))
        assert lines[0][-5:] == ["minor_faults", "peak_rss", "retained_rss", "wall_time", "uss"]
        assert float(lines[-1][-1])

    def test_windows_have_a_column_where_there_are_several(self, tokens: pytest.Pytester) -> None:
        """A named window is a row of its own."""
        tokens.makepyfile(
            test_it="""
            from tokens import spend

            def test_parts(memperf):
                with memperf.window("parse"):
                    spend(512)
                spend(256)
            """
        )
        assert block(tokens.runpytest("--memperf-columns=tokens").outlines) == [
            "test                    window  tokens",
            "test_it.py::test_parts  call       768",
            "test_it.py::test_parts  parse      512",
        ]

    def test_odd_names_leave_it_whole(self, tokens: pytest.Pytester) -> None:
        """Line breaks and escape sequences are written out; wide characters count for the two columns they take."""
        tokens.makepyfile(
            test_it="""
            def test_parts(memperf):
                for name in ("a\\nb\\x1b[31m", "日本語", "long"):
                    with memperf.window(name): pass
            """
        )
        assert block(tokens.runpytest("--memperf-columns=tokens").outlines) == [
            "test                    window        tokens",
            "test_it.py::test_parts  a\\nb\\x1b[31m       0",
            "test_it.py::test_parts  call               0",
            "test_it.py::test_parts  long               0",
            "test_it.py::test_parts  日本語             0",
        ]

    def test_uncertainty_stands_beside_a_bounded_value(self, budgets: pytest.Pytester) -> None:
        """A value that is not what it seems shows how far."""
        lines = block(budgets.runpytest("--memperf-columns=coins,tokens").outlines)
        assert lines[:2] == [
            "test                      budgets  coins  tokens",
            "test_it.py::test_over    1 failed   5 ±2   2,048",
        ]

    def test_recorded_figures_are_columns(self, pytester: pytest.Pytester) -> None:
        """A user's own figure is shown like the others, and can be named."""
        pytester.makepyfile(
            test_it="""
            import pytest
            @pytest.mark.parametrize("rows", [1000, 5])
            def test_load(memperf, rows):
                memperf.record("rows", rows, unit="rows")
            """
        )
        head, units, *_ = columns(block(pytester.runpytest().outlines))
        assert head[-1] == "rows"
        assert units[-1] == "rows"
        lines = block(pytester.runpytest("--memperf-columns=record:rows", "--memperf-sort=record:rows").outlines)
        assert lines == [
            "test                          rows",
            "                              rows",
            "test_it.py::test_load[1000]  1,000",
            "test_it.py::test_load[5]         5",
        ]


def test_a_figure_that_nobody_recorded_is_named(pytester: pytest.Pytester) -> None:
    """A column of a name that no test used is most often a typing error, and one line says so."""
    pytester.makepyfile(test_it="def test_load(memperf): memperf.record('rows', 5)")
    options = ("--memperf-columns=record:rows,record:rosw", "--memperf-sort=record:nothing")
    assert block(pytester.runpytest(*options).outlines) == [
        "test                   rows",
        "test_it.py::test_load     5",
        "record:rosw: no test shown here recorded this",
        "record:nothing: no test shown here recorded this",
    ]


class TestOrder:
    """--memperf-sort and its ini twin."""

    @pytest.mark.parametrize(
        ("sort", "order"),
        [
            ("name", ["over", "plain", "within"]),
            ("tokens", ["over", "plain", "within"]),
            ("record:nothing", ["over", "plain", "within"]),
        ],
    )
    def test_sorts_by_name_or_largest_first(self, budgets: pytest.Pytester, sort: str, order: list[str]) -> None:
        """A metric sorts the largest first; those without it follow by name."""
        lines = block(budgets.runpytest(f"--memperf-sort={sort}").outlines)
        assert [line.split()[0] for line in lines if "::" in line] == [f"test_it.py::test_{name}" for name in order]

    @pytest.mark.parametrize("options", [[], ["--memperf-sort=name"], ["-n2", "-pxdist"]])
    def test_numbers_in_names_are_numbers(self, tokens: pytest.Pytester, options: list[str]) -> None:
        """[2] comes before [10]."""
        tokens.makepyfile(
            test_it="""
            import pytest
            @pytest.mark.memperf
            @pytest.mark.parametrize("n", range(12))
            def test_many(n): pass
            """
        )
        rows = block(tokens.runpytest_subprocess("--memperf-columns=tokens", *options).outlines)[1:]
        assert [row.split()[0] for row in rows] == [f"test_it.py::test_many[{n}]" for n in range(12)]

    def test_ini_twins_hold(self, budgets: pytest.Pytester) -> None:
        """memperf_sort and memperf_columns in the ini file do the same."""
        budgets.makeini("[pytest]\nmemperf_sort = tokens\nmemperf_columns = tokens, coins\n")
        lines = columns(block(budgets.runpytest().outlines))
        assert lines[0] == ["test", "budgets", "tokens", "coins"]
        assert [line[0] for line in lines[1:]] == [f"test_it.py::test_{name}" for name in ("over", "plain", "within")]

    def test_the_sorted_metric_is_measured_and_shown(self, budgets: pytest.Pytester) -> None:
        """Sorting by a metric that is no headline gives it a column."""
        head, *_ = columns(block(budgets.runpytest("--memperf-sort=cpu_time").outlines))
        assert head[-1] == "cpu_time"


@pytest.mark.parametrize("isolation", ["inline", "process"])
@pytest.mark.parametrize(
    "options", [["--memperf-columns=costly"], ["--memperf-columns=minor_faults", "--memperf-sort=costly"], []]
)
def test_a_costly_metric_is_taken_where_it_is_shown(
    pytester: pytest.Pytester, isolation: str, options: list[str]
) -> None:
    """Naming it in an option asks for it, also in the windows of a child; nobody else pays for it."""
    pytester.makeconftest(
        """
        from pytest_memperf.metrics import Probe
        from pytest_memperf.model.metric import Better, Cost, Metric, Reading, Trust
        from pytest_memperf.model.units import COUNT

        class Costly(Probe):
            metrics = (Metric("costly", COUNT, Better.LOWER, Trust.EXACT, Cost.ON_REQUEST, help="", source=""),)
            def read(self, observation):
                return {"costly": Reading(4711)}

        def pytest_memperf_probes():
            return [Costly]
        """
    )
    pytester.makepyfile(test_it="import pytest\n@pytest.mark.memperf\ndef test_it(): pass")
    result = pytester.runpytest_subprocess(f"-omemperf_isolation={isolation}", *options)
    assert result.ret == pytest.ExitCode.OK
    head, *_, row = columns(block(result.outlines))
    assert ("costly" in head) is bool(options)
    assert (row[-1] == "4,711") is bool(options)


UNKNOWN = [
    (
        "--memperf-columns=minor_faults,peak_rs",
        "--memperf-columns: there is no metric 'peak_rs'; did you mean 'peak_rss'? "
        "(a figure that tests record is written record:peak_rs)",
    ),
    (
        "--memperf-sort=zzz",
        "--memperf-sort: there is no metric 'zzz' (a figure that tests record is written record:zzz)",
    ),
]


@pytest.mark.parametrize(("option", "line"), UNKNOWN)
def test_an_unknown_metric_is_one_line(budgets: pytest.Pytester, option: str, line: str) -> None:
    """Nothing runs; the exit code is that of pytest's usage errors."""
    result = budgets.runpytest(option)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert [text for text in result.errlines if text.startswith("ERROR")] == [f"ERROR: {line}"]
    result.stdout.no_fnmatch_line("*memperf*failed*")
    assert "Traceback" not in result.stdout.str() + result.stderr.str()


@pytest.mark.parametrize(("option", "line"), UNKNOWN)
def test_an_unknown_metric_is_one_line_in_workers(budgets: pytest.Pytester, option: str, line: str) -> None:
    """Each test that would be measured fails with it."""
    result = budgets.runpytest_subprocess(option, "-n1", "-pxdist")
    result.assert_outcomes(errors=3)
    assert sum(text.endswith(f": pytest-memperf: {line}") for text in result.outlines) == 3
    assert "Traceback" not in result.stdout.str() + result.stderr.str()


@pytest.mark.parametrize("workers", [[], ["-n1", "-pxdist"]])
def test_a_probe_may_come_with_a_folder(pytester: pytest.Pytester, workers: list[str]) -> None:
    """A metric of a conftest that only collection loads can be shown, also by a controller that collects nothing."""
    folder = pytester.mkdir("inner")
    (folder / "conftest.py").write_text(
        "from pytest_memperf.metrics import Probe\n"
        "from pytest_memperf.model.metric import Better, Cost, Metric, Reading, Trust\n"
        "from pytest_memperf.model.units import COUNT\n"
        "class Notes(Probe):\n"
        "    metrics = tuple(\n"
        "        Metric(name, COUNT, Better.LOWER, Trust.EXACT, Cost.ON_REQUEST, help='', source='')\n"
        "        for name in ('noted', 'missed')\n"
        "    )\n"
        "    def read(self, observation):\n"
        "        return {'noted': Reading(4711), 'missed': 'no paper'}\n"
        "def pytest_memperf_probes():\n"
        "    return [Notes]\n"
    )
    (folder / "test_it.py").write_text("import pytest\n@pytest.mark.memperf\ndef test_it(): pass\n")
    result = pytester.runpytest_subprocess("--memperf-columns=noted,missed", "--memperf-sort=noted", *workers)
    assert result.ret == pytest.ExitCode.OK
    head, row, *remarks = columns(block(result.outlines))
    assert (head[1], row[1]) == ("noted", "4,711")
    assert remarks == [["missed", "unavailable:", "no", "paper"]]


@pytest.mark.parametrize("name", ["columns", "sort"])
def test_an_unknown_metric_in_the_ini_file_is_reported_under_its_key(budgets: pytest.Pytester, name: str) -> None:
    """Nobody looks for an option that was not given."""
    budgets.makeini(f"[pytest]\nmemperf_{name} = pas\n")
    result = budgets.runpytest()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: memperf_{name}: there is no metric 'pas'*"])


class TestVerbosity:
    """Quiet and verbose forms."""

    def test_quiet_is_one_line(self, budgets: pytest.Pytester) -> None:
        """-q keeps the count of results and verdicts."""
        result = budgets.runpytest("-q")
        result.stdout.fnmatch_lines(["memperf: 3 results, 1 budget passed, 1 budget failed"])
        result.stdout.no_fnmatch_line("*= memperf =*")

    @pytest.mark.parametrize("option", ["-qq", "--no-summary"])
    def test_quieter_is_nothing(self, budgets: pytest.Pytester, option: str) -> None:
        """-qq and --no-summary leave the block out."""
        result = budgets.runpytest(option)
        result.stdout.no_fnmatch_line("*memperf:*")
        result.stdout.no_fnmatch_line("*= memperf =*")

    def test_long_sessions_show_the_first_rows(self, tokens: pytest.Pytester) -> None:
        """Without -v a block has 50 rows, the failed one first, and says how many more there are."""
        tokens.makepyfile(
            test_it="""
            import pytest
            @pytest.mark.memperf
            @pytest.mark.parametrize("n", range(300))
            def test_many(n): pass

            @pytest.mark.memperf(min_tokens=5)
            def test_zzz(): pass
            """
        )
        lines = block(tokens.runpytest("--memperf-columns=tokens").outlines)
        assert len(lines) == 1 + 50 + 1
        assert lines[1].split() == ["test_it.py::test_zzz", "1", "failed", "0"]
        assert lines[-1] == "... and 251 more: -v shows them, --memperf-json=FILE keeps them"
        assert len(block(tokens.runpytest("-v", "--memperf-columns=tokens").outlines)) == 1 + 301


def test_nothing_measured_shows_nothing(pytester: pytest.Pytester) -> None:
    """A session without measured tests looks as without the plugin."""
    pytester.makepyfile("def test_it(): pass")
    assert "= memperf =" not in pytester.runpytest().stdout.str()


class TestRemarks:
    """Reasons and notes stand below the table, each once."""

    PROBE = """
        import pytest
        from pytest_memperf.metrics import Probe
        from pytest_memperf.model.metric import Better, Cost, Metric, Reading, Trust
        from pytest_memperf.model.units import COUNT

        class Sockets(Probe):
            metrics = (
                Metric("sockets", COUNT, Better.LOWER, Trust.EXACT, Cost.ALWAYS, help="", source=""),
                Metric("streams", COUNT, Better.LOWER, Trust.EXACT, Cost.ALWAYS, help="", source=""),
            )

            def read(self, observation):
                return {"sockets": "no network here: plug it in", "streams": "no network here: plug it in"}

        def pytest_memperf_probes():
            return [Sockets]
    """

    def test_names_unchecked_budgets_and_unavailable_metrics_once(self, pytester: pytest.Pytester) -> None:
        """However many tests lack the metric, there is one line for each reason."""
        pytester.makeconftest(self.PROBE)
        pytester.makepyfile(
            test_it="""
            import pytest
            @pytest.mark.memperf(max_sockets=3)
            @pytest.mark.parametrize("n", range(3))
            def test_net(n): pass
            """
        )
        result = pytester.runpytest("--memperf-columns=sockets")
        assert result.ret == pytest.ExitCode.OK
        assert block(result.outlines) == [
            "test                         budgets  sockets",
            "test_it.py::test_net[0]  1 unchecked        -",
            "test_it.py::test_net[1]  1 unchecked        -",
            "test_it.py::test_net[2]  1 unchecked        -",
            "max_sockets was not checked in test_it.py::test_net[0] and 2 more: no network here: plug it in",
            "streams unavailable: no network here: plug it in",
        ]

    def test_strict_fails_what_was_not_checked(self, pytester: pytest.Pytester) -> None:
        """The table of the failure gives the reason."""
        pytester.makeconftest(self.PROBE)
        pytester.makepyfile("import pytest\n@pytest.mark.memperf(max_sockets=3)\ndef test_net(): pass")
        result = pytester.runpytest("--memperf-strict")
        assert result.ret == pytest.ExitCode.TESTS_FAILED
        result.stdout.fnmatch_lines(
            [
                "window 'call'",
                "budget       measured  limit  ratio  ± uncertainty  trust  verdict",
                "max_sockets         -      3      -              -  -      unchecked",
                "max_sockets was not checked: no network here: plug it in",
            ]
        )


class TestColours:
    """Colours are pytest's own: on a terminal, or where --color asks for them."""

    def test_failing_values_are_red_and_unchecked_ones_yellow(self, budgets: pytest.Pytester) -> None:
        """The cell, not the row, has the colour."""
        lines = block(budgets.runpytest("--color=yes", "--memperf-columns=tokens").outlines)
        assert lines[1] == "test_it.py::test_over    \x1b[31m1 failed\x1b[0m   \x1b[31m2,048\x1b[0m"
        assert lines[2] == "test_it.py::test_within  1 passed     512"

    def test_there_are_none_in_a_file(self, budgets: pytest.Pytester) -> None:
        """Output that is no terminal is plain."""
        assert "\x1b" not in budgets.runpytest().stdout.str()
