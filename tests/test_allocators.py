"""``memperf_allocators`` and ``--memperf-allocator``: each test in a process that the named library serves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pytest_memperf.malloc import MALLOCS, preload

HERE = [name for name, malloc in MALLOCS.items() if preload.lack(malloc) is None]
OTHER = next((name for name in HERE if name != "glibc"), None)
MISSING = "apt-get install libjemalloc2 libtcmalloc-minimal4 libmimalloc2.0"

WHICH = """
import pytest

def which():
    maps = open("/proc/self/maps").read()
    return [name for name in ("jemalloc", "tcmalloc", "mimalloc") if f"/lib{name}" in maps] or ["glibc"]
"""


@pytest.fixture(autouse=True)
def another_one() -> None:
    """Skip where the C library is the only one."""
    if OTHER is None:
        pytest.skip(f"no other library for malloc is installed: {MISSING}")


def results(pytester: pytest.Pytester) -> dict[str, dict[str, Any]]:
    """Return the results by the names of their tests."""
    data = json.loads(Path(pytester.path, "out.json").read_text())
    return {each["test"].rpartition("::")[2]: each for each in data["results"]}


class TestMarker:
    """``@pytest.mark.memperf_allocators(...)``."""

    def test_each_library_serves_its_run(self, pytester: pytest.Pytester) -> None:
        """The kernel has no other one mapped there, and the result has its name."""
        pytester.makepyfile(
            f"{WHICH}\n@pytest.mark.memperf_allocators(*{HERE})\n"
            "def test_it(request): assert which() == [request.node.callspec.id]"
        )
        pytester.runpytest_subprocess("--memperf-json=out.json").assert_outcomes(passed=len(HERE))
        found = results(pytester)
        assert {name: each["allocator"] for name, each in found.items()} == {f"test_it[{name}]": name for name in HERE}
        assert {each["isolation"] for each in found.values()} == {"process"}

    def test_what_it_starts_is_served_too(self, pytester: pytest.Pytester) -> None:
        """Programs inherit the library."""
        pytester.makepyfile(f"""
            import subprocess, pytest
            @pytest.mark.memperf_allocators({OTHER!r})
            def test_it(): assert "/lib{OTHER}" in subprocess.check_output(["cat", "/proc/self/maps"], text=True)
        """)
        pytester.runpytest_subprocess().assert_outcomes(passed=1)

    def test_ids_come_behind_the_tests_own_parameters(self, pytester: pytest.Pytester) -> None:
        """And a budget may go by the library."""
        pytester.makepyfile(f"""
            import pytest
            @pytest.mark.parametrize("size", ["small", "large"])
            @pytest.mark.memperf(max_minor_faults={{"glibc": 100_000, {OTHER!r}: 0}})
            @pytest.mark.memperf_allocators("glibc", {OTHER!r})
            def test_it(size): bytearray(8 << 20)[::4096]
        """)
        result = pytester.runpytest_subprocess("-v")
        result.assert_outcomes(passed=2, failed=2)
        result.stdout.fnmatch_lines_random(
            [f"*::test_it[[]{size}-{name}[]] {verdict}*" for size in ("small", "large")
             for name, verdict in (("glibc", "PASSED"), (OTHER, "MEMORY"))]
        )  # fmt: skip

    def test_the_nearest_mark_counts(self, pytester: pytest.Pytester) -> None:
        """Of the test, its class, its module."""
        pytester.makepyfile(f"""
            import pytest
            pytestmark = pytest.mark.memperf_allocators("glibc", {OTHER!r})
            class TestIt:
                pytestmark = pytest.mark.memperf_allocators({OTHER!r})
                def test_class(self): pass
                @pytest.mark.memperf_allocators("glibc")
                def test_own(self): pass
            def test_module(): pass
        """)
        out = pytester.runpytest("--collect-only", "-q").outlines
        assert [line.rpartition("::")[2] for line in out if "::" in line] == [
            f"test_class[{OTHER}]", "test_own[glibc]", "test_module[glibc]", f"test_module[{OTHER}]",
        ]  # fmt: skip

    def test_workers_and_reruns(self, pytester: pytest.Pytester, every_plugin: None) -> None:
        """Each worker has its templates; the table of ratios comes out all the same, in the mark's order."""
        pytest.importorskip("xdist")
        pytester.makepyfile(
            f"{WHICH}\n@pytest.mark.memperf_allocators({OTHER!r}, 'glibc')\n"
            "def test_it(request): assert which() == [request.node.callspec.id]"
        )
        result = pytester.runpytest_subprocess("-n2")
        result.assert_outcomes(passed=2)
        result.stdout.re_match_lines([rf"test +metric +{OTHER} +glibc"])

    def test_asynchronous_tests(self, pytester: pytest.Pytester, every_plugin: None) -> None:
        """As any other."""
        pytest.importorskip("pytest_asyncio")
        pytester.makepyfile(f"""
            import pytest
            @pytest.mark.asyncio
            @pytest.mark.memperf_allocators({OTHER!r})
            async def test_it(memperf):
                async def fetch(): return bytearray(1 << 20)
                await memperf.acall(fetch)
        """)
        pytester.runpytest_subprocess("--memperf-json=out.json").assert_outcomes(passed=1)
        assert results(pytester)[f"test_it[{OTHER}]"]["allocator"] == OTHER

    @pytest.mark.parametrize(
        ("mark", "told"),
        [
            ("'glib'", "there is no allocator 'glib'; did you mean 'glibc'?"),
            ("", "memperf_allocators names no library: write @pytest.mark.memperf_allocators('glibc', "),
            ("7", "7 is no name of an allocator"),
            ("'glibc', 'glibc'", "names 'glibc' twice: name each library once"),
            ("'glibc', rounds=3", "takes names alone, no rounds=: write "),
        ],
    )
    def test_a_wrong_mark_ends_the_session_with_one_line(self, pytester: pytest.Pytester, mark: str, told: str) -> None:
        """Exit code 4, as for any mistake in a marker."""
        pytester.makepyfile(f"import pytest\n@pytest.mark.memperf_allocators({mark})\ndef test_it(): pass")
        result = pytester.runpytest_subprocess()
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        (line,) = [line for line in result.errlines if line.startswith("ERROR: ")]
        assert told in line

    @pytest.mark.parametrize(
        ("test", "told"),
        [
            (
                "@pytest.mark.memperf_allocators('glibc')\n"
                "class TestIt(unittest.TestCase):\n    def test_it(self): pass",
                "memperf_allocators is for test functions: a TestCaseFunction cannot be parametrised",
            ),
            (
                "pytestmark = pytest.mark.memperf(isolation='inline')\n"
                "@pytest.mark.memperf_allocators('glibc')\ndef test_it(): pass",
                "memperf_allocators needs a process for each library: leave out isolation='inline'",
            ),
            (
                "def test_marked_late(): pass",
                "memperf_allocators came after the collection: write it on the test, its class or its module",
            ),
        ],
    )
    def test_where_it_cannot_be(self, pytester: pytest.Pytester, test: str, told: str) -> None:
        """It is never dropped in silence."""
        pytester.makepyfile(f"import pytest, unittest\n{test}")
        if "marked_late" in test:
            pytester.makeconftest("""
                import pytest
                def pytest_collection_modifyitems(items):
                    items[0].add_marker(pytest.mark.memperf_allocators("glibc"))
            """)
        result = pytester.runpytest_subprocess()
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        result.stderr.fnmatch_lines([f"ERROR: *{told}"])


