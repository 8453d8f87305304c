"""What `operations/atomic.py` reads: one file's content digest, owner and mode."""

from __future__ import annotations

from typing import TypedDict

from pyinfra.api import FactBase, QuoteString, StringCommand
from typing_extensions import override

from facts.script import script


class FileFields(TypedDict):
    """One file as it is on the host; `kind` is stat's word, such as "regular file"."""

    kind: str
    user: str
    group: str
    mode: str
    sha256: str


class FileText(FactBase[str]):
    """
    Read a file's text; what is no UTF-8 in it is replaced.

    + path: absolute path of a file that is there
    """

    @override
    def command(self, path: str) -> StringCommand:
        return StringCommand("cat --", QuoteString(path))

    @override
    def process(self, output: list[str]) -> str:
        return "".join(f"{line}\n" for line in output)


class FileState(FactBase[FileFields | None]):
    """
    Read the kind, owner, group, mode and SHA-256 of one path; None where there is nothing.

    + path: absolute path

    Unlike pyinfra's own facts this is one round trip for all five. A path that is not a regular file
    has an empty `sha256`.
    """

    @override
    def command(self, path: str) -> StringCommand:
        return script("file-state.sh", "alone", path)

    @override
    def process(self, output: list[str]) -> FileFields | None:
        if not output:
            return None
        user, group, mode, kind = output[0].split("|", 3)
        sha256 = output[1].split()[0] if len(output) > 1 else ""
        # stat says "regular empty file" for an empty one; both are the same kind here.
        kind = "regular file" if kind.startswith("regular") else kind
        return FileFields(kind=kind, user=user, group=group, mode=mode.zfill(4), sha256=sha256)
