"""What only a terminal shows: colours, a table that fits, and the line of progress. Here a pseudo-terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios

import pytest

SUITE = """
    import pytest

    @pytest.mark.memperf(min_tokens=1)
    @pytest.mark.parametrize("name", ["a_long_parameter_that_fills_the_line_and_ends_in_" + n for n in ("one", "two")])
    def test_with_a_long_name(name): pass
"""
ROUNDS = """
    import time
    import pytest

    @pytest.mark.memperf(rounds=4)
    def test_slow(memperf):
        print("captured")
        memperf(time.sleep, 0.01)
        print("captured too")

    @pytest.mark.memperf(rounds=4)
    def test_breaks(memperf):
        done = []
        def work():
            done.append(1)
            assert len(done) < 3
        memperf(work)
"""
DRAW_AT_ONCE = """
    from pytest_memperf.report import progress
    progress.QUIET = progress.INTERVAL = 0.0
"""


def on_a_terminal(columns: int, *arguments: str, **environment: str) -> list[str]:
    """Return the lines that pytest writes to a terminal of that many columns."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    variables = {
        name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "CI", "PY_COLORS")
    }
    variables |= {"TERM": "xterm", **environment}
    command = [sys.executable, "-m", "pytest", *arguments]
    output = b""
    with subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=variables) as process:
        os.close(slave)
        while True:
            try:
                piece = os.read(master, 65536)
            except OSError:  # EIO: the other side is closed
                break
            if not piece:
                break
            output += piece
        process.wait()
    os.close(master)
    return output.decode().replace("\r\n", "\n").splitlines()


def plain(line: str) -> str:
    """Return the line without its colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", line)


def block(lines: list[str]) -> list[str]:
    """Return the lines between the block's title and the next title, without colours."""
    lines = [plain(line) for line in lines]
    start = next(number for number, line in enumerate(lines) if "= memperf =" in line)
    return lines[start + 1 : next(number for number in range(start + 1, len(lines)) if "====" in lines[number])]


class TestTable:
    """The table of results."""

    def test_fits_the_terminal(self, tokens: pytest.Pytester) -> None:
        """Long names are cut at their beginning: the end tells them apart."""
        tokens.makepyfile(test_it=SUITE)
        table = block(on_a_terminal(80, "--memperf-columns=tokens,coins"))
        assert max(map(len, table)) == 80
        values = ["1", "failed", "0", "5", "±2"]
        assert table[1].split() == ["…[a_long_parameter_that_fills_the_line_and_ends_in_one]", *values]
        assert table[2].split() == ["…[a_long_parameter_that_fills_the_line_and_ends_in_two]", *values]

    @pytest.mark.parametrize(
        ("columns", "kept", "left_out"),
        [
            (55, ["coins", "minor_faults", "tokens"], None),
            (54, ["coins", "tokens"], "no room for minor_faults: -v shows all"),
            (41, ["coins", "tokens"], "no room for minor_faults: -v shows all"),
            (40, ["tokens"], "no room for coins, minor_faults: -v shows all"),
        ],
    )
    def test_leaves_names_some_room(
        self, tokens: pytest.Pytester, columns: int, kept: list[str], left_out: str | None
    ) -> None:
        """On a narrow one the last metrics are left out, those without a budget first, and a line names them."""
        tokens.makepyfile(test_it=SUITE)
        head, first, _, *rest = block(on_a_terminal(columns, "--memperf-columns=coins,minor_faults,tokens"))
        assert head.split() == ["test", "budgets", *kept]
        assert first.startswith("…")
        assert len(first) == columns
        assert [line for line in rest if "no room" in line] == ([left_out] if left_out else [])

    def test_windows_share_the_room(self, tokens: pytest.Pytester) -> None:
        """The name of a window is shortened as that of a test is."""
        tokens.makepyfile(
            test_it="""
            def test_parts(memperf):
                with memperf.window("a window that somebody gave a name that fills the line"): pass
            """
        )
        table = block(on_a_terminal(60, "--memperf-columns=tokens"))
        assert table == [
            "test                    window                        tokens",
            "test_it.py::test_parts  … a name that fills the line       0",
            "test_it.py::test_parts  call                               0",
        ]

    def test_is_whole_under_v(self, tokens: pytest.Pytester) -> None:
        """-v shows every name in full."""
        tokens.makepyfile(test_it=SUITE)
        lines = [plain(line) for line in on_a_terminal(80, "-v", "--memperf-columns=tokens")]
        name = "test_it.py::test_with_a_long_name[a_long_parameter_that_fills_the_line_and_ends_in_one]"
        assert f"{name}  1 failed       0" in lines

    @pytest.mark.parametrize(("option", "coloured"), [("--color=auto", True), ("--color=no", False)])
    def test_has_colours(self, tokens: pytest.Pytester, option: str, coloured: bool) -> None:
        """A terminal has them unless --color says otherwise."""
        tokens.makepyfile(test_it=SUITE)
        text = "\n".join(on_a_terminal(80, option))
        assert ("\x1b[31m1 failed\x1b[0m" in text) is coloured


