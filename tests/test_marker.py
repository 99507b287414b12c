"""Which keywords hold for a test: the closest mark wins, keyword by keyword."""

from __future__ import annotations

import textwrap
from typing import Any

import pytest

from pytest_memperf.marker import ini_defaults, keywords_of, marks_of
from pytest_memperf.model.errors import UsageMistake


def items_of(pytester: pytest.Pytester, **modules: str) -> dict[str, pytest.Item]:
    """Collect these modules and return the tests by name."""
    paths = [pytester.makepyfile(**{name: f"import pytest\n{textwrap.dedent(text)}"}) for name, text in modules.items()]
    items, _ = pytester.inline_genitems(*paths)
    return {item.name: item for item in items}


class TestClosestWins:
    """Each keyword is resolved by itself."""

    def test_levels(self, pytester: pytest.Pytester) -> None:
        """Parameter, function (lowest decorator first), class, module: the closest source gives the value."""
        item = items_of(
            pytester,
            test_levels="""
                pytestmark = pytest.mark.memperf(max_minor_faults=1, max_major_faults=1, rounds=1, warmup=1, soft=True)

                @pytest.mark.memperf(max_minor_faults=2, max_major_faults=2, rounds=2, warmup=2)
                class TestIt:
                    @pytest.mark.memperf(max_minor_faults=4)
                    @pytest.mark.memperf(max_minor_faults=3, max_major_faults=3, rounds=3)
                    @pytest.mark.parametrize("x", [pytest.param(0, marks=pytest.mark.memperf(max_major_faults=5))])
                    def test_it(self, x): ...
            """,
        )["test_it[0]"]

        assert keywords_of(item) == {
            "max_minor_faults": 3,
            "max_major_faults": 5,
            "rounds": 3,
            "warmup": 2,
            "soft": True,
        }

    def test_package(self, pytester: pytest.Pytester) -> None:
        """A mark of a package holds where nothing closer speaks."""
        package = pytester.mkpydir("pack")
        (package / "__init__.py").write_text("import pytest\npytestmark = pytest.mark.memperf(min_open_files=9)\n")
        inner = package / "inner"
        inner.mkdir()
        (inner / "__init__.py").write_text("")
        (inner / "test_in.py").write_text(
            "import pytest\ndef test_in(): ...\n@pytest.mark.memperf(min_open_files=0)\ndef test_closer(): ...\n"
        )
        result = pytester.runpytest()

        result.assert_outcomes(passed=1, failed=1)
        result.stdout.fnmatch_lines(["MEMORY *::test_in - open_files 0 is under min_open_files = 9"])

    @pytest.mark.parametrize("value", ["None", "3", "[None, 'memperf']", "pytest.mark", "pytest.Mark", "[object()]"])
    def test_package_with_another_use_of_the_name(self, pytester: pytest.Pytester, value: str) -> None:
        """What a package keeps in ``pytestmark`` that is no mark means nothing here, as for pytest."""
        package = pytester.mkpydir("pack")
        (package / "__init__.py").write_text(f"import pytest\npytestmark = {value}\n")
        (package / "test_in.py").write_text("def test_in(): ...\n")

        pytester.runpytest("--strict-markers").assert_outcomes(passed=1)

    def test_package_with_a_bare_mark(self, pytester: pytest.Pytester) -> None:
        """A mark out of its decorator holds as well."""
        package = pytester.mkpydir("pack")
        (package / "__init__.py").write_text(
            "import pytest\npytestmark = pytest.mark.memperf(min_minor_faults=9).mark\n"
        )
        (package / "test_in.py").write_text("def test_in(): ...\n")

        pytester.runpytest().assert_outcomes(failed=1)

    @pytest.mark.parametrize(
        ("of_class", "of_test"),
        [
            ("rounds=5, warmup=1", "rounds=None, warmup=None"),
            ("warmup=2", "rounds=None"),
            ("setup=print", "setup=None"),
        ],
    )
    def test_none_lifts_the_rounds_of_a_class(self, pytester: pytest.Pytester, of_class: str, of_test: str) -> None:
        """A test without a call to repeat may say so; what is not lifted is meant for the others of its class."""
        pytester.makepyfile(
            f"""
            import pytest
            @pytest.mark.memperf({of_class})
            class TestIt:
                @pytest.mark.memperf({of_test})
                def test_plain(self): ...
                @pytest.mark.memperf({of_test})
                def test_taken(self, memperf): ...
                def test_repeated(self, memperf): memperf(int)
            """
        )

        pytester.runpytest().assert_outcomes(passed=3)

    def test_none_is_kept_to_lift(self, pytester: pytest.Pytester) -> None:
        """None at a closer place hides a value further out."""
        item = items_of(
            pytester,
            test_none="""
                pytestmark = pytest.mark.memperf(max_minor_faults=1)
                @pytest.mark.memperf(max_minor_faults=None)
                def test_it(): ...
            """,
        )["test_it"]

        assert keywords_of(item) == {"max_minor_faults": None}

    def test_order_of_marks(self, pytester: pytest.Pytester) -> None:
        """Several decorators on one function add up, the lowest first."""
        item = items_of(
            pytester,
            test_order="@pytest.mark.memperf(rounds=2)\n@pytest.mark.memperf(rounds=1)\ndef test_it(): ...",
        )["test_it"]

        assert [mark.kwargs["rounds"] for mark in marks_of(item)] == [1, 2]


