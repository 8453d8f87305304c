"""Findings for people, as JSON, and as SARIF 2.1.0 for what shows them beside the code."""

from __future__ import annotations

import json
from itertools import groupby

from lint.finding import Finding
from lint.rules import BY_ID, RULES

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def line(finding: Finding) -> str:
    """Return a finding in one line, with its remedy."""
    rule = BY_ID[finding.rule]
    place = f"{finding.path}:{finding.line}:{finding.column}"
    return f"{place}: {rule.id} {rule.what}: {finding.found}; {rule.remedy}"


def people(findings: list[Finding], files: str) -> str:
    """Return findings by file, each with what to do, and how many there are."""
    if not findings:
        return f"{files}: nothing that would not travel"
    lines = []
    for path, found in groupby(findings, key=lambda one: one.path):
        lines.append(path)
        for one in found:
            rule = BY_ID[one.rule]
            lines += [
                f"  {one.line}:{one.column}  {rule.id}  {rule.what}: {one.found}",
                f"      {rule.remedy}",
            ]
    count = len(findings)
    return "\n".join([*lines, "", f"{files}: {count} finding{'s' if count > 1 else ''}"])


def as_json(findings: list[Finding]) -> str:
    """Return findings as a list of objects."""
    rows = [
        {
            **one._asdict(),
            "what": BY_ID[one.rule].what,
            "reason": BY_ID[one.rule].reason,
            "remedy": BY_ID[one.rule].remedy,
        }
        for one in findings
    ]
    return json.dumps(rows, indent=1)


def sarif(findings: list[Finding]) -> str:
    """Return findings as SARIF, with all rules."""
    rules = [
        {
            "id": rule.id,
            "shortDescription": {"text": rule.what},
            "fullDescription": {"text": rule.reason},
            "help": {"text": rule.remedy},
        }
        for rule in RULES
    ]
    order = [rule.id for rule in RULES]
    results = [
        {
            "ruleId": one.rule,
            "ruleIndex": order.index(one.rule),
            "level": "warning" if one.rule == "HW002" else "error",
            "message": {"text": f"{BY_ID[one.rule].what}: {one.found}; {BY_ID[one.rule].remedy}"},
            "locations": [
                {
                    "physicalLocation": {
                        "artifactLocation": {"uri": one.path},
                        "region": {"startLine": one.line, "startColumn": one.column},
                    }
                }
            ],
        }
        for one in findings
    ]
    driver = {"name": "hostwright-lint", "rules": rules}
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=1)


def rules() -> str:
    """Return all rules for people."""
    return "\n\n".join(f"{one.id}  {one.what}\n  why: {one.reason}\n  instead: {one.remedy}" for one in RULES)
