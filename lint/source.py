"""Which files are looked at, of which kind each is, and text without its comments."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

# Read by people, or made by machines, or made to be wrong: no part of what runs on a host.
BESIDE = {
    "docs", "doc", "documentation", "tests", "test", "testing", "fixtures", "__tests__", "t", "benchmarks",
    "node_modules", "vendor", "vendored", "_vendor", "third_party", "site-packages", "locale", "locales",
    "translations", ".github", ".git",
}  # fmt: skip
BESIDE_NAMES = re.compile(
    r"(?i)(readme|changelog|changes|history|news|license|licence|copying|authors|contributing)(\..*)?"
    r"|test_.*\.py|tests?\.py|.*_tests?\.py|conftest\.py|.*\.min\.(js|css)|.*\.bundle\.js|package-lock\.json|.*\.lock|.*\.map"
    r"|.*\.test\.[jt]sx?|.*\.spec\.[jt]sx?"
)
KINDS = {
    ".py": "python", ".pyw": "python", ".js": "script", ".mjs": "script", ".cjs": "script", ".ts": "script",
    ".tsx": "script", ".jsx": "script", ".vue": "page", ".svelte": "page", ".html": "page", ".htm": "page",
    ".j2": "page", ".css": "style", ".scss": "style", ".sh": "shell", ".bash": "shell", ".zsh": "shell",
    ".conf": "settings", ".cfg": "settings", ".ini": "settings", ".service": "settings", ".timer": "settings",
    ".env": "settings", ".toml": "settings", ".yaml": "settings", ".yml": "settings", ".json": "data",
    ".sql": "sql", ".plist": "page",
}  # fmt: skip
NAMED = {"Dockerfile": "shell", "Makefile": "shell", "Procfile": "settings", ".env.example": "settings"}
SUPERVISOR = re.compile(
    r"^\[(?:program:|supervisord\]|supervisorctl\]|unix_http_server\]|eventlistener:)", re.MULTILINE
)
# What is longer was not written by hand, and a page's script or style with such a line was built.
LONGEST, LONGEST_LINE = 1_000_000, 5000

SPACED = re.compile(r"[^\n]")
# A string, or a comment: whichever begins first is it.
LEXEMES = {
    "script": r"""("(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`)|(//[^\n]*|/\*.*?(?:\*/|\Z))""",
    "style": r"""("(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')|(/\*.*?(?:\*/|\Z))""",
    "page": r"""(\Z.)|(<!--.*?(?:-->|\Z)|\{#.*?(?:#\}|\Z))""",
    "shell": r"""("(?:\\.|[^"\\])*"|'[^']*')|((?:(?<=\s)|(?<=;)|^)\#[^\n]*)""",
    "settings": r"""("(?:\\.|[^"\\\n])*"|'[^'\n]*')|((?:(?<=\s)|^)[#;][^\n]*)""",
    "sql": r"""('(?:[^']|'')*')|(--[^\n]*|/\*.*?(?:\*/|\Z))""",
}
SCANNERS = {kind: re.compile(text, re.DOTALL | re.MULTILINE) for kind, text in LEXEMES.items()}


def is_beside(path: str) -> bool:
    """Return whether a file is no part of what runs: documents, tests, what others made."""
    pure = PurePosixPath(path)
    ending = pure.suffix.lower()
    return (
        bool(BESIDE.intersection(pure.parts[:-1]))
        or BESIDE_NAMES.fullmatch(pure.name) is not None
        or ending in {".md", ".rst", ".txt", ".po", ".svg", ".csv"}
    )


def kind_of(path: str, text: str) -> str | None:
    """Return the kind of a file's source; None where no rule could say anything about it."""
    pure = PurePosixPath(path)
    found = NAMED.get(pure.name) or KINDS.get(pure.suffix.lower())
    if found is None and text.startswith("#!"):
        first = text.partition("\n")[0]
        found = (
            "python" if "python" in first else "shell" if re.search(r"\b(?:ba|z|da)?sh\b", first) else None
        )
    if found in ("script", "style") and max(map(len, text.split("\n"))) > LONGEST_LINE:
        return None
    if found == "settings" and SUPERVISOR.search(text):
        return "supervisor"
    return found


def read(path: Path) -> str | None:
    """Return a file's text; None where it is none, or too long to have been written by hand."""
    try:
        if path.is_symlink() or path.stat().st_size > LONGEST:
            return None
        content = path.read_bytes()
    except OSError:
        return None
    if b"\0" in content[:8192]:
        return None
    return content.decode("utf-8", errors="replace").replace("\r\n", "\n")


def without_comments(text: str, kind: str) -> str:
    """Return a text with spaces in the place of its comments: every other character stays where it is."""
    scanner = SCANNERS.get("settings" if kind == "supervisor" else kind)
    if scanner is None:
        return text
    return scanner.sub(lambda found: found[0] if found[1] is not None else SPACED.sub(" ", found[0]), text)
