"""A comparison as JUnit XML: a test case for each test, failed by a regression, skipped where nothing could be told."""

from __future__ import annotations

import re
from typing import TextIO
from xml.etree import ElementTree

from pytest_memperf.model.comparison import TOLD_APART, Change, Comparison
from pytest_memperf.model.outcome import Outcome
from pytest_memperf.model.result import Key, names_of
from pytest_memperf.report.comparison.texts import rows, sentence, together

_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write(file: TextIO, outcomes: list[Outcome]) -> None:
    """Write a suite for each outcome; the values of each metric are properties of its test case."""
    suites = ElementTree.Element("testsuites")
    for outcome in outcomes:
        suites.append(_suite(outcome))
    ElementTree.indent(suites)
    # In ASCII, which is right whatever the encoding of the file turns out to be.
    file.write(ElementTree.tostring(suites, encoding="us-ascii", xml_declaration=True).decode() + "\n")


def _suite(outcome: Outcome) -> ElementTree.Element:
    by_key: dict[Key, list[Comparison]] = {}
    for comparison in outcome.comparisons:
        by_key.setdefault(comparison.key, []).append(comparison)
    names = names_of(by_key)
    cases = []
    for key, comparisons in by_key.items():
        explanations = outcome.explanations.get(key.test, [])
        cases.append(_case(names[key], comparisons, explanations))
    cases += [_failed(test, reason) for test, reason in outcome.failed.items()]
    attributes = {"name": f"memperf on {_legal(outcome.host)}" if outcome.host else "memperf", "tests": str(len(cases))}
    attributes |= {name: str(sum(case.find(tag) is not None for case in cases)) for name, tag in _TAGS.items()}
    suite = ElementTree.Element("testsuite", attributes)
    sides = ElementTree.SubElement(suite, "properties")
    notes = [("note", line) for line in outcome.notes]
    for name, value in (("base", outcome.base), ("head", outcome.head), *notes):
        ElementTree.SubElement(sides, "property", name=f"memperf.{name}", value=_legal(value))
    suite.extend(cases)
    return suite


_TAGS = {"failures": "failure", "errors": "error", "skipped": "skipped"}


def _legal(text: str) -> str:
    return _ILLEGAL.sub("?", text)


def _new(called: str) -> ElementTree.Element:
    """Return a case, named as pytest's own XML names a test: readers put those of a class and a folder together."""
    place, bracket, parameters = _legal(called).partition("[")
    file, *classes = place.split("::")
    name = f"{classes.pop() if classes else file}{bracket}{parameters}"
    scope = ".".join([file.removesuffix(".py").replace("/", "."), *classes])
    return ElementTree.Element("testcase", classname=scope or "memperf", name=name or file)


def _case(called: str, comparisons: list[Comparison], explanations: list[str]) -> ElementTree.Element:
    case = _new(called)
    values = [
        (f"memperf.{each.key.window}.{each.metric.name}.{name}", side.value)
        for each in comparisons
        for name, side in (("base", each.base), ("head", each.head))
        if each.metric is not None and side is not None
    ]
    if values:
        properties = ElementTree.SubElement(case, "properties")
        for property_name, value in values:
            ElementTree.SubElement(properties, "property", name=_legal(property_name), value=str(value))
    failing = [sentence(texts) for comparison, texts in rows(comparisons) if comparison.failing]
    if failing:
        lines = [_legal(line) for line in (*failing, *explanations)]
        ElementTree.SubElement(case, "failure", message=lines[0], type="regression").text = "\n".join(lines)
    elif not any(each.change in (*TOLD_APART, Change.NEW, Change.GONE) for each in comparisons):
        ElementTree.SubElement(case, "skipped", message=_legal("; ".join(together(comparisons))))
    return case


def _failed(test: str, reason: str) -> ElementTree.Element:
    """Return the case of a test that fails on head, beside that of its metrics, or of a module."""
    case = _new(test)
    case.set("name", f"{case.get('name')}, on head")
    ElementTree.SubElement(case, "error", message=_legal(reason), type="failure").text = _legal(reason)
    return case
