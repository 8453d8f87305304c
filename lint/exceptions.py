"""What is meant as it is: exceptions in the line, or in a file of the application, each with a reason."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

import yaml

from lint.finding import Finding
from lint.rules import BY_ID

FILE = ".hostwright-lint.yaml"
IN_LINE = re.compile(
    r"hostwright:\s*allow\s+(?P<rules>HW\d{3}(?:\s*,\s*HW\d{3})*)(?:\s+because\s+(?P<reason>\S.*?))?"
    r"\s*(?:\*/|-->|#\})?\s*$"
)


class LintError(Exception):
    """The lint cannot look; the message says what to do."""


@dataclass
class Exceptions:
    """
    The exceptions of one application.

    + listed: rule and pattern of paths, by entry of its file
    + used: entries that something needed
    """

    listed: list[tuple[str, str]] = field(default_factory=list)
    used: set[int] = field(default_factory=set)

    @classmethod
    def of(cls, root: Path) -> Exceptions:
        """
        Read the file of exceptions of a directory, where it has one.

        Raises LintError for one that is not a list of rule, path and reason.
        """
        file = root / FILE
        if not file.is_file():
            return cls()
        try:
            entries = yaml.safe_load(file.read_text(encoding="utf-8")) or []
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise LintError(f"{file} is not YAML: {error}") from None
        found = cls()
        for count, entry in enumerate(entries if isinstance(entries, list) else [entries], 1):
            keys = set(entry) if isinstance(entry, dict) else set()
            if keys != {"rule", "path", "reason"} or not all(
                str(value or "").strip() for value in entry.values()
            ):
                raise LintError(
                    f'{file}, entry {count}: write {{rule: HW104, path: "app/*.py", reason: WHY}}'
                )
            if entry["rule"] not in BY_ID:
                raise LintError(
                    f"{file}, entry {count}: there is no rule {entry['rule']!r}; python -m lint --rules"
                )
            found.listed.append((entry["rule"], str(entry["path"])))
        return found

    def sift(self, path: str, text: str, findings: list[Finding]) -> list[Finding]:
        """Return a file's findings without what is meant as it is, and what is wrong with its exceptions."""
        kept = []
        lines = text.split("\n")
        allowed = {}
        for number, line in enumerate(lines, 1):
            match = IN_LINE.search(line) if "hostwright:" in line else None
            if match is not None:
                allowed[number] = (set(re.split(r"\s*,\s*", match["rules"])), match["reason"])
        needed: set[int] = set()
        for one in findings:
            # In the line, or right above it.
            here = next(
                (at for at in (one.line, one.line - 1) if one.rule in allowed.get(at, (set(), ""))[0]), None
            )
            if here is not None and allowed[here][1]:
                needed.add(here)
                continue
            entry = next(
                (
                    at
                    for at, (rule, glob) in enumerate(self.listed)
                    if rule == one.rule and fnmatchcase(path, glob)
                ),
                None,
            )
            if entry is not None:
                self.used.add(entry)
                continue
            kept.append(one)
        for number, (rules, reason) in allowed.items():
            said = lines[number - 1].strip()[:80]
            if not reason:
                kept.append(Finding(path, number, 1, "HW001", said))
            elif number not in needed and rules <= set(BY_ID):
                kept.append(Finding(path, number, 1, "HW002", said))
            elif number not in needed:
                kept.append(Finding(path, number, 1, "HW002", f"{said} (there is no such rule)"))
        return kept

    def unneeded(self) -> list[Finding]:
        """Return a finding for each entry of the file that nothing needed."""
        return [
            Finding(FILE, at + 1, 1, "HW002", f"{rule} in {glob}")
            for at, (rule, glob) in enumerate(self.listed)
            if at not in self.used
        ]
