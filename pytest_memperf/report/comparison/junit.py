"""A comparison as JUnit XML: a test case for each test, failed by a regression, skipped where nothing could be told."""

from __future__ import annotations

import re
from typing import TextIO
from xml.etree import ElementTree

from pytest_memperf.model.comparison import TOLD_APART, Change, Comparison
from pytest_memperf.model.outcome import Outcome
from pytest_memperf.report.comparison.texts import rows, together

_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write(file: TextIO, outcomes: list[Outcome]) -> None:
    """Write a suite for each outcome; the values of each metric are properties of its test case."""
    suites = ElementTree.Element("testsuites")
    for outcome in outcomes:
        suites.append(_suite(outcome))
    ElementTree.indent(suites)
    file.write(ElementTree.tostring(suites, encoding="unicode", xml_declaration=True) + "\n")


def _suite(outcome: Outcome) -> ElementTree.Element:
    by_place: dict[str, list[Comparison]] = {}
    for comparison in outcome.comparisons:
        by_place.setdefault(comparison.key.place, []).append(comparison)
    cases = [_case(place, comparisons) for place, comparisons in by_place.items()]
    attributes = {"name": "memperf", "tests": str(len(cases)), "errors": "0"}
    attributes |= {name: str(sum(case.find(tag) is not None for case in cases)) for name, tag in _TAGS.items()}
    suite = ElementTree.Element("testsuite", attributes)
    suite.extend(cases)
    return suite


_TAGS = {"failures": "failure", "skipped": "skipped"}


def _case(place: str, comparisons: list[Comparison]) -> ElementTree.Element:
    file, _, name = _ILLEGAL.sub("?", place).partition("::")
    case = ElementTree.Element("testcase", classname=file, name=name or file)
    properties = ElementTree.SubElement(case, "properties")
    for each in comparisons:
        if each.metric is not None:
            for side, value in (("base", each.base), ("head", each.head)):
                if value is not None:
                    name = f"memperf.{each.key.window}.{each.metric.name}.{side}"
                    ElementTree.SubElement(properties, "property", name=_ILLEGAL.sub("?", name), value=str(value.value))
    failing = [texts for comparison, texts in rows(comparisons) if comparison.failing]
    if failing:
        lines = [
            ": ".join(filter(None, (f"{metric} {base} -> {head}, {change}", why)))
            for _, metric, base, head, change, _, why in failing
        ]
        ElementTree.SubElement(case, "failure", message=_ILLEGAL.sub("?", lines[0])).text = _ILLEGAL.sub(
            "?", "\n".join(lines)
        )
    elif not any(each.change in (*TOLD_APART, Change.NEW, Change.GONE) for each in comparisons):
        ElementTree.SubElement(case, "skipped", message=_ILLEGAL.sub("?", "; ".join(together(comparisons))))
    return case