class TestMissing:
    """A library that is not installed."""

    @pytest.fixture(autouse=True)
    def uninstalled(self, pytester: pytest.Pytester) -> None:
        """Have it nowhere."""
        pytester.makeconftest("import patched")
        pytester.syspathinsert()
        pytester.makepyfile(
            patched=f"""
            from pytest_memperf.malloc import preload
            found = preload.path_of
            preload.path_of = lambda malloc: None if malloc.name == {OTHER!r} else found(malloc)
        """
        )
        pytester.makepyfile(f"""
            import pytest
            @pytest.mark.memperf_allocators("glibc", {OTHER!r})
            def test_it(): pass
        """)

    def test_skips(self, pytester: pytest.Pytester) -> None:
        """With the package to install."""
        result = pytester.runpytest_subprocess("-rs")
        result.assert_outcomes(passed=1, skipped=1)
        result.stdout.fnmatch_lines(
            [f"SKIPPED*{OTHER} is not installed: apt-get install {MALLOCS[str(OTHER)].package}"]
        )

    def test_the_option_ends_the_session(self, pytester: pytest.Pytester) -> None:
        """Else all tests would be skipped, and the session green."""
        result = pytester.runpytest_subprocess(f"--memperf-allocator={OTHER}", "-p", "patched")
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        result.stderr.fnmatch_lines(
            [f"ERROR: --memperf-allocator={OTHER}: {OTHER} is not installed: apt-get install *"]
        )

    def test_fails_under_strict(self, pytester: pytest.Pytester) -> None:
        """Nothing goes unchecked there."""
        result = pytester.runpytest_subprocess("--memperf-strict")
        result.assert_outcomes(passed=1, errors=1)
        result.stdout.fnmatch_lines([f"*{OTHER} is not installed: apt-get install*"])


