"""Name the part of a tree that one service is made of, so that only what changed needs a restart."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import pathspec


@dataclass(frozen=True)
class Entry:
    """One path of the tree; `content` is a file's SHA-256 or a link's target."""

    path: str
    mode: int
    content: str
    size: int

    @property
    def is_link(self) -> bool:
        return self.mode == 0o777


class Part(NamedTuple):
    """
    What one service sees of a release.

    `name` covers its files and the release's own links, `code` its files alone; both 12 hex characters.
    """

    name: str
    code: str


def content_digest(entries: Iterable[Entry]) -> str:
    """Return the digest of each entry's mode, content and path."""
    lines = "".join(f"{entry.mode:04o} {entry.content} {entry.path}\n" for entry in entries)
    return hashlib.sha256(lines.encode()).hexdigest()


def _matching(entries: Iterable[Entry], patterns: Sequence[str]) -> list[Entry]:
    # With a slash in front a pattern begins at the root, and neither '!' nor '#' means anything.
    spec = pathspec.PathSpec.from_lines("gitignore", [f"/{pattern}" for pattern in patterns])
    return [entry for entry in entries if spec.match_file(entry.path)]


def part(entries: Sequence[Entry], patterns: Sequence[str] | None, links: Mapping[str, str]) -> Part:
    """
    Return the part of a tree that some patterns name.

    + entries: the tree's, `Artefact.entries`
    + patterns: paths below the tree's root with `*`, `?`, `[...]` and `**`; one that names a directory
      stands for all below it; None is the whole tree
    + links: what each release gets besides the tree, relative path to target: a service sees it too

    Example: `part(made.entries, ["backend/*.py", "static"], {"venv": "/opt/shop/venvs/1a2b"}).name`
    """
    code = content_digest(entries if patterns is None else _matching(entries, patterns))
    whole = hashlib.sha256(json.dumps([code, dict(links)], sort_keys=True).encode()).hexdigest()
    return Part(whole[:12], code[:12])


def unmatched(entries: Sequence[Entry], patterns: Sequence[str]) -> list[str]:
    """Return the patterns that name nothing in the tree."""
    return [pattern for pattern in patterns if not _matching(entries, [pattern])]