class TestProgress:
    """The line of progress."""

    def drawings(self, lines: list[str], test: str) -> list[str]:
        """Return what was drawn beside a test's name."""
        line = next(line for line in lines if test in line and ("PASSED" in line or "FAILED" in line))
        return re.findall(r"\x1b7\x1b\[K(.*?)\x1b8", line)

    def test_counts_the_rounds_and_goes(self, pytester: pytest.Pytester) -> None:
        """It is erased before pytest's own word, also where a round fails; captured output stays captured."""
        pytester.makeconftest(DRAW_AT_ONCE)
        pytester.makepyfile(test_it=ROUNDS)
        lines = on_a_terminal(120, "-v", "--color=no")
        assert self.drawings(lines, "::test_slow") == [
            *(f" memperf: {done} of 4 rounds, 0 s" for done in (1, 2, 3)),
            "",
        ]
        assert self.drawings(lines, "::test_breaks") == [*(f" memperf: {done} of 4 rounds, 0 s" for done in (1, 2)), ""]
        slow = next(line for line in lines if "::test_slow" in line and "PASSED" in line)
        assert "\x1b7\x1b[K\x1b8PASSED" in slow
        assert "captured" not in slow

    def test_never_wraps(self, pytester: pytest.Pytester) -> None:
        """It takes the room that the line has left."""
        pytester.makeconftest(DRAW_AT_ONCE)
        pytester.makepyfile(test_it=ROUNDS)
        lines = on_a_terminal(40, "-v", "--color=no", "-k", "slow")
        name = "test_it.py::test_slow "
        assert {len(name) + len(text) for text in self.drawings(lines, "::test_slow")} <= set(range(41))

    @pytest.mark.parametrize(
        ("arguments", "environment"), [([], {"TERM": "dumb"}), (["-q"], {}), (["-n1", "-pxdist"], {}), (["-rN"], {})]
    )
    def test_is_left_out(self, pytester: pytest.Pytester, arguments: list[str], environment: dict[str, str]) -> None:
        """Under -q, in workers, on a terminal that cannot move its cursor, and for tests of less than 2 s."""
        if arguments != ["-rN"]:
            pytester.makeconftest(DRAW_AT_ONCE)
        pytester.makepyfile(test_it=ROUNDS)
        assert "rounds," not in "\n".join(on_a_terminal(80, "--tb=no", *arguments, **environment))

    def test_leaves_counts_alone(self, pytester: pytest.Pytester) -> None:
        """The drawing lies between the windows: empty rounds still read nothing."""
        pytester.makeconftest(DRAW_AT_ONCE)
        pytester.makepyfile(
            test_it="""
            import pytest
            @pytest.mark.memperf(rounds=50, max_minor_faults=0)
            def test_empty(memperf):
                memperf(int)
            """
        )
        lines = on_a_terminal(120, "-v", "--color=no")
        assert len(self.drawings(lines, "::test_empty")) == 50