def test_a_library_that_does_not_serve_fails_the_test(pytester: pytest.Pytester) -> None:
    """Whatever was meant to be loaded: the template asks who serves it."""
    pytester.makeconftest("""
        from pytest_memperf.malloc import preload
        preload.environment_under = lambda malloc, environment: dict(environment)
    """)
    pytester.makepyfile(f"import pytest\n@pytest.mark.memperf_allocators({OTHER!r})\ndef test_it(): pass")
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([f"*could not start: malloc is served by glibc, not by {OTHER}: *"])


def test_memory_that_the_template_has_freed_serves_no_test(pytester: pytest.Pytester) -> None:
    """It is given back right before the window, and 80 blocks are as many faults as they have pages.

    Under mimalloc they were 1,484 of 1,953 once: its heap keeps some pages whatever it is asked.
    """
    giving = [name for name in HERE if name != "mimalloc"]
    pytester.makepyfile(f"""
        import pytest
        freed = [b"x" * 100_000 for _ in range(320)]
        del freed
        @pytest.mark.memperf_allocators(*{giving})
        def test_it(memperf):
            with memperf.window("blocks") as window:
                kept = [b"x" * 100_000 for _ in range(80)]
            assert window.minor_faults > 0.9 * 80 * 100_000 / 4096
    """)
    pytester.runpytest_subprocess().assert_outcomes(passed=len(giving))


def test_in_pytests_own_process_a_note_says_so(pytester: pytest.Pytester) -> None:
    """Where the terminal is needed: neither in a process of its own nor under the library."""
    pytester.makepyfile(f"import pytest\n@pytest.mark.memperf_allocators({OTHER!r})\ndef test_it(): pass")
    result = pytester.runpytest_subprocess("--setup-show")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines([f"note: ran inline, not in a process of its own, nor under {OTHER}: --setup-show *"])


class TestOption:
    """``--memperf-allocator``."""

    def test_it_changes_no_id(self, pytester: pytest.Pytester) -> None:
        """Each measured test runs under it; marked ones and inline ones keep their own."""
        pytester.makepyfile(
            f"{WHICH}\n"
            f"def test_fixture(memperf): assert memperf(which) == [{OTHER!r}]\n"
            f"@pytest.mark.memperf\ndef test_marked(): assert which() == [{OTHER!r}]\n"
            "@pytest.mark.memperf(isolation='inline')\ndef test_inline(): assert which() == ['glibc']\n"
            "@pytest.mark.memperf_allocators('glibc')\ndef test_own(): assert which() == ['glibc']\n"
            "def test_plain(): assert which() == ['glibc']"
        )
        pytester.runpytest_subprocess(f"--memperf-allocator={OTHER}", "--memperf-json=out.json").assert_outcomes(
            passed=5
        )
        assert {name: each["allocator"] for name, each in results(pytester).items()} == {
            "test_fixture": OTHER, "test_marked": OTHER, "test_inline": "glibc", "test_own[glibc]": "glibc",
        }  # fmt: skip

    def test_methods_of_unittest(self, pytester: pytest.Pytester) -> None:
        """Need no parameter for it."""
        pytester.makepyfile(
            f"{WHICH}\nimport unittest\n@pytest.mark.memperf\nclass TestIt(unittest.TestCase):\n"
            f"    def test_it(self): assert which() == [{OTHER!r}]"
        )
        pytester.runpytest_subprocess(f"--memperf-allocator={OTHER}").assert_outcomes(passed=1)

    def test_in_the_ini_file(self, pytester: pytest.Pytester) -> None:
        """As every option."""
        pytester.makeini(f"[pytest]\nmemperf_allocator = {OTHER}")
        pytester.makepyfile(f"{WHICH}\ndef test_it(memperf): assert memperf(which) == [{OTHER!r}]")
        pytester.runpytest_subprocess().assert_outcomes(passed=1)

    def test_another_name(self, pytester: pytest.Pytester) -> None:
        """Ends the session before anything runs, measured tests or not."""
        pytester.makepyfile("def test_it(): pass")
        result = pytester.runpytest_subprocess("--memperf-allocator=jemaloc")
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        result.stderr.fnmatch_lines(
            ["ERROR: --memperf-allocator=jemaloc: there is no allocator 'jemaloc'; did you mean 'jemalloc'?"]
        )

    def test_a_dead_child_has_the_name_too(self, pytester: pytest.Pytester) -> None:
        """Its budgets are unchecked under that library, not under the one of the session."""
        pytester.makepyfile("import os, pytest\n@pytest.mark.memperf(max_peak_rss=1)\ndef test_it(): os._exit(3)")
        pytester.runpytest_subprocess(f"--memperf-allocator={OTHER}", "--memperf-json=out.json").assert_outcomes(
            failed=1
        )
        assert results(pytester)["test_it"]["allocator"] == OTHER