class TestDefaults:
    """``memperf_defaults`` of conftest files and of the ini file."""

    def test_nearest_folder_then_ini(self, pytester: pytest.Pytester) -> None:
        """The conftest nearest to the test wins over one above it, and that over the ini file."""
        pytester.makeini("[pytest]\nmemperf_defaults =\n max_minor_faults = 1\n max_peak_rss = 1 MiB\n soft = true\n")
        pytester.makeconftest("memperf_defaults = {'max_minor_faults': 2, 'max_major_faults': 2}")
        near = pytester.mkdir("near")
        (near / "conftest.py").write_text("memperf_defaults = {'max_major_faults': 3}")
        (near / "test_near.py").write_text("def test_near(): ...")
        pytester.makepyfile(test_far="def test_far(): ...")
        items, _ = pytester.inline_genitems(pytester.path)
        found = {item.name: keywords_of(item) for item in items}

        expected: dict[str, Any] = {"max_minor_faults": 2, "max_peak_rss": "1 MiB", "soft": True}
        assert found == {
            "test_near": {**expected, "max_major_faults": 3},
            "test_far": {**expected, "max_major_faults": 2},
        }

    @pytest.mark.parametrize(
        ("ini", "line"),
        [
            ("max_peak_rss", "'max_peak_rss' is not of the form 'max_peak_rss = 100 MiB'"),
            ("max_peak_rss =", "'max_peak_rss =' is not of the form"),
            ("max_peek_rss = 1 MiB", "memperf_defaults (ini): max_peek_rss: there is no metric 'peek_rss'*"),
        ],
    )
    def test_wrong_line(self, pytester: pytest.Pytester, ini: str, line: str) -> None:
        """A wrong line ends the session with one line that shows the right form."""
        pytester.makeini(f"[pytest]\nmemperf_defaults = {ini}\n")
        pytester.makepyfile("def test_it(): ...")
        result = pytester.runpytest("--memperf-all")

        assert result.ret == pytest.ExitCode.USAGE_ERROR
        result.stderr.fnmatch_lines([f"ERROR: *{line}*".replace("[", "[[]")])
        result.stderr.no_fnmatch_line("*Traceback*")

    def test_not_a_dict(self, pytester: pytest.Pytester) -> None:
        """``memperf_defaults`` of another type is refused with the file's name."""
        pytester.makeconftest("memperf_defaults = ['max_peak_rss']")
        pytester.makepyfile("def test_it(): ...")
        result = pytester.runpytest("--memperf-all")

        assert result.ret == pytest.ExitCode.USAGE_ERROR
        result.stderr.fnmatch_lines(["*memperf_defaults in *conftest.py: make it a dict*"])


def test_ini_values(pytester: pytest.Pytester) -> None:
    """Numbers and switches are read from their text; text with a unit stays text; several metrics are a list."""
    pytester.makeini(
        "[pytest]\nmemperf_defaults =\n max_peak_rss = 4096\n max_uss = 1 MiB\n soft = True\n metrics = pss, uss\n"
    )

    assert ini_defaults(pytester.parseconfig()) == {
        "max_peak_rss": 4096,
        "max_uss": "1 MiB",
        "soft": True,
        "metrics": ["pss", "uss"],
    }


class TestLimitByParameter:
    """A limit may be a callable of parameters or a mapping by parameter id."""

    TEXT = """
        @pytest.mark.memperf(max_minor_faults={limit})
        @pytest.mark.parametrize(("size", "kind"), [(1, "a"), (20, "b")], ids=["small", "large"])
        def test_it(size, kind): ...
    """

    @pytest.mark.parametrize(
        "limit",
        [
            "lambda size: size * 10",
            "lambda kind, size: size * 10",
            "lambda size, n=10: size * n",
            "dict(small=10, large=200)",
        ],
    )
    def test_resolved(self, pytester: pytest.Pytester, limit: str) -> None:
        """Each parameter set gets its own limit."""
        items = items_of(pytester, test_limit=self.TEXT.format(limit=limit))

        assert keywords_of(items["test_it[small]"]) == {"max_minor_faults": 10}
        assert keywords_of(items["test_it[large]"]) == {"max_minor_faults": 200}

    @pytest.mark.parametrize(
        ("limit", "line"),
        [
            ("lambda width: 1", "asks for the parameter 'width': this test has size, kind"),
            ("lambda size: 1 / 0", "its function failed for 'large': mend it"),
            ("dict(small=10)", "has no entry for the parameter id 'large'"),
        ],
    )
    def test_refused(self, pytester: pytest.Pytester, limit: str, line: str) -> None:
        """A parameter or an id that does not exist is named."""
        item = items_of(pytester, test_limit=self.TEXT.format(limit=limit))["test_it[large]"]

        with pytest.raises(UsageMistake, match=line):
            keywords_of(item)

    def test_without_parameter(self, pytester: pytest.Pytester) -> None:
        """A test without parameters cannot have such a limit."""
        item = items_of(pytester, test_plain="@pytest.mark.memperf(max_minor_faults=dict(a=1))\ndef test_it(): ...")

        with pytest.raises(UsageMistake, match="this test has none"):
            keywords_of(item["test_it"])


def test_positional_argument(pytester: pytest.Pytester) -> None:
    """An argument without a name is refused with an example of the right form."""
    item = items_of(pytester, test_bare="@pytest.mark.memperf('70 MiB')\ndef test_it(): ...")["test_it"]

    with pytest.raises(UsageMistake, match="write max_peak_rss='70 MiB'"):
        keywords_of(item)
