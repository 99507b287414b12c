"""Runs a composite action of this repository as GitHub's runner does: its scripts, in turn, with what they are given.

Expressions are evaluated as far as our actions use them. Steps that use another action are not run, but noted: what is
tested is our scripts and what they hand over, not GitHub.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
_PARTS = re.compile(r"'[^']*'|[a-zA-Z_][\w.-]*|\|\||&&|[!=]=|!|[^'\w]")


def read(path: Path) -> Any:
    """Return what a file of YAML says."""
    return YAML(typ="safe").load(path)


@dataclass
class Run:
    """What became of an action."""

    code: int = 0
    output: str = ""
    outputs: dict[str, dict[str, str]] = field(default_factory=dict)
    """Of each step that has an id."""
    used: dict[str, dict[str, str]] = field(default_factory=dict)
    """Other actions that would have been used, with their inputs."""
    summary: str = ""


class Job:
    """A job on a runner, whose folder for temporary files is its own.

    Args:
        temporary: an empty folder.
        checkout: what actions/checkout would have left.
        context: what expressions find, by their dotted names.
    """

    def __init__(self, temporary: Path, checkout: Path, **context: str) -> None:
        self.temporary, self.checkout = temporary, checkout
        for name in ("runner", "home"):
            (temporary / name).mkdir(parents=True, exist_ok=True)
        self.context = {"runner.temp": str(temporary / "runner"), "runner.os": "Linux", "runner.arch": "X64", **context}
        # Nothing of the machine that runs these tests: it may be a CI system itself.
        self.variables = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(temporary / "home"),
            "GITHUB_ACTIONS": "true",
            "CI": "true",
            "GITHUB_WORKSPACE": str(checkout),
            "RUNNER_TEMP": str(temporary / "runner"),
            "GIT_CONFIG_NOSYSTEM": "1",
        }

    def run(self, action: Path, done: dict[str, dict[str, str]] | None = None, **inputs: str) -> Run:
        """Run the steps of an action with these inputs; ``exit_code=`` gives that of exit-code.

        Args:
            done: outputs by the id of steps that are left out, for they have been run before.
        """
        described, run = read(action / "action.yml"), Run()
        given = {name.replace("_", "-"): value for name, value in inputs.items()}
        assert given.keys() <= described["inputs"].keys()
        context = dict(self.context)
        for name, about in described["inputs"].items():
            context[f"inputs.{name}"] = given.get(name, evaluated(about["default"], context))
        for number, step in enumerate(described["runs"]["steps"]):
            condition = step.get("if", "success()")
            context["failure"] = "true" if run.code else ""
            if evaluated(condition if "${{" in condition else f"${{{{ {condition} }}}}", context) in ("", "false"):
                continue
            if run.code and "cancelled()" not in condition and "always()" not in condition:
                continue
            if "uses" in step:
                run.used[step["uses"]] = {name: evaluated(str(each), context) for name, each in step["with"].items()}
                continue
            if step.get("id") in (done or {}):
                outputs = (done or {})[step["id"]]
            else:
                outputs = self.script(step, action, context, run, number)
            if "id" in step:
                run.outputs[step["id"]] = outputs
                context |= {f"steps.{step['id']}.outputs.{name}": value for name, value in outputs.items()}
        for name, about in described.get("outputs", {}).items():
            run.outputs.setdefault("", {})[name] = evaluated(about["value"], context)
        return run

    def script(self, step: Any, action: Path, context: dict[str, str], run: Run, number: int) -> dict[str, str]:
        """Run a step's script, add to what the action came to, and return the step's outputs."""
        assert step["shell"] == "bash"
        script, output, summary = (self.temporary / f"{number}-{name}" for name in ("script", "output", "summary"))
        script.write_text(step["run"])
        output.write_text("")
        summary.write_text("")
        variables = {
            **self.variables,
            "GITHUB_ACTION_PATH": str(action),
            "GITHUB_OUTPUT": str(output),
            "GITHUB_STEP_SUMMARY": str(summary),
            **{name: evaluated(str(value), context) for name, value in step.get("env", {}).items()},
        }
        ended = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)],
            cwd=self.checkout, env=variables, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        run.code = run.code or ended.returncode
        run.output += ended.stdout
        run.summary += summary.read_text()
        return dict(line.partition("=")[::2] for line in output.read_text().splitlines())


def evaluated(text: str, context: dict[str, str]) -> str:
    """Return a text with its expressions evaluated; what is not in the context is empty."""
    return re.sub(r"\$\{\{(.*?)\}\}", lambda found: _value(found[1], context), text)


def _value(expression: str, context: dict[str, str]) -> str:
    words = {"||": " or ", "&&": " and ", "!": " not "}
    functions = {
        "format": str.format,
        "cancelled": lambda: False,
        "success": lambda: not context["failure"],
    }
    parts = [
        words[part] if part in words
        else part if part in functions or not part[0].isalpha()
        else repr(context.get(part, ""))
        for part in _PARTS.findall(expression.strip())
    ]  # fmt: skip
    value = eval("".join(parts), functions)  # of our own files
    return str(value).lower() if isinstance(value, bool) else str(value)
